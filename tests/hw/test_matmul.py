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
        {"array.columns": 8, "array.rows": 2, "scratchpad.banks": 16, "scratchpad.bytes": 65536},
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


@pytest.mark.parametrize("refusals", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_matmul(name, refusals):
    config = CONFIGS[name]
    run_bench(
        Matmul(config),
        "matmul",
        parameters={"config": config.to_dict(), "refusals": refusals, "rounds": 3},
    )
