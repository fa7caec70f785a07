"""Model of NORMALISE: layer and root-mean-square normalisation, bit for bit.

For a row of N = 1 ... 8192 elements, ``s1 = Σx``, ``s2 = Σx²``:

- ``V = N·s2 - s1² + N²·epsilon`` (layer; root mean square without s1), below 2^59.
- ``V << 2k`` lies in [2^62, 2^64), ``d = isqrt(V << 2k >> 28)`` in [2^17, 2^18).
- With b the bits of N, ``N << (17 - b)`` lies in [2^16, 2^17):
  ``R = floor((N << (17 - b)) · 2^17 / d)``, below 2^17, is N/√V with ``48 - b - k`` fraction bits.
  If V is 0, R is 0.
- ``mean = s1 / N`` with 12 fraction bits, truncated towards zero; 0 for root mean square.
- ``C = sgn(mean) · (|mean| · R >> 10)``, the mean in units of ``4·x·R``.
- ``z = sat18(rhe(4·x·R - C, 50 - b - k - F))``, with ``F = 17 - ceil(b / 2)`` fraction bits, which
  leave room for √N.
- ``y = sat16(rhe(z · gain, 12 + F - y_fraction) + bias)``.

The mean is exact for a constant row, so that z is zero there.
"""

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Norm
from .rounding import round_half_even, saturate

MAXIMUM_COLUMNS = 8192
Y_FRACTION_LIMIT = 15
"""`y_fraction` is 0 to 15."""

GAIN_FRACTION = 12
MEAN_FRACTION = 12
Z_BITS = 18


def _moments(
    x: NDArray[np.int64], norm: Norm, epsilon: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the mean with `MEAN_FRACTION` bits and V of each row."""
    n = x.shape[1]
    sums, squares = x.sum(axis=1), (x * x).sum(axis=1)
    if norm == Norm.ROOT_MEAN_SQUARE:
        sums = np.zeros_like(sums)
    mean = np.sign(sums) * ((np.abs(sums) << MEAN_FRACTION) // n)
    return mean, n * squares - sums * sums + n * n * epsilon


def _inverse(
    variance: NDArray[np.int64], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return R and k of each row."""
    present = np.maximum(variance, 1).astype(np.uint64)
    shift = np.zeros(len(present), dtype=np.int64)
    for step in (32, 16, 8, 4, 2):
        small = present < (np.uint64(1) << np.uint64(64 - step))
        present = np.where(small, present << np.uint64(step), present)
        shift += np.where(small, step, 0)
    # Exact: 36 bits and their root fit a float.
    root = np.floor(np.sqrt((present >> np.uint64(28)).astype(np.float64))).astype(np.int64)
    numerator = columns << (17 - columns.bit_length())
    ratio = (numerator << 17) // root
    return np.where(variance == 0, 0, ratio), shift >> 1


def normalise(
    x: NDArray[np.int16],
    gain: NDArray[np.int16],
    bias: NDArray[np.int16],
    norm: Norm,
    y_fraction: int,
    epsilon: int,
) -> NDArray[np.int16]:
    """Return what a NORMALISE instruction writes.

    Parameters
    ----------
    x : int16 [rows, columns]
        1 to 8192 columns, with any number of fraction bits.
    gain : int16 [columns]
        With 12 fraction bits.
    bias : int16 [columns]
        With `y_fraction` fraction bits.
    norm : Norm
    y_fraction : int
        Fraction bits of the result, 0 to 15.
    epsilon : int
        Added to the variance (mean square), in units of x squared; 0 to 2^32 - 1.

    Returns
    -------
    int16 [rows, columns]

    Raises
    ------
    ValueError
        If `y_fraction` or the number of columns is out of its range.
    """
    columns = np.shape(x)[1]
    if not 1 <= columns <= MAXIMUM_COLUMNS:
        raise ValueError(f"columns must be 1 to {MAXIMUM_COLUMNS}, not {columns}")
    if not 0 <= y_fraction <= Y_FRACTION_LIMIT:
        raise ValueError(f"y_fraction must be 0 to {Y_FRACTION_LIMIT}, not {y_fraction}")
    wide = np.asarray(x).astype(np.int64)
    bits = columns.bit_length()
    z_fraction = Z_BITS - 1 - (bits + 1) // 2
    mean, variance = _moments(wide, norm, int(epsilon))
    ratio, k = _inverse(variance, columns)
    offset = np.sign(mean) * ((np.abs(mean) * ratio) >> (MEAN_FRACTION - 2))
    centred = 4 * wide * ratio[:, None] - offset[:, None]
    z = saturate(round_half_even(centred, (50 - bits - k - z_fraction)[:, None]), Z_BITS)
    scaled = round_half_even(z * gain.astype(np.int64), GAIN_FRACTION + z_fraction - y_fraction)
    return saturate(scaled + bias.astype(np.int64), 16).astype(np.int16)
