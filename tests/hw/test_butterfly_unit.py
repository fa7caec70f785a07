"""The butterfly unit: the model against exact fractions, the unit against the model."""

from fractions import Fraction

import numpy as np
import pytest

from ageha.hw.butterfly_format import HIGHEST_GIVEN_SCALE, LOWEST_SCALE, Mode
from ageha.hw.butterfly_unit import ButterflyUnit
from ageha.verif.golden.butterfly_unit import butterfly_unit
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("scale", range(LOWEST_SCALE, HIGHEST_GIVEN_SCALE + 1))
def test_the_model_rounds_exact_results(scale):
    random = np.random.default_rng(scale + 9)
    unit = Fraction(1, 1 << 14 + scale)
    for _ in range(50):
        (a, a_im), (b, b_im) = points = random.integers(-(1 << 13), 1 << 13, (2, 2))
        c = random.integers(-(1 << 14), 1 << 14, 4)
        y0, y1, saturated = butterfly_unit(*points, c, Mode.REAL, scale)
        exact = [int(c[0] * a + c[1] * b), int(c[2] * a + c[3] * b)]
        assert [y0[0], y1[0]] == [round(value * unit) for value in exact]
        assert not saturated and not y0[1] and not y1[1]
        y0, y1, saturated = butterfly_unit(*points, c[:2], Mode.COMPLEX, scale)
        product = [int(c[0] * b - c[1] * b_im), int(c[0] * b_im + c[1] * b)]
        upper = [int(a) << 14, int(a_im) << 14]
        sums = [u + p for u, p in zip(upper, product, strict=True)]
        differences = [u - p for u, p in zip(upper, product, strict=True)]
        assert y0.tolist() == [round(value * unit) for value in sums]
        assert y1.tolist() == [round(value * unit) for value in differences]
        assert not saturated


def test_the_model_saturates_and_says_so():
    lowest, none = np.array([-(1 << 17), 0]), np.zeros(4, dtype=np.int64)
    y0, y1, saturated = butterfly_unit(lowest, lowest, none - 16384, Mode.REAL, 0)
    assert (y0[0], y1[0], saturated) == ((1 << 17) - 1, (1 << 17) - 1, True)
    y0, y1, saturated = butterfly_unit(lowest, lowest, none, Mode.PASS, HIGHEST_GIVEN_SCALE)
    assert (y0[0], y1[0], saturated) == (-(1 << 17), -(1 << 17), False)


def test_the_unit_equals_the_model():
    run_bench(ButterflyUnit(), "butterfly_unit", parameters={"cycles": 4000})
