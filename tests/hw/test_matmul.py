"""The array unit."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.matmul import Matmul
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "square": override(preset("ecp5"), {"scratchpad.bytes": 32768}),
    "wide": override(
        preset("tiny"),
        {"array.columns": 8, "array.rows": 4, "scratchpad.banks": 16, "scratchpad.bytes": 65536},
    ),
    "tall": override(
        preset("tiny"),
        {
            "array.columns": 4,
            "array.rows": 16,
            "array.accumulator_width": 24,
            "scratchpad.banks": 16,
            "scratchpad.bytes": 65536,
        },
    ),
}
RANDOM = ("multiplies", "adds_to_the_result_before", "refuses", "refuses_unknown_flows", "halts")


@pytest.mark.parametrize("refusals", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_products(name, refusals):
    config = CONFIGS[name]
    values = {"config": config.to_dict(), "refusals": refusals, "rounds": 6}
    run_bench(Matmul(config), "matmul", parameters=values, testcase=RANDOM)


@pytest.mark.parametrize(
    "name, steps",
    [("tiny", 4), ("tiny", 5), ("tiny", 12), ("square", 8), ("square", 9), ("tall", 17)],
)
def test_the_array_stays_busy(name, steps):
    config = CONFIGS[name]
    values = {"config": config.to_dict(), "steps": steps}
    run_bench(Matmul(config), "matmul", parameters=values, testcase="keeps_the_array_busy")


@pytest.mark.slow
@pytest.mark.parametrize(
    "products, repeat, share",
    [
        ([(128, 384, 384)], 1, 0.98),
        ([(128, 128, 32), (128, 128, 32)], 6, 0.95),
        ([(128, 32, 128, 0, 1)], 12, 0.95),
    ],
)
def test_the_base_array_is_used(products, repeat, share):
    config = preset("base")
    values = {
        "config": config.to_dict(),
        "products": products,
        "repeat": repeat,
        "share": share,
    }
    run_bench(Matmul(config), "matmul", parameters=values, testcase="uses_the_array")
