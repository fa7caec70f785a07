"""Compressed operands: vectors, errors and throughput of each format."""

import pytest

from ageha.hw.compressed_operand import CompressedOperand
from ageha.hw.config import ConfigError, override, preset
from ageha.hw.section_reader import SectionReader
from ageha.verif.simulator import run_bench

CONFIGURATIONS = {
    "tiny": {},
    "wide": {"array.columns": 8, "scratchpad.banks": 8, "array.block": 8},
    "tall": {
        "array.rows": 16,
        "scratchpad.banks": 16,
        "array.block": 16,
        "array.pipelined": False,
    },
}

THROUGHPUT = {
    "64 128 slots 1:4": 0.99,
    "16 68 slots 2:4": 0.99,
    "64 256 slots 0.1": 0.95,
    "16 128 columns 0.1": 0.99,
    "16 65 columns 1.0": 0.99,
    "128 32 rows 0.3": 0.99,
    "64 32 columns 0.5": 0.95,
}
"""Outputs, inputs, format and share of the weights; the least vectors a cycle."""


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bench(name):
    config = override(preset("tiny"), CONFIGURATIONS[name])
    parameters = {
        "config": config.to_dict(),
        "rounds": 25,
        "longest": 200,
        "spoilt": 100,
        "forms": ["slots", "columns", "rows"],
        "throughput": THROUGHPUT,
    }
    assert run_bench(CompressedOperand(config), "compressed_operand", parameters=parameters) == 4


def test_no_compressed_operands():
    with pytest.raises(ConfigError, match="array.block must be 4, 8 or 16 for .*, not 1"):
        CompressedOperand(override(preset("tiny"), {"array.block": 1}))


@pytest.mark.parametrize("widths", [(0,), (8, 24), (8, 256)])
def test_items_that_do_not_fit_are_refused(widths):
    with pytest.raises(ConfigError, match="widths must be powers of two from 1 to 128, not"):
        SectionReader(preset("tiny"), widths)


@pytest.mark.parametrize("lines", [1, 17])
def test_lines_out_of_range_are_refused(lines):
    with pytest.raises(ConfigError, match=f"lines must be an integer from 2 to 16, not {lines}"):
        SectionReader(preset("tiny"), (8,), lines)
