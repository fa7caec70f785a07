"""What a dataflow may skip, counted from the weights at compile time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .dataflow import Dataflow


def ideal_cycles(
    flow: Dataflow,
    weights: NDArray[np.int8],
    m: int,
    rows: int,
    columns: int,
    block: int = 8,
) -> int:
    """Return the cycles that the skip rule of `flow` leaves, one slot a cycle, without any fill.

    Counted from the weights themselves, not from a compressed form: it does not depend on any
    activation. `docs/sparsity.md` has the rules.

    Parameters
    ----------
    flow : Dataflow
    weights : int8 [n, k]
    m : int
        Rows of activations.
    rows, columns : int
        Of the array.
    block : int
        Inputs of a block, for csOS.
    """
    used = weights != 0
    n, k = used.shape
    row_tiles, column_tiles = _tiles(m, rows), _tiles(m, columns)
    match flow:
        case Dataflow.DENSE_OUTPUT:
            return row_tiles * _tiles(n, columns) * k
        case Dataflow.DENSE_WEIGHT:
            return _tiles(k, rows) * _tiles(n, columns) * m
        case Dataflow.DENSE_INPUT:
            return _tiles(k, rows) * column_tiles * n
        case Dataflow.SPARSE_OUTPUT:
            return row_tiles * int(_any_of(used.T, columns).sum())
        case Dataflow.COLUMN_SPARSE_OUTPUT:
            return row_tiles * _block_slots(used, columns, block)
        case Dataflow.SPARSE_WEIGHT:
            reached = used[np.any(used, axis=1)]
            return m * min(_passes(outputs, rows, columns) for outputs in (used, reached))
        case Dataflow.SPARSE_INPUT:
            return column_tiles * int(_any_of(used, rows).sum())


def _tiles(length: int, side: int) -> int:
    return -(-length // side)


def _any_of(used: NDArray[np.bool_], group: int) -> NDArray[np.bool_]:
    """Say of every `group` elements of a row whether any is used: [rows, ceil(length / group)]."""
    return np.logical_or.reduceat(used, np.arange(0, used.shape[1], group), axis=1)


def _passes(used: NDArray[np.bool_], rows: int, columns: int) -> int:
    """Return the stationary tiles that the useful rows of each strip of outputs fill."""
    useful = _any_of(used.T, columns).sum(axis=0)
    return sum(_tiles(int(count), rows) for count in useful)


def _block_slots(used: NDArray[np.bool_], columns: int, block: int) -> int:
    counts = np.add.reduceat(used, np.arange(0, used.shape[1], block), axis=1, dtype=np.int64)
    fullest = np.maximum.reduceat(counts, np.arange(0, used.shape[0], columns), axis=0)
    return int(fullest.sum())
