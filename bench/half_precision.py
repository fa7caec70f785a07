"""Butterfly products and Fourier transforms with every operation rounded to half precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..verif.golden.butterfly import bit_reversal


def pairs(points: int, log_stride: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two points of each pair of a factor."""
    stride = 1 << log_stride
    index = np.arange(points // 2)
    first = 2 * index - index % stride
    return first, first + stride


def half_butterfly(x: NDArray, matrices: NDArray, dtype: DTypeLike) -> NDArray[np.float64]:
    """Apply factors by increasing stride, each operation rounded to `dtype`.

    Parameters
    ----------
    x : float [vectors, points]
    matrices : float [stages, points/2, 2, 2]
    dtype : a NumPy type of floating-point numbers
    """
    y = x.astype(dtype)
    for log_stride, matrix in enumerate(matrices):
        first, second = pairs(x.shape[1], log_stride)
        t = matrix.astype(dtype)
        upper = t[:, 0, 0] * y[:, first] + t[:, 0, 1] * y[:, second]
        lower = t[:, 1, 0] * y[:, first] + t[:, 1, 1] * y[:, second]
        y[:, first], y[:, second] = upper, lower
    return y.astype(float)


def half_fourier(x: NDArray, inverse: bool = False) -> NDArray[np.complex128]:
    """Return the radix-2 transform of complex [vectors, points], all operations in half precision.

    The inverse halves in every factor.
    """
    points = x.shape[1]
    x = x[:, bit_reversal(points)]
    real, imaginary = x.real.astype(np.float16), x.imag.astype(np.float16)
    scale, sign = (np.float16(0.5), 1) if inverse else (np.float16(1), -1)
    for log_stride in range(points.bit_length() - 1):
        first, second = pairs(points, log_stride)
        angle = np.pi * (first % (1 << log_stride)) / (1 << log_stride)
        cosine, sine = np.cos(angle).astype(np.float16), (sign * np.sin(angle)).astype(np.float16)
        product_real = cosine * real[:, second] - sine * imaginary[:, second]
        product_imaginary = cosine * imaginary[:, second] + sine * real[:, second]
        real[:, second] = scale * (real[:, first] - product_real)
        imaginary[:, second] = scale * (imaginary[:, first] - product_imaginary)
        real[:, first] = scale * (real[:, first] + product_real)
        imaginary[:, first] = scale * (imaginary[:, first] + product_imaginary)
    return real.astype(float) + 1j * imaginary
