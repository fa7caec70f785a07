"""The semaphores: golden model and RTL."""

import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.isa import ErrorCode
from ageha.hw.semaphores import MAXIMUM, Semaphores
from ageha.verif.golden import controller as golden
from ageha.verif.golden.fault import Fault
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("semaphores, clients", [(32, 5), (5, 1)])
def test_bench(semaphores, clients):
    config = override(preset("tiny"), {"controller.semaphores": semaphores})
    parameters = {"semaphores": semaphores, "clients": clients}
    run_bench(Semaphores(config, clients), "semaphores", parameters=parameters)


def test_clients_are_checked():
    with pytest.raises(ConfigError, match="clients must be from 1 to 16, not 0"):
        Semaphores(preset("tiny"), 0)


def test_golden_counts():
    semaphores = golden.Semaphores(4)
    assert semaphores.available(0)
    assert not semaphores.available(0b10)
    semaphores.give(0b110)
    assert semaphores.available(0b110)
    semaphores.take(0b010)
    assert semaphores.values == [0, 0, 1, 0]
    with pytest.raises(ValueError, match="not available"):
        semaphores.take(0b110)


def test_golden_overflows():
    semaphores = golden.Semaphores(4)
    for _ in range(MAXIMUM):
        semaphores.give(0b1100)
    with pytest.raises(Fault) as caught:
        semaphores.give(0b1110)
    assert (caught.value.code, caught.value.address) == (ErrorCode.SEMAPHORE_OVERFLOW, 2)
    assert semaphores.values == [0, 0, MAXIMUM, MAXIMUM]
