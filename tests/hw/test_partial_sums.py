"""Partial sums of the stationary flows."""

import numpy as np
import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.partial_sums import PartialSums
from ageha.verif.golden.partial_sums import partial_sums
from ageha.verif.simulator import run_bench

SHAPES = {
    "square": {},
    "wide": {"array.columns": 8, "scratchpad.banks": 8, "array.partial_rows": 16},
    "tall": {"array.rows": 8, "scratchpad.banks": 8, "array.accumulator_width": 24},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_partial_sums(shape):
    config = override(preset("tiny"), SHAPES[shape])
    values = {"config": config.to_dict(), "tiles": 150}
    run_bench(PartialSums(config), "partial_sums", parameters=values)


def test_rows_without_a_vector_are_zero_and_sums_wrap():
    sums = np.array([[1, 2], [(1 << 23) - 1, -5], [1, -1]])
    total = partial_sums(np.array([2, 0, 0]), sums, 3, 24)
    assert total.tolist() == [[-(1 << 23), -6], [0, 0], [1, 2]]


def test_a_configuration_without_partial_rows_is_refused():
    config = override(preset("tiny"), {"array.partial_rows": 0})
    with pytest.raises(ConfigError, match="array.partial_rows must be at least 16 .* not 0"):
        PartialSums(config)
