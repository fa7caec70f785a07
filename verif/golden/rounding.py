"""Rounding and saturation that the models share."""

import numpy as np
from numpy.typing import NDArray


def round_half_even(values: NDArray[np.int64], shift: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``values / 2^shift`` rounded to the nearest integer, halves to the even one.

    Parameters
    ----------
    values : int64 [...]
    shift : int or int64 [...]
        0 to 63, broadcast against `values`.
    """
    values = np.asarray(values, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    quotient = values >> shift
    # No addition before the shift, which could leave the 64 bits.
    discarded = values & ~(np.int64(-1) << shift)
    half = np.int64(1) << np.maximum(shift - 1, 0)
    up = (discarded > half) | ((discarded == half) & (quotient & 1 == 1))
    return quotient + np.where(shift > 0, up, False)


def saturate(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return `values` limited to the range of a signed number of `bits` bits."""
    limit = 1 << (bits - 1)
    return np.clip(values, -limit, limit - 1)
