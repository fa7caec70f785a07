"""Model of the partial sums of the stationary flows, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from .matmul import wrap


def partial_sums(
    rows: NDArray[np.integer],
    sums: NDArray[np.int64],
    count: int,
    accumulator_width: int = 32,
) -> NDArray[np.int64]:
    """Return what the drain is given of a tile of C columns.

    Parameters
    ----------
    rows : integers [v]
        The row, below `count`, that each vector of sums is added to.
    sums : int64 [v, C]
    count : int
        Rows of the tile; those without a vector are zero.
    accumulator_width : int
        Bits of a sum, which wraps.

    Returns
    -------
    int64 [count, C]
    """
    total = np.zeros((count, sums.shape[1]), dtype=np.int64)
    np.add.at(total, rows, sums)
    return wrap(total, accumulator_width)
