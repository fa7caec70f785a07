"""The panel of the sparse flows."""

import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.panel import Panel
from ageha.verif.simulator import run_bench

CONFIGS = {
    "small": {"array.panel_blocks": 16},
    "wide": {"array.block": 8, "array.panel_blocks": 32},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_come_back(name):
    config = override(preset("tiny"), CONFIGS[name])
    run_bench(Panel(config), "panel", parameters={"config": config.to_dict()})


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("array.block", 2, "array.block must be 1, 4, 8 or 16, not 2"),
        ("array.block", 16, r"array.block must be at most max\(8, scratchpad.banks\) = 8, not 16"),
        ("array.panel_blocks", 8, "array.panel_blocks must be a power of two from 16 to 4096"),
        ("array.partial_rows", 8, "array.partial_rows must be a power of two from 16 to 4096"),
    ],
)
def test_a_wrong_parameter_is_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        override(preset("tiny"), {name: value})
