"""The grid and its processing elements."""

import numpy as np
import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.grid import Grid
from ageha.hw.processing_element import ProcessingElement
from ageha.verif.golden.matmul import accumulate
from ageha.verif.simulator import run_bench

SHAPES = {
    "square": {},
    "without an index": {"array.block": 1},
    "wide": {"array.columns": 8, "scratchpad.banks": 8, "array.block": 8},
    "tall": {"array.rows": 8, "scratchpad.banks": 8, "array.accumulator_width": 24},
    "wide rows": {"array.wide_rows": True, "scratchpad.banks": 16},
}
LEFT_OUT = {
    "dense": {"array.block": 1, "array.partial_rows": 0},
    "sparse": {"array.partial_rows": 0},
    "dense, wide rows": {
        "array.block": 1,
        "array.partial_rows": 0,
        "array.wide_rows": True,
        "scratchpad.banks": 16,
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_grid(shape):
    config = override(preset("tiny"), SHAPES[shape])
    run_bench(Grid(config), "grid", parameters={"config": config.to_dict(), "tiles": 150})


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_changes_nothing_else(name):
    config = override(preset("tiny"), LEFT_OUT[name])
    values = {"config": config.to_dict(), "tiles": 50}
    run_bench(Grid(config), "grid", parameters=values, testcase="accumulates")


def test_accumulators_wrap():
    a = np.full((1, 1024), -128, dtype=np.int8)
    assert accumulate(a, a, 25).tolist() == [[-(1 << 24)]]
    assert accumulate(a, a, 26).tolist() == [[1 << 24]]


def test_a_width_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="array.accumulator_width .* from 24 to 48, not 49"):
        ProcessingElement(49)
    with pytest.raises(ConfigError, match="array.block must be 1, 4, 8 or 16, not 3"):
        ProcessingElement(32, block=3)
