"""Sequence compression: what low frequencies become, and what is refused."""

import numpy as np
import pytest

from ageha.sw.butterfly.compress import compress_sequence
from ageha.sw.butterfly.errors import ButterflyError


@pytest.mark.parametrize(
    ("chunk", "kept"), [(2, 1), (8, 1), (8, 2), (8, 4), (8, 8), (64, 16), (128, 64)]
)
def test_chunks_by_real_transforms(chunk, kept):
    x = np.random.default_rng(chunk).normal(size=(2, 3 * chunk, 5))
    found = compress_sequence(x, chunk, kept)
    assert found.shape == (2, 3 * kept, 5)
    chunks = x.reshape(2, 3, chunk, 5)
    spectrum = np.fft.rfft(chunks, axis=2)[:, :, : kept // 2 + 1]
    expected = np.fft.irfft(spectrum, kept, axis=2) * kept / chunk
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-13)


def test_all_kept_is_the_sequence():
    x = np.random.default_rng(0).normal(size=(32, 4))
    np.testing.assert_allclose(compress_sequence(x, 16, 16), x, atol=1e-14)


def test_slow_waves_are_sampled():
    time = np.arange(32) / 32
    x = (1 + np.cos(2 * np.pi * 3 * time))[:, None]
    np.testing.assert_allclose(compress_sequence(x, 32, 8), x[::4], atol=1e-14)


def test_fast_waves_vanish():
    x = np.cos(2 * np.pi * 7 * np.arange(32) / 32)[:, None]
    np.testing.assert_allclose(compress_sequence(x, 32, 8), np.zeros((8, 1)), atol=1e-14)


@pytest.mark.parametrize(
    ("shape", "chunk", "kept", "message"),
    [
        ((12, 2), 12, 4, "chunk must be a power of two from 2 to 8192, not 12"),
        ((16, 2), 16384, 4, "chunk must be at most 8192, not 16384"),
        ((16, 2), 8, 3, "kept must be a power of two from 2 to 8, not 3"),
        ((16, 2), 8, 16, "kept must be at most 8, not 16"),
        ((16, 2), 8, 0, "kept must be"),
        ((15, 2), 8, 4, "tokens must be a multiple of the chunk 8, not 15"),
        ((0, 2), 8, 4, "tokens must be a multiple of the chunk 8, not 0"),
        ((16,), 8, 4, "axes tokens and width"),
    ],
)
def test_what_is_refused(shape, chunk, kept, message):
    with pytest.raises(ButterflyError, match=message):
        compress_sequence(np.zeros(shape), chunk, kept)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "finite: 32 of 32"), (1j, "real")])
def test_values_that_are_refused(value, message):
    with pytest.raises(ButterflyError, match=message):
        compress_sequence(np.full((16, 2), value), 8, 4)
