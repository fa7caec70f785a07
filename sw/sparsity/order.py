"""Orders of outputs in which unstructured weights take fewer slots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .checks import check_matrix


def fullest_first(weights: NDArray) -> NDArray[np.int64]:
    """Return the outputs in falling order of their non-zeros; of equals, the first comes first.

    A tile of csOS waits for its fullest column, so columns of one fullness belong together.
    Reordering costs nothing where the next product can take its inputs in that order, as between
    the two products of a feed-forward part.

    Parameters
    ----------
    weights : [n, k]

    Returns
    -------
    int64 [n]
        ``weights[order]`` is the matrix to compress; its output i is output ``order[i]``.

    Raises
    ------
    SparsityError
        If the weights are no matrix.
    """
    check_matrix(weights)
    return np.argsort(-np.count_nonzero(weights, axis=1), kind="stable")
