"""What the formats of weights take: slots and bytes, dense or in block-indexed slots."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, ArrayConfig
from ..sparsity.slots import ADVANCE_BITS, INDEX_BITS
from ..sparsity.tasd import Series, Term, check_block
from ..sparsity.words import words_of


@dataclass(frozen=True)
class LayerCost:
    """Of one product with weights [n, k].

    Parameters
    ----------
    slots : int
        Array steps for each tile of activations, without fill: the multiply-adds that the array
        makes over rows times columns.
    bytes : int
        Of the weights in DRAM.
    steps : int64 [tiles]
        Slots of each tile of the operand that is compressed; empty if none is.
    """

    slots: int
    bytes: int
    steps: NDArray[np.int64] = field(compare=False, default_factory=lambda: np.zeros(0, np.int64))

    def cycles(self, m: int, array: ArrayConfig) -> int:
        """Return the cycles for `m` rows of activations at one slot a cycle."""
        return -(-m // array.rows) * self.slots


def dense_cost(n: int, k: int, array: ArrayConfig) -> LayerCost:
    """Return the cost of dense weights, output stationary."""
    return LayerCost(-(-n // array.columns) * k, n * k)


def series_cost(n: int, k: int, series: Series, array: ArrayConfig) -> LayerCost:
    """Return the cost of weights in `series`, at most: blocks need not be full.

    Raises
    ------
    SparsityError
        If an M does not divide the array's block.
    """
    check_block(series, array.block)
    full = sum(term.n * (array.block // term.m) for term in series)
    widths = np.diff(np.append(np.arange(0, k, array.block), k))
    tile = int(np.minimum(widths, full).sum())
    return _compressed(np.full(-(-n // array.columns), tile), array)


def kept_cost(n: int, k: int, term: Term, array: ArrayConfig) -> LayerCost:
    """Return the cost of dense weights [n, k] with inputs of which `term` is kept."""
    return LayerCost(-(-n // array.columns) * -(-k // term.m) * term.n, n * k)


def weights_cost(weights: NDArray, array: ArrayConfig) -> LayerCost:
    """Return the cost of these very weights [n, k], compressed if they have any zero.

    Gaps of more than 255 empty blocks are not counted.
    """
    used = weights != 0
    n, k = used.shape
    if np.all(used):
        return dense_cost(n, k, array)
    counts = np.add.reduceat(used, np.arange(0, k, array.block), axis=1, dtype=np.int64)
    fullest = np.maximum.reduceat(counts, np.arange(0, n, array.columns), axis=0)
    return _compressed(fullest.sum(axis=1), array)


def _compressed(slots: NDArray[np.int64], array: ArrayConfig) -> LayerCost:
    """Return the cost of tiles of `slots`, int64 [tiles]."""
    width = INDEX_BITS[array.block]
    words = sum(
        1
        + words_of(int(count), ADVANCE_BITS)
        + words_of(int(count) * array.columns, width)
        + words_of(int(count) * array.columns, 8)
        for count in slots
    )
    return LayerCost(int(slots.sum()), WORD_BYTES * words, slots)
