"""The twiddle convention against its definition, and what is refused."""

import numpy as np
import pytest
from butterflies import dense_by_definition, random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.twiddle import Twiddle


@given(
    seed=st.integers(0, 2**32 - 1),
    stacks=st.integers(1, 3),
    blocks=st.integers(1, 3),
    log_size=st.integers(1, 5),
    increasing=st.booleans(),
    is_complex=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_factors_by_definition(seed, stacks, blocks, log_size, increasing, is_complex):
    generator = np.random.default_rng(seed)
    shape = (stacks, blocks, log_size, 1 << (log_size - 1), 2, 2)
    twiddle = Twiddle(random_tensor(generator, shape, is_complex), increasing)
    expected = dense_by_definition(twiddle)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(twiddle.dense(), expected, atol=1e-13 * scale)
    x = random_tensor(generator, (2, 3, twiddle.size), is_complex)
    y = np.einsum("sij,abj->absi", expected, x)
    np.testing.assert_allclose(twiddle.apply(x), y, atol=1e-12 * scale)


def test_largest_size():
    twiddle = Twiddle(np.broadcast_to(np.eye(2), (1, 1, 13, 4096, 2, 2)))
    x = np.arange(8192.0)
    np.testing.assert_array_equal(twiddle.apply(x), x[None])


def test_coefficients_are_float64():
    twiddle = Twiddle(np.ones((1, 1, 1, 1, 2, 2), np.float16))
    assert twiddle.coefficients.dtype == np.float64
    assert not twiddle.is_complex
    assert Twiddle(np.ones((1, 1, 1, 1, 2, 2), np.complex64)).is_complex


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 3, 6, 2, 2), "size n must be a power of two from 2 to 8192, not 12"),
        ((1, 1, 0, 0, 2, 2), "size n must be a power of two from 2 to 8192, not 0"),
        ((1, 1, 14, 8192, 2, 2), "size n must be at most 8192, not 16384"),
        ((1, 1, 2, 4, 2, 2), r"have shape \(1, 1, 3, 4, 2, 2\), not \(1, 1, 2, 4, 2, 2\)"),
        ((1, 1, 3, 4, 2, 3), r"have shape \(1, 1, 3, 4, 2, 2\), not \(1, 1, 3, 4, 2, 3\)"),
        ((0, 1, 3, 4, 2, 2), r"have shape \(1, 1, 3, 4, 2, 2\), not \(0, 1, 3, 4, 2, 2\)"),
        ((1, 3, 4, 2, 2), r"6 axes stacks, .*its shape is \(1, 3, 4, 2, 2\)"),
    ],
)
def test_shape_that_is_refused(shape, message):
    with pytest.raises(ButterflyError, match=message) as caught:
        Twiddle(np.zeros(shape))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad):
    tensor = np.zeros((1, 1, 2, 2, 2, 2))
    tensor[0, 0, 1, 0, 0, 1] = bad
    with pytest.raises(ButterflyError, match="twiddle must be finite: 1 of 16 values are not"):
        Twiddle(tensor)


def test_values_that_are_no_numbers():
    with pytest.raises(ButterflyError, match="twiddle must be numbers, not <U1"):
        Twiddle(np.full((1, 1, 1, 1, 2, 2), "x"))


@pytest.mark.parametrize(("shape", "found"), [((3, 5), "5"), ((), "a scalar")])
def test_input_of_another_length(shape, found):
    with pytest.raises(ButterflyError, match=f"must have 4 elements, not {found}"):
        Twiddle(np.zeros((1, 1, 2, 2, 2, 2))).apply(np.zeros(shape))
