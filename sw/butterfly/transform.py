"""Exact transforms as butterflies: Fourier, Hadamard and cosine.

With increasing strides a Fourier butterfly decimates in time and needs the bit reversal before it;
with decreasing strides it decimates in frequency and needs it after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .twiddle import Twiddle, factor_log_stride
from .validate import require_last_axis, require_size


def bit_reversal(size: int) -> NDArray[np.int64]:
    """Return, for each index of `size` points, the index with its bits in reverse order.

    Raises
    ------
    ButterflyError
        If `size` is no power of two from 2 to 8192.
    """
    log_size = require_size("transform size n", size).bit_length() - 1
    index = np.arange(size)
    reverse = np.zeros_like(index)
    for bit in range(log_size):
        reverse |= ((index >> bit) & 1) << (log_size - 1 - bit)
    return reverse


@dataclass(frozen=True)
class Transform:
    """y = (twiddle · x[before])[after], or the real part of it.

    Parameters
    ----------
    twiddle : Twiddle
        Of one stack.
    before, after : int64 [n], optional
        Permutations; none leaves the order as it is.
    real_part : bool
        Whether only the real part of the result counts.
    """

    twiddle: Twiddle
    before: NDArray[np.int64] | None = None
    after: NDArray[np.int64] | None = None
    real_part: bool = False

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Return the transform of the last axis of `x` [..., n].

        Raises
        ------
        ButterflyError
            If that axis is not n.
        """
        values = require_last_axis("input of the transform", x, self.twiddle.size)
        values = values if self.before is None else values[..., self.before]
        y = self.twiddle.apply(values)[..., 0, :]
        y = y if self.after is None else y[..., self.after]
        return y.real if self.real_part else y

    def dense(self) -> NDArray[Any]:
        """Return the matrix [n, n] of the transform."""
        return self(np.eye(self.twiddle.size)).T


def _fourier_factor(size: int, log_stride: int, increasing_stride: bool) -> NDArray[Any]:
    """Return the n/2 matrices of a factor: roots on the inputs (in time) or on the outputs."""
    stride = 1 << log_stride
    root = np.exp(-1j * np.pi * (np.arange(size // 2) % stride) / stride)
    factor = np.ones((size // 2, 2, 2), dtype=np.complex128)
    factor[:, 1, 1] = -1
    if increasing_stride:
        return factor * np.stack([np.ones_like(root), root], axis=-1)[:, None, :]
    return factor * np.stack([np.ones_like(root), root], axis=-1)[:, :, None]


def fourier(size: int, inverse: bool = False, increasing_stride: bool = True) -> Transform:
    """Return the discrete Fourier transform, as `numpy.fft.fft` or `numpy.fft.ifft`.

    Parameters
    ----------
    size : int
        A power of two from 2 to 8192.
    inverse : bool
        The inverse halves in every factor, which makes 1/n.
    increasing_stride : bool
        Decimation in time with the bit reversal before, else in frequency with it after.

    Raises
    ------
    ButterflyError
        If `size` is none of these.
    """
    reversal = bit_reversal(size)
    log_size = size.bit_length() - 1
    strides = [factor_log_stride(i, log_size, increasing_stride) for i in range(log_size)]
    factors = np.stack([_fourier_factor(size, stride, increasing_stride) for stride in strides])
    if inverse:
        factors = factors.conj() / 2
    twiddle = Twiddle(factors[None, None], increasing_stride)
    if increasing_stride:
        return Transform(twiddle, before=reversal)
    return Transform(twiddle, after=reversal)


def hadamard(size: int, increasing_stride: bool = True) -> Transform:
    """Return the Hadamard transform in Sylvester's order, without a scale factor.

    Raises
    ------
    ButterflyError
        If `size` is no power of two from 2 to 8192.
    """
    log_size = require_size("transform size n", size).bit_length() - 1
    factor = np.array([[1.0, 1.0], [1.0, -1.0]])
    coefficients = np.broadcast_to(factor, (1, 1, log_size, size // 2, 2, 2))
    return Transform(Twiddle(coefficients, increasing_stride))


def cosine(size: int) -> Transform:
    """Return the cosine transform DCT-II, ``y[k] = sum of x[i]·cos(pi·(2·i + 1)·k / (2·n))``.

    A Fourier transform of the even elements followed by the odd ones backwards; its last factor
    also turns each output by a quarter wave (Makhoul, IEEE Trans. ASSP 28, 1980).

    Raises
    ------
    ButterflyError
        If `size` is no power of two from 2 to 8192.
    """
    transform = fourier(size)
    index = np.arange(size)
    order = np.concatenate([index[::2], index[1::2][::-1]])
    turn = np.exp(-1j * np.pi * index / (2 * size)).reshape(2, size // 2).T
    coefficients = transform.twiddle.coefficients.copy()
    coefficients[:, :, -1] *= turn[:, :, None]
    return Transform(Twiddle(coefficients), before=order[transform.before], real_part=True)
