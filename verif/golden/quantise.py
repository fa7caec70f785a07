"""Model of QUANTISE: an activation, then int8 with a scale a row, bit for bit.

For each row, with f the activated elements and ``a = max |f|`` (0 to 32768): if a is 0 the row and
its scale word are zero. Otherwise ``d = a << lz`` lies in [2^15, 2^16), and

- ``r = floor(127 · 2^24 / d)``, ``y = clip(rhe(f · r, 24 - lz), -127, 127)``;
- the scale is d · 128/127, ``m = d + ((516 · d + 2^15) >> 16)`` with exponent
  ``lz + 7 + x_fraction``; where m reaches 2^16 it is halved and the exponent is one less.
"""

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Activation
from ...sw.scale import ScaleVector
from .activation import activation as activate
from .rounding import round_half_even

LIMIT = 127
RECIPROCAL_BITS = 24
X_FRACTION_LIMIT = 64
"""`x_fraction` is at least -64 and at most 64."""


def quantise(
    x: NDArray[np.int16], activation: Activation, x_fraction: int
) -> tuple[NDArray[np.int8], ScaleVector]:
    """Return what a QUANTISE instruction writes.

    Parameters
    ----------
    x : int16 [rows, columns]
    activation : Activation
        Applied first.
    x_fraction : int
        Fraction bits of x: -64 to 64, for GELU 0 to 15.

    Returns
    -------
    y : int8 [rows, columns]
        -127 to 127.
    scales : ScaleVector of `rows`
        ``y · scale`` approximates the activated x.

    Raises
    ------
    ValueError
        If `x_fraction` is out of its range.
    """
    if not -X_FRACTION_LIMIT <= x_fraction <= X_FRACTION_LIMIT:
        raise ValueError(
            f"x_fraction must be {-X_FRACTION_LIMIT} to {X_FRACTION_LIMIT}, not {x_fraction}"
        )
    f = activate(x, activation, x_fraction).astype(np.int64)
    largest = np.abs(f).max(axis=1)
    _, length = np.frexp(largest.astype(np.float64))
    leading = np.where(largest == 0, 0, 16 - length).astype(np.int64)
    d = largest << leading
    reciprocal = (LIMIT << RECIPROCAL_BITS) // np.maximum(d, 1)
    reciprocal = np.where(largest == 0, 0, reciprocal)
    scaled = round_half_even(f * reciprocal[:, None], (RECIPROCAL_BITS - leading)[:, None])
    y = np.clip(scaled, -LIMIT, LIMIT).astype(np.int8)
    mantissa = d + ((516 * d + (1 << 15)) >> 16)
    carry = mantissa >> 16
    exponent = np.where(largest == 0, 0, leading - carry + 7 + x_fraction)
    scales = ScaleVector(
        (mantissa >> carry).astype(np.uint16),
        exponent.astype(np.int8),
        np.zeros(len(largest), dtype=np.int16),
    )
    return y, scales
