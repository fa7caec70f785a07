"""Model of the sparse dataflows: the product from compressed data alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...sw.sparsity.bitmap import BitmapMatrix
from ...sw.sparsity.slots import SlotMatrix


def bitmap_product(activations: NDArray[np.int8], weights: BitmapMatrix) -> NDArray[np.int64]:
    """Multiply by weights in two-stage bitmaps, vector by vector.

    Parameters
    ----------
    activations : int8 [m, k]
    weights : BitmapMatrix of [n, k]

    Returns
    -------
    int64 [m, n]
    """
    spans = len(weights.strips) * weights.vector
    exact = activations.astype(np.int64)
    if weights.axis == "n":
        result = np.zeros((len(exact), spans), dtype=np.int64)
        for index, strip in enumerate(weights.strips):
            outputs = slice(index * weights.vector, (index + 1) * weights.vector)
            result[:, outputs] = exact[:, strip.gather] @ strip.vectors.astype(np.int64)
        return result[:, : weights.n]
    padded = np.pad(exact, ((0, 0), (0, spans - weights.k)))
    result = np.zeros((len(exact), weights.n), dtype=np.int64)
    for index, strip in enumerate(weights.strips):
        inputs = slice(index * weights.vector, (index + 1) * weights.vector)
        result[:, strip.gather] += padded[:, inputs] @ strip.vectors.T.astype(np.int64)
    return result


def slot_product(activations: NDArray[np.int8], weights: SlotMatrix) -> NDArray[np.int64]:
    """Multiply by weights in block-indexed slots, slot by slot as the array does.

    Parameters
    ----------
    activations : int8 [m, k]
    weights : SlotMatrix of [n, k]

    Returns
    -------
    int64 [m, n]
    """
    padding = weights.blocks * weights.block - weights.k
    padded = np.pad(activations.astype(np.int64), ((0, 0), (0, padding)))
    result = np.zeros((len(padded), len(weights.tiles) * weights.columns), dtype=np.int64)
    for index, tile in enumerate(weights.tiles):
        sums = result[:, index * weights.columns : (index + 1) * weights.columns]
        for slot, block in enumerate(tile.blocks):
            selected = padded[:, block * weights.block + tile.indices[slot]]
            sums += selected * tile.values[slot]
    return result[:, : weights.n]
