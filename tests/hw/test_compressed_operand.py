"""Compressed operands: vectors, errors and throughput of each format."""

import pytest

from ageha.hw.compressed_operand import CompressedOperand
from ageha.hw.config import ConfigError, override, preset
from ageha.verif.simulator import run_bench

CONFIGURATIONS = {
    "tiny": {},
    "wide": {"array.columns": 8, "scratchpad.banks": 8, "array.block": 8},
    "tall": {"array.rows": 16, "scratchpad.banks": 16, "array.block": 16},
}

THROUGHPUT = {
    "64 128 slots 1:8": 0.95,
    "16 128 slots 2:4": 0.99,
    "64 60 slots 0.1": 0.8,
    "16 128 columns 0.1": 0.97,
    "16 128 columns 1.0": 0.99,
    "128 32 rows 0.3": 0.97,
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bench(name):
    config = override(preset("tiny"), CONFIGURATIONS[name])
    parameters = {
        "config": config.to_dict(),
        "rounds": 40,
        "longest": 200,
        "spoilt": 150,
        "forms": ["slots", "columns", "rows"],
        "throughput": THROUGHPUT,
    }
    assert run_bench(CompressedOperand(config), "compressed_operand", parameters=parameters) == 3


def test_no_compressed_operands():
    with pytest.raises(ConfigError, match="array.block must be 4, 8 or 16 for .*, not 1"):
        CompressedOperand(override(preset("tiny"), {"array.block": 1}))
