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
    "wide": {"array.rows": 4, "array.columns": 8, "scratchpad.banks": 8},
    "tall": {"array.rows": 8, "scratchpad.banks": 8, "array.accumulator_width": 24},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_grid(shape):
    config = override(preset("tiny"), SHAPES[shape])
    run_bench(Grid(config), "grid", parameters={"config": config.to_dict(), "tiles": 150})


def test_accumulators_wrap():
    a = np.full((1, 1024), -128, dtype=np.int8)
    assert accumulate(a, a, 25).tolist() == [[-(1 << 24)]]
    assert accumulate(a, a, 26).tolist() == [[1 << 24]]


def test_a_width_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="array.accumulator_width .* from 24 to 48, not 49"):
        ProcessingElement(49)
