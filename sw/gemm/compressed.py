"""The compressed operand of a product: its words and its steps, for any run of rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...hw.config import ArrayConfig
from ..sparsity import bitmap, slots
from ..sparsity.bitmap import BitmapMatrix
from ..sparsity.dataflow import Dataflow
from ..sparsity.slots import SlotMatrix
from ..sparsity.words import CompressedSize


class Compressed(Protocol):
    """A compressed matrix [rows, k], of which a product uses some rows at a time."""

    size: CompressedSize
    """Of the whole matrix."""

    def steps(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the slots or useful vectors of each piece of `count` rows from `first` on."""

    def words(self, first: int, count: int) -> int:
        """Return about how many words these rows take."""

    def pack(self, first: int, count: int) -> NDArray[np.uint64]:
        """Return the words of these rows."""


class RowPieces:
    """Pieces are some rows each: sOS, csOS, sWS.

    Parameters
    ----------
    matrix : BitmapMatrix or SlotMatrix
    rows : int
        Rows of a piece.
    """

    def __init__(self, matrix: BitmapMatrix | SlotMatrix, rows: int) -> None:
        self.size = matrix.size
        self._rows = rows
        if isinstance(matrix, SlotMatrix):
            self._pieces = [matrix.pack_tile(index) for index in range(len(matrix.tiles))]
            self._steps = np.array([tile.slots for tile in matrix.tiles])
        else:
            self._pieces = [matrix.pack_strip(index) for index in range(len(matrix.strips))]
            self._steps = np.array([strip.useful for strip in matrix.strips])
        self._ends = np.cumsum([0, *map(len, self._pieces)])

    def _range(self, first: int, count: int) -> tuple[int, int]:
        return first // self._rows, -(-(first + count) // self._rows)

    def steps(self, first: int, count: int) -> NDArray[np.int64]:
        start, end = self._range(first, count)
        return self._steps[start:end]

    def words(self, first: int, count: int) -> int:
        start, end = self._range(first, count)
        return int(self._ends[end] - self._ends[start])

    def pack(self, first: int, count: int) -> NDArray[np.uint64]:
        start, end = self._range(first, count)
        return np.concatenate(self._pieces[start:end])


class InputStrips:
    """Pieces are stretches of K, over all rows: sIS.

    Parameters
    ----------
    weights : int8 [rows, k]
    vector : int
        Inputs of a stretch.
    """

    def __init__(self, weights: NDArray[np.int8], vector: int) -> None:
        self._weights, self._vector = weights, vector
        self.size = bitmap.encode(weights, vector, "k").size
        starts = np.arange(0, weights.shape[1], vector)
        useful = np.logical_or.reduceat(weights != 0, starts, axis=1)
        self._before = np.zeros((len(weights) + 1, len(starts)), dtype=np.int64)
        np.cumsum(useful, axis=0, out=self._before[1:])

    def steps(self, first: int, count: int) -> NDArray[np.int64]:
        return self._before[first + count] - self._before[first]

    def words(self, first: int, count: int) -> int:
        share = count / len(self._weights)
        return int(self.size.total / 8 * share) + 2 * len(self._before[0])

    def pack(self, first: int, count: int) -> NDArray[np.uint64]:
        return bitmap.encode(self._weights[first : first + count], self._vector, "k").pack()


def compress(flow: Dataflow, matrix: NDArray[np.int8], array: ArrayConfig) -> Compressed:
    """Return `matrix` [rows, k] in the format of a sparse `flow`.

    Raises
    ------
    SparsityError
        If the matrix or the array has no such format.
    """
    if flow == Dataflow.SPARSE_INPUT:
        return InputStrips(matrix, array.rows)
    if flow == Dataflow.COLUMN_SPARSE_OUTPUT:
        return RowPieces(slots.encode(matrix, array.columns, array.block), array.columns)
    return RowPieces(bitmap.encode(matrix, array.columns, "n"), array.columns)
