"""Model of the activation functions of QUANTISE and MULTIPLY, bit for bit.

GELU(x) and SILU(x) are relu(x) - d(|x|). With `x_fraction` from 0 to 15 the magnitude (0 to 32768)
is aligned to 15 fraction bits, ``w = |x| << (15 - x_fraction)``. From 4 on (SILU: 16), d is 0.
Below, bits 16 to 10 of w choose one of 128 segments and bits 9 to 0 the place in it; from 2 on
SILU takes bits 18 to 12 and bits 11 to 2. The interpolated value has 17 fraction bits, and
``d = rhe(value, 17 - x_fraction)``. The sum needs no saturation.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...hw.activation import (
    COARSE_BITS,
    POSITION_BITS,
    SILU_FINE_END,
    SILU_TABLE_END,
    TABLE_END,
    VALUE_BITS,
    gelu_table,
    silu_coarse_table,
    silu_fine_table,
)
from ...hw.interpolation import OFFSET_BITS, Segment
from ...hw.isa import TABULATED_ACTIVATIONS, Activation
from .interpolation import interpolate
from .rounding import round_half_even

FRACTION_LIMIT = 15
"""Greatest `x_fraction` of GELU, SILU and SOFTMAX; the least is 0."""


@cache
def _tabulated(table: Callable[[], tuple[Segment, ...]]) -> tuple[Segment, ...]:
    return table()


def _look_up(
    table: Callable[[], tuple[Segment, ...]], position: NDArray[np.int64], end: int
) -> NDArray[np.int64]:
    """Return the table at `position`, and zero from `end` on."""
    inside = position < end << POSITION_BITS
    position = np.where(inside, position, 0)
    offset = position & ((1 << OFFSET_BITS) - 1)
    value = interpolate(_tabulated(table), position >> OFFSET_BITS, offset)
    return np.where(inside, value, 0)


def _distance(position: NDArray[np.int64], kind: Activation) -> NDArray[np.int64]:
    if kind == Activation.GELU:
        return _look_up(gelu_table, position, TABLE_END)
    coarse = _look_up(silu_coarse_table, position >> COARSE_BITS, SILU_TABLE_END >> COARSE_BITS)
    fine = _look_up(silu_fine_table, position, SILU_FINE_END)
    return np.where(position < SILU_FINE_END << POSITION_BITS, fine, coarse)


def activation(x: NDArray[np.int16], kind: Activation, x_fraction: int) -> NDArray[np.int16]:
    """Return the activation of each element.

    Parameters
    ----------
    x : int16 [...]
    kind : Activation
    x_fraction : int
        Fraction bits of x and of the result; GELU and SILU take 0 to 15, the others any.

    Returns
    -------
    int16 [...]

    Raises
    ------
    ValueError
        If the activation does not take `x_fraction`.
    """
    wide = np.asarray(x).astype(np.int64)
    if kind in TABULATED_ACTIVATIONS:
        if not 0 <= x_fraction <= FRACTION_LIMIT:
            raise ValueError(
                f"x_fraction of {kind.name} must be 0 to {FRACTION_LIMIT}, not {x_fraction}"
            )
        value = _distance(np.abs(wide) << (POSITION_BITS - x_fraction), kind)
        wide = np.maximum(wide, 0) - round_half_even(value, VALUE_BITS - x_fraction)
    elif kind == Activation.RELU:
        wide = np.maximum(wide, 0)
    return wide.astype(np.int16)
