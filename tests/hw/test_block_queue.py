"""The queue in block RAM."""

import pytest

from ageha.hw.block_queue import BlockQueue
from ageha.hw.config import ConfigError
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("width, depth", [(70, 8), (1, 2), (13, 5)])
def test_bench(width, depth):
    values = {"width": width, "depth": depth, "cycles": 3000}
    assert run_bench(BlockQueue(width, depth), "block_queue", parameters=values) == 1


def test_parameters_are_checked():
    with pytest.raises(ConfigError, match="width must be at least 1, not 0"):
        BlockQueue(0, 4)
    with pytest.raises(ConfigError, match="depth must be at least 2, not 1"):
        BlockQueue(8, 1)
