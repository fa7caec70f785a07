"""One operand of the array."""

import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.operand import Operand
from ageha.verif.simulator import run_bench

CASES = {
    "tiny": ({}, 4, True),
    "columns": ({"array.columns": 8, "scratchpad.banks": 8}, 8, False),
    "wide": ({"array.block": 8, "scratchpad.banks": 16}, 4, True),
    "wide rows": ({"array.wide_rows": True, "scratchpad.banks": 32}, 4, True),
    "square": ({"array.rows": 16, "array.block": 4, "scratchpad.banks": 16}, 16, True),
}


@pytest.mark.parametrize("name", CASES)
def test_operand(name):
    settings, vector, gathered = CASES[name]
    config = override(preset("tiny"), settings)
    values = {"config": config.to_dict(), "vector": vector, "gathered": gathered, "chunks": 80}
    run_bench(Operand(config, vector, gathered=gathered), "operand", parameters=values)


def test_a_wrong_parameter_is_refused():
    config = override(preset("tiny"), {"array.columns": 8, "scratchpad.banks": 8})
    with pytest.raises(ConfigError, match="a power of two from 2 to 8, not 6"):
        Operand(config, 6)
    with pytest.raises(ConfigError, match="array.rows = 4 to be gathered, not 8"):
        Operand(config, 8, gathered=True)
