"""Model of products with a compressed operand: what it stands for, what it takes and skips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import COMPRESSED_A_FLOWS, SPARSE_OUTPUT_FLOWS, ErrorCode, Flow
from .compressed_operand import Vectors, WrongPieceError, read_vectors
from .fault import Fault
from .operands import Matrix
from .scratchpad import Scratchpad


@dataclass(frozen=True)
class CompressedProduct:
    """A product of A [m, k] and B [n, k], one of them compressed.

    The compressed operand is cut along its span in pieces of `width`: n of B, k of A.

    Parameters
    ----------
    config : AcceleratorConfig
    flow : Flow
        A sparse one.
    m, n, k : int
    """

    config: AcceleratorConfig
    flow: Flow
    m: int
    n: int
    k: int

    @property
    def width(self) -> int:
        """Elements of a vector."""
        array = self.config.array
        return array.rows if self.flow in COMPRESSED_A_FLOWS else array.columns

    @property
    def span(self) -> int:
        """Elements that all pieces together have in a vector's direction."""
        return self.k if self.flow in COMPRESSED_A_FLOWS else self.n

    @property
    def block(self) -> int:
        """Elements of K among which an index selects; 1 where there is no index."""
        is_slots = self.flow == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY
        return self.config.array.block if is_slots else 1

    @property
    def _length(self) -> int:
        """Places of a piece."""
        return self.m if self.flow in COMPRESSED_A_FLOWS else _tiles(self.k, self.block)

    def pieces(self, place: Matrix, scratchpad: Scratchpad) -> list[Vectors]:
        """Decode the words at `place`.

        Raises
        ------
        Fault
            `COMPRESSED_OPERAND` with the first word of the first piece that is malformed.
        """
        words = place.read(scratchpad)[0]
        count = _tiles(self.span, self.width)
        try:
            return read_vectors(
                words, self.block == 1, count, self._length, self.width, self.config.array.block
            )
        except WrongPieceError as wrong:
            address = place.address + wrong.offset
            raise Fault(ErrorCode.COMPRESSED_OPERAND, address) from None

    def expand(self, pieces: Sequence[Vectors]) -> NDArray[np.int64]:
        """Return the operand, int64 [m or n, k]; elements beyond the matrix are left out."""
        length = self._length * self.block
        dense = np.zeros((length, len(pieces) * self.width), dtype=np.int64)
        for number, piece in enumerate(pieces):
            places = piece.places[:, np.newaxis] * self.block + piece.indices
            elements = number * self.width + np.arange(self.width)
            np.add.at(dense, (places, elements), piece.elements)
        if self.flow in COMPRESSED_A_FLOWS:
            return dense[:, : self.k]
        return dense[: self.k, : self.n].T

    def multiplies(self, pieces: Sequence[Vectors]) -> int:
        """Return the rows times columns of use, over all steps."""
        others = self.n if self.flow in COMPRESSED_A_FLOWS else self.m
        return others * sum(
            len(piece.places) * min(self.width, self.span - number * self.width)
            for number, piece in enumerate(pieces)
        )

    def skipped(self, pieces: Sequence[Vectors]) -> int:
        """Return the steps of the dense flow that are not made.

        A piece without any vector has no step here, though the array makes one to begin its tile.
        """
        array = self.config.array
        useful = [len(piece.places) for piece in pieces]
        if self.flow in SPARSE_OUTPUT_FLOWS:
            steps = sum(max(0, self.k - count) for count in useful)
            return _tiles(self.m, array.rows) * steps
        if self.flow == Flow.SPARSE_INPUT_STATIONARY:
            return _tiles(self.n, array.columns) * sum(self.m - count for count in useful)
        dense_tiles = _tiles(self.k, array.rows)
        return self.m * sum(dense_tiles - _tiles(count, array.rows) for count in useful)


def _tiles(length: int, side: int) -> int:
    return -(-length // side)
