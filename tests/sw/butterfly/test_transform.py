"""Exact transforms against NumPy and their definitions."""

import numpy as np
import pytest
from butterflies import random_tensor

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.transform import bit_reversal, cosine, fourier, hadamard

SIZES = (2, 4, 8, 64, 1024, 8192)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("inverse", [True, False])
def test_fourier(size, increasing, inverse):
    x = random_tensor(np.random.default_rng(size), (2, size), is_complex=True)
    expected = np.fft.ifft(x) if inverse else np.fft.fft(x)
    found = fourier(size, inverse, increasing)(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_where_the_bit_reversal_belongs():
    np.testing.assert_array_equal(bit_reversal(8), [0, 4, 2, 6, 1, 5, 3, 7])
    in_time, in_frequency = fourier(8), fourier(8, increasing_stride=False)
    assert in_time.after is None and in_frequency.before is None
    np.testing.assert_array_equal(in_time.before, in_frequency.after)


@pytest.mark.parametrize("size", SIZES)
def test_inverse_of_fourier(size):
    x = np.random.default_rng(size).normal(size=size)
    np.testing.assert_allclose(fourier(size, inverse=True)(fourier(size)(x)), x, atol=1e-12)


@pytest.mark.parametrize("size", (2, 4, 8, 64, 512))
@pytest.mark.parametrize("increasing", [True, False])
def test_hadamard(size, increasing):
    ones = [bin(value).count("1") for value in range(size)]
    index = np.arange(size)
    expected = 1.0 - 2 * (np.array(ones)[index[:, None] & index] % 2)
    np.testing.assert_array_equal(hadamard(size, increasing).dense(), expected)


@pytest.mark.parametrize("size", (2, 4, 8, 64, 512))
def test_cosine(size):
    index = np.arange(size)
    angle = np.outer(index, 2 * index + 1) % (4 * size)
    expected = np.cos(np.pi * angle / (2 * size))
    np.testing.assert_allclose(cosine(size).dense(), expected, atol=1e-12)


@pytest.mark.parametrize("transform", [fourier, hadamard, cosine])
@pytest.mark.parametrize(("size", "message"), [(12, "not 12"), (1, "not 1"), (16384, "8192")])
def test_size_that_is_refused(transform, size, message):
    with pytest.raises(ButterflyError, match=f"transform size n must be .*{message}"):
        transform(size)


def test_input_of_another_length():
    with pytest.raises(ButterflyError, match="must have 8 elements, not 7"):
        fourier(8)(np.zeros(7))
