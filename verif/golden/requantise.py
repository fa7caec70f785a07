"""Model of the arithmetic on the array's drain: accumulators to int16, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from ...sw.scale import ScaleVector
from .rounding import round_half_even, saturate

MAXIMUM_MULTIPLIER = (1 << 16) - 1
SCALED_BITS = 24
"""Bits that a scaled accumulator saturates to before biases and residual are added."""


def requantise(
    accumulators: NDArray[np.int64],
    rows: ScaleVector,
    columns: ScaleVector,
    fraction: int,
    residual: NDArray[np.int16] | None = None,
) -> NDArray[np.int16]:
    """Scale accumulators by their row's and column's scale and add biases and residual.

    Parameters
    ----------
    accumulators : int64 [m, n]
        Each within 48 bits, the widest accumulator.
    rows, columns : ScaleVector
        Scales and biases of the m rows and n columns.
    fraction : int
        Power of two that the result is scaled by as well, -128 to 127.
    residual : int16 [m, n], optional
        Added after scaling.

    Returns
    -------
    int16 [m, n]
    """
    product = np.multiply.outer(rows.mantissa.astype(np.int64), columns.mantissa.astype(np.int64))
    multiplier = np.minimum((product + (1 << 15)) >> 16, MAXIMUM_MULTIPLIER)
    exponent = np.add.outer(rows.exponent.astype(np.int64), columns.exponent.astype(np.int64))
    shift = np.clip(exponent - fraction - 16, 0, 63)
    accumulators = np.asarray(accumulators, dtype=np.int64)
    total = saturate(round_half_even(accumulators * multiplier, shift), SCALED_BITS)
    total += np.add.outer(rows.bias.astype(np.int64), columns.bias.astype(np.int64))
    if residual is not None:
        total += residual
    return saturate(total, 16).astype(np.int16)
