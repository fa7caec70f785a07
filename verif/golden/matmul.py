"""Model of the array unit: an int8 product, requantised to int16, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from ...sw.scale import ScaleVector
from .requantise import requantise


def wrap(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return `values` reduced to a two's complement number of `bits` bits."""
    unused = 64 - bits
    return (values << unused) >> unused


def accumulate(
    a: NDArray[np.integer], b: NDArray[np.integer], accumulator_width: int = 32
) -> NDArray[np.int64]:
    """Return ``A[m, k] · B[n, k]ᵀ`` as the accumulators hold it: int64 [m, n]."""
    # Exact: k products of some 2^14 stay far below 2^53, and floats go through BLAS.
    exact = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int64)
    return wrap(exact, accumulator_width)


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
    a : int8 [m, k]
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
