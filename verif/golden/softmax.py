"""Model of SOFTMAX: int8 planes of unnormalised probabilities and 1 / sum a row, bit for bit.

A causal row r has ``first_length + r`` elements, at most all columns; those that follow have
``p = 0`` and count neither for the maximum nor for the sum. For each row ``t = max - x`` (0 to
65535) is aligned to 15 fraction bits, ``w = t << (15 - x_fraction)``: the integer part is
``i = w >> 15``, bits 14 to 9 choose one of 64 segments of 2^-f and bits 8 to 0, doubled, the place
in it; ``e`` has 16 fraction bits, 2^15 to 2^16. With two planes ``p = min(16383, rhe(e, 2 + i))``,
hi = p >> 7 and lo = p & 127; with one ``p = min(127, rhe(e, 9 + i))``. Shifts from 18 on give 0.

The scale word is 1 / s of ``s = Σp`` (127 to 2^30): with n the bits of s,
``d = (s << (32 - n)) >> 14`` in [2^17, 2^18), ``m = min(65535, floor(2^33 / d))`` and the exponent
is ``15 + n``.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...hw.exponential import POSITION_BITS, VALUE_BITS, exponential_table
from ...hw.interpolation import OFFSET_BITS, Segment
from ...sw.scale import ScaleVector
from .activation import FRACTION_LIMIT
from .interpolation import interpolate
from .rounding import round_half_even

PLANE_BITS = 7
MAXIMUM_SHIFT = 31


@cache
def _table() -> tuple[Segment, ...]:
    return exponential_table()


def _present(rows: int, columns: int, first_length: int | None) -> NDArray[np.bool_]:
    """Return which elements take part, [rows, columns]."""
    if first_length is None:
        return np.ones((rows, columns), dtype=bool)
    return np.arange(columns) < first_length + np.arange(rows)[:, np.newaxis]


def _probabilities(
    x: NDArray[np.int16], x_fraction: int, bits: int, present: NDArray[np.bool_]
) -> NDArray[np.int64]:
    wide = np.where(present, x.astype(np.int64), -(1 << 15))
    position = (wide.max(axis=1, keepdims=True) - wide) << (POSITION_BITS - x_fraction)
    fraction = position & ((1 << POSITION_BITS) - 1)
    offset = (fraction << 1) & ((1 << OFFSET_BITS) - 1)
    segment = (fraction << 1) >> OFFSET_BITS
    value = interpolate(_table(), segment, offset)
    shift = np.minimum((position >> POSITION_BITS) + VALUE_BITS - bits, MAXIMUM_SHIFT)
    p = np.minimum(round_half_even(value, shift), (1 << bits) - 1)
    return np.where(present, p, 0)


def _reciprocal(sums: NDArray[np.int64]) -> ScaleVector:
    _, length = np.frexp(sums.astype(np.float64))
    length = length.astype(np.int64)
    d = (sums << (32 - length)) >> 14
    mantissa = np.minimum((1 << 33) // d, 65535)
    return ScaleVector(
        mantissa.astype(np.uint16),
        (15 + length).astype(np.int8),
        np.zeros(len(sums), dtype=np.int16),
    )


def softmax(
    x: NDArray[np.int16], x_fraction: int, two_planes: bool, first_length: int | None = None
) -> tuple[NDArray[np.int8], NDArray[np.int8] | None, ScaleVector]:
    """Return what a SOFTMAX instruction writes.

    Parameters
    ----------
    x : int16 [rows, columns]
        Exponents of two.
    x_fraction : int
        Fraction bits of x, 0 to 15.
    two_planes : bool
        14 bits of probability in two planes instead of 7 in one.
    first_length : int, optional
        Elements of row 0 that take part, at least 1, each further row one more; all by default.

    Returns
    -------
    hi : int8 [rows, columns]
        0 to 127.
    lo : int8 [rows, columns] or None
        The 7 bits below `hi`, where there are two planes.
    scales : ScaleVector of `rows`
        ``hi · scale``, or ``(128 · hi + lo) · scale``, are probabilities that sum to 1.

    Raises
    ------
    ValueError
        If `x_fraction` or `first_length` is out of its range.
    """
    if first_length is not None and first_length < 1:
        raise ValueError(f"first_length must be at least 1, not {first_length}")
    if not 0 <= x_fraction <= FRACTION_LIMIT:
        raise ValueError(f"x_fraction of SOFTMAX must be 0 to {FRACTION_LIMIT}, not {x_fraction}")
    bits = 2 * PLANE_BITS if two_planes else PLANE_BITS
    x = np.asarray(x)
    rows, columns = x.shape
    p = _probabilities(x, x_fraction, bits, _present(rows, columns, first_length))
    scales = _reciprocal(p.sum(axis=1))
    if not two_planes:
        return p.astype(np.int8), None, scales
    lo = p & ((1 << PLANE_BITS) - 1)
    return (p >> PLANE_BITS).astype(np.int8), lo.astype(np.int8), scales
