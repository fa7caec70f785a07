"""The butterfly chain: transforms of several lengths, the order of beats, parameters."""

import numpy as np
import pytest

from ageha.hw.butterfly_chain import ButterflyChain
from ageha.hw.butterfly_commutator import ButterflyCommutator
from ageha.hw.config import ButterflyConfig, ConfigError
from ageha.verif.golden.butterfly_chain import beats, pair_numbers
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("log_strides", [(0,), (3,), (0, 1), (4, 2), (1, 2, 3), (3, 0, 2)])
def test_every_point_comes_once(log_strides):
    for stage, bit in enumerate(log_strides):
        order = beats(32, log_strides, stage)
        assert sorted(order.flat) == list(range(32))
        assert np.array_equal(order[:, 0] ^ order[:, 1], np.full(16, 1 << bit))
        assert sorted(pair_numbers(order[:, 0], bit)) == list(range(16))


LATENCY = {1: 11, 2: 21}
FOLDED_LATENCY = 33


@pytest.mark.parametrize(
    "stages, points, idle",
    [(1, [2, 16], 0.4), (2, [4, 8, 32], 0.0), (2, [4, 8, 32], 0.4)],
)
def test_transforms(stages, points, idle):
    chain = ButterflyChain(ButterflyConfig(lanes=4, stages=stages))
    assert chain.latency == LATENCY[stages]
    assert stages == 1 or chain.folded_latency == FOLDED_LATENCY
    values = {"lanes": 4, "stages": stages, "points": points, "idle": idle}
    values |= {"latency": LATENCY[stages], "folded_latency": FOLDED_LATENCY}
    run_bench(chain, "butterfly_chain", parameters=values)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ButterflyChain(ButterflyConfig(lanes=5)), "butterfly.lanes .* not 5"),
        (lambda: ButterflyChain(ButterflyConfig(stages=3)), "butterfly.stages .* not 3"),
        (lambda: ButterflyCommutator(0, 1), "width must be at least 1, not 0"),
        (lambda: ButterflyCommutator(8, 3), "delay must be a power of two from 1 to 8, not 3"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
