"""Model of the activation functions of QUANTISE, bit for bit.

GELU(x) = relu(x) - d(|x|). With `x_fraction` from 0 to 15 the magnitude (0 to 32768) is aligned to
15 fraction bits, ``w = |x| << (15 - x_fraction)``. From 4 on, d is 0. Below, bits 16 to 10 of w
choose one of 128 segments and bits 9 to 0 the place in it; the interpolated value has 17 fraction
bits, and ``d = rhe(value, 17 - x_fraction)``. The sum needs no saturation.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...hw.activation import POSITION_BITS, TABLE_END, VALUE_BITS, gelu_table
from ...hw.interpolation import OFFSET_BITS, Segment
from ...hw.isa import Activation
from .interpolation import interpolate
from .rounding import round_half_even

FRACTION_LIMIT = 15
"""Greatest `x_fraction` of GELU and SOFTMAX; the least is 0."""


@cache
def _table() -> tuple[Segment, ...]:
    return gelu_table()


def _gelu(x: NDArray[np.int64], x_fraction: int) -> NDArray[np.int64]:
    position = np.abs(x) << (POSITION_BITS - x_fraction)
    inside = position < TABLE_END << POSITION_BITS
    position = np.where(inside, position, 0)
    offset = position & ((1 << OFFSET_BITS) - 1)
    value = interpolate(_table(), position >> OFFSET_BITS, offset)
    distance = round_half_even(value, VALUE_BITS - x_fraction)
    return np.maximum(x, 0) - np.where(inside, distance, 0)


def activation(x: NDArray[np.int16], kind: Activation, x_fraction: int) -> NDArray[np.int16]:
    """Return the activation of each element.

    Parameters
    ----------
    x : int16 [...]
    kind : Activation
    x_fraction : int
        Fraction bits of x and of the result; GELU takes 0 to 15, the others any.

    Returns
    -------
    int16 [...]

    Raises
    ------
    ValueError
        If GELU does not take `x_fraction`.
    """
    wide = np.asarray(x).astype(np.int64)
    if kind == Activation.RELU:
        wide = np.maximum(wide, 0)
    elif kind == Activation.GELU:
        if not 0 <= x_fraction <= FRACTION_LIMIT:
            raise ValueError(f"x_fraction of GELU must be 0 to {FRACTION_LIMIT}, not {x_fraction}")
        wide = _gelu(wide, x_fraction)
    return wide.astype(np.int16)
