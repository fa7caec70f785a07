"""Requantisation: the golden model against exact fractions, the lanes against the model."""

from fractions import Fraction

import numpy as np
import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.requantise import Requantise, RequantiseLane
from ageha.sw.scale import ScaleVector
from ageha.verif.golden.requantise import requantise
from ageha.verif.golden.rounding import round_half_even, saturate
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("shift", [0, 1, 2, 31, 62, 63])
def test_rounding_is_to_the_nearest_and_half_to_even(shift):
    limit = (1 << 63) - 1
    half = 1 << max(shift - 1, 0)
    values = [0, 1, -1, 5, -5, limit, -limit - 1, half, -half, 3 * half, half + 1, half - 1]
    values = [value for value in values if -limit - 1 <= value <= limit]
    rounded = round_half_even(np.array(values, dtype=np.int64), shift)
    assert rounded.tolist() == [round(Fraction(value, 1 << shift)) for value in values]


def test_saturation_is_to_the_range_of_a_signed_number():
    values = np.array([-40000, -32769, -32768, 0, 32767, 32768], dtype=np.int64)
    assert saturate(values, 16).tolist() == [-32768, -32768, -32768, 0, 32767, 32767]


def test_the_model_scales_like_floats():
    random = np.random.default_rng(5)
    rows = ScaleVector.from_float(random.uniform(0.001, 0.01, 7), random.integers(-50, 50, 7))
    columns = ScaleVector.from_float(random.uniform(0.01, 0.1, 9), random.integers(-50, 50, 9))
    accumulators = random.integers(-(1 << 20), 1 << 20, (7, 9))
    residual = random.integers(-1000, 1000, (7, 9)).astype(np.int16)
    exact = accumulators * np.outer(rows.to_float(), columns.to_float()) * 4
    exact += np.add.outer(rows.bias, columns.bias) + residual
    result = requantise(accumulators, rows, columns, 2, residual)
    # Half a unit of rounding, and one part in 2^16 for the product of the mantissas.
    assert np.all(np.abs(result - exact) <= 0.5 + np.abs(exact) * 2.0**-15)


def test_a_zero_scale_leaves_bias_and_residual():
    rows = ScaleVector.from_float(np.array([0.0]), np.array([3]))
    columns = ScaleVector.from_float(np.array([1.0]), np.array([4]))
    result = requantise(np.array([[1 << 30]]), rows, columns, 0, np.array([[5]], dtype=np.int16))
    assert result.tolist() == [[12]]


@pytest.mark.parametrize("accumulator_width, lanes", [(24, 0), (32, 4), (32, 1), (37, 2), (48, 0)])
def test_lanes_equal_the_model(accumulator_width, lanes):
    settings = {"array.accumulator_width": accumulator_width, "array.drain_lanes": lanes}
    config = override(preset("tiny"), settings)
    values = {"config": config.to_dict(), "cycles": 3000}
    run_bench(Requantise(config), "requantise", parameters=values)


def test_lanes_out_of_range_are_refused():
    for lanes in (3, 8, True):
        with pytest.raises(
            ConfigError, match="array.drain_lanes must be a power of two from 1 to 4"
        ):
            override(preset("tiny"), {"array.drain_lanes": lanes})


def test_a_width_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="array.accumulator_width .* from 24 to 48, not 23"):
        RequantiseLane(23)
