"""Model of the array unit: an int8 product, requantised to int16, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from ...sw.scale import ScaleVector
from .requantise import requantise
from .softmax import PLANE_BITS


def wrap(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return `values` reduced to a two's complement number of `bits` bits."""
    unused = 64 - bits
    return (values << unused) >> unused


def accumulate(
    a: NDArray[np.integer], b: NDArray[np.integer], accumulator_width: int = 32
) -> NDArray[np.int64]:
    """Return ``A[m, k] · B[n, k]ᵀ`` as the accumulators hold it: int64 [m, n]."""
    # Exact: k products of at most 2^21 stay far below 2^53, and floats go through BLAS.
    exact = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int64)
    return wrap(exact, accumulator_width)


def from_planes(high: NDArray[np.integer], low: NDArray[np.integer]) -> NDArray[np.int16]:
    """Return the wide operand whose planes are `high` and the 7 lower bits of `low`."""
    return (high.astype(np.int16) << PLANE_BITS) + (low & ((1 << PLANE_BITS) - 1))


def matmul(
    a: NDArray[np.integer],
    b: NDArray[np.integer],
    rows: ScaleVector,
    columns: ScaleVector,
    fraction: int,
    residual: NDArray[np.int16] | None = None,
    *,
    accumulator_width: int = 32,
) -> NDArray[np.int16]:
    """Return what a MATMUL instruction writes.

    Parameters
    ----------
    a : int8 [m, k], or int16 if it has two planes
    b : int8 [n, k]
    rows, columns : ScaleVector
        Scales and biases of the m rows and n columns.
    fraction : int
        Power of two that the result is scaled by as well, -128 to 127.
    residual : int16 [m, n], optional
        Added after scaling.
    accumulator_width : int
        Bits of an accumulator; sums wrap there.

    Returns
    -------
    int16 [m, n]
    """
    return requantise(accumulate(a, b, accumulator_width), rows, columns, fraction, residual)
