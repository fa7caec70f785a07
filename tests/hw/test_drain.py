"""The drain of the array: requantised rows on their way to the scratchpad."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.drain import Drain
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "wide": override(
        preset("tiny"),
        {"array.columns": 8, "scratchpad.banks": 8, "array.accumulator_width": 37},
    ),
    "tall": override(
        preset("tiny"),
        {"array.rows": 8, "scratchpad.banks": 16, "scratchpad.bytes": 32768},
    ),
    "half a row a cycle": override(preset("tiny"), {"array.drain_lanes": 2}),
    "an eighth of a row": override(
        preset("tiny"), {"array.columns": 8, "scratchpad.banks": 8, "array.drain_lanes": 1}
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_results_reach_the_scratchpad(name):
    config = CONFIGS[name]
    testcase = ("writes_results", "adds_to_results_before", "takes_a_row_a_cycle")
    for refusals in (0.0, 0.5):
        values = {"config": config.to_dict(), "refusals": refusals, "rounds": 10}
        run_bench(Drain(config), "drain", parameters=values, testcase=testcase)
