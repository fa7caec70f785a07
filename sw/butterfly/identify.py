"""Butterfly factors of a matrix by singular vectors, half of the factors at a time.

Half of a butterfly's factors make a left and a right matrix whose rank-1 terms lie on disjoint
entries, so the best pair is one singular vector a sub-matrix; each side is a set of smaller
butterflies (Zheng, Riccietti and Gribonval, arXiv 2110.01230). Exact for a matrix that is a
butterfly, and a start for `refine` otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def identify(matrices: NDArray[Any]) -> NDArray[Any]:
    """Return the coefficients of one block with increasing strides for each matrix.

    Parameters
    ----------
    matrices : [m, n, n]
        n is a power of two from 2 on.

    Returns
    -------
    [m, log2 n, n/2, 2, 2]
    """
    count, size = matrices.shape[:2]
    if size == 2:
        return matrices[:, None, None]
    log_size = size.bit_length() - 1
    inner = 1 << (log_size // 2)
    outer = size // inner
    left, right = _split(matrices, inner)
    first = identify(right.reshape(count * outer, inner, inner))
    last = identify(left.reshape(count * inner, outer, outer))
    first = first.reshape(count, outer, -1, inner // 2, 2, 2).transpose(0, 2, 1, 3, 4, 5)
    last = last.reshape(count, inner, -1, outer // 2, 2, 2).transpose(0, 2, 3, 1, 4, 5)
    return np.concatenate(
        [factor.reshape(count, -1, size // 2, 2, 2) for factor in (first, last)], axis=1
    )


def _split(matrices: NDArray[Any], inner: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the left [m, inner, outer, outer] and the right [m, outer, inner, inner] matrices.

    A term lies on the rows of one residue modulo `inner` and on one block of `inner` columns.
    """
    count, size = matrices.shape[:2]
    outer = size // inner
    tiles = matrices.reshape(count, outer, inner, outer, inner).transpose(0, 2, 3, 1, 4)
    rows, values, columns = np.linalg.svd(tiles, full_matrices=False)
    weight = np.sqrt(values[..., 0, None])
    left = (rows[..., 0] * weight).transpose(0, 1, 3, 2)
    right = (columns[..., 0, :] * weight).transpose(0, 2, 1, 3)
    return left, right
