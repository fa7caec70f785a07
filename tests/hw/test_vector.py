"""The vector unit."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.vector import Vector
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "eight": override(preset("ecp5"), {"scratchpad.bytes": 32768}),
    "sixteen": override(preset("base"), {"scratchpad.bytes": 65536}),
}
RANDOM = (
    "random_operations",
    "odd_shapes",
    "refuses",
    "refuses_unknown_activations",
    "halts",
)


@pytest.mark.parametrize("refusals", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_operations(name, refusals):
    config = CONFIGS[name]
    values = {"config": config.to_dict(), "refusals": refusals, "rounds": 6}
    run_bench(Vector(config), "vector", parameters=values, testcase=RANDOM)
