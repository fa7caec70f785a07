"""Model of the grid of processing elements: what tiles and vectors leave as."""

import numpy as np
from numpy.typing import NDArray

from .matmul import wrap


def select(
    activations: NDArray[np.integer],
    weights: NDArray[np.int8],
    indices: NDArray[np.integer],
    accumulator_width: int,
) -> NDArray[np.int64]:
    """Return the sums of an output stationary tile.

    Parameters
    ----------
    activations : int8 [steps, rows, block]; 15 bits where a step is wide
    weights : int8 [steps, columns]
    indices : integers [steps, columns]
        Which activation of its block each column multiplies.
    accumulator_width : int
        Bits of an accumulator; sums wrap there.

    Returns
    -------
    int64 [rows, columns]
    """
    chosen = np.take_along_axis(activations.astype(np.int64), indices[:, np.newaxis], axis=2)
    return wrap(np.einsum("src,sc->rc", chosen, weights.astype(np.int64)), accumulator_width)


def chain(
    vector: NDArray[np.int8], weights: NDArray[np.int8], accumulator_width: int
) -> NDArray[np.int64]:
    """Return the sums of a vector, int8 [rows], that passes a tile, int8 [rows, columns]."""
    return wrap(vector.astype(np.int64) @ weights.astype(np.int64), accumulator_width)
