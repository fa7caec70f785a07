"""The load unit."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.load import Load
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "wide": override(preset("tiny"), {"axi.data_width": 256, "axi.burst_beats": 4}),
    "two-word beats": override(
        preset("ecp5"), {"axi.data_width": 128, "scratchpad.bytes": 16384, "axi.outstanding": 2}
    ),
}


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_load(name, stalls):
    config = CONFIGS[name]
    run_bench(Load(config), "load", parameters={"config": config.to_dict(), "stalls": stalls})
