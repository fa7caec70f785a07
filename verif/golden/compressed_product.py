"""Model of products with a compressed operand: what it stands for, what it takes and skips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import COMPRESSED_A_FLOWS, SPARSE_OUTPUT_FLOWS, ErrorCode, Flow
from ...sw.sparsity import bitmap, slots
from ...sw.sparsity.errors import SparseFormatError
from .fault import Fault
from .operands import Matrix
from .scratchpad import Scratchpad


@dataclass(frozen=True)
class Piece:
    """The vectors of a strip or a tile.

    Parameters
    ----------
    places : integers [vectors]
        Number of the vector in its strip, or the block of the slot.
    elements : int8 [vectors, width]
    indices : integers [vectors, width]
        Place in the block, or zeros.
    """

    places: NDArray
    elements: NDArray
    indices: NDArray


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

    def pieces(self, place: Matrix, scratchpad: Scratchpad) -> list[Piece]:
        """Decode the words at `place`.

        Raises
        ------
        Fault
            `COMPRESSED_OPERAND` with the first word of the first piece that is malformed.
        """
        words = place.read(scratchpad)[0]
        try:
            if self.block > 1:
                tiles = slots.unpack(words, self.n, self.k, self.width, self.block).tiles
                return [Piece(tile.blocks, tile.values, tile.indices) for tile in tiles]
            axis = "k" if self.flow in COMPRESSED_A_FLOWS else "n"
            rows = self.m if axis == "k" else self.n
            strips = bitmap.unpack(words, rows, self.k, self.width, axis).strips
        except SparseFormatError:
            raise Fault(ErrorCode.COMPRESSED_OPERAND, place.address) from None
        return [
            Piece(strip.gather, strip.vectors, np.zeros_like(strip.vectors)) for strip in strips
        ]

    def expand(self, pieces: Sequence[Piece]) -> NDArray[np.int64]:
        """Return the operand, int64 [m or n, k]; elements beyond the matrix are left out."""
        rows_of_a = self.flow in COMPRESSED_A_FLOWS
        length = self.m if rows_of_a else -(-self.k // self.block) * self.block
        dense = np.zeros((length, len(pieces) * self.width), dtype=np.int64)
        for number, piece in enumerate(pieces):
            places = piece.places[:, np.newaxis] * self.block + piece.indices
            elements = number * self.width + np.arange(self.width)
            np.add.at(dense, (places, elements), piece.elements)
        return dense[:, : self.k] if rows_of_a else dense[: self.k, : self.n].T

    def multiplies(self, pieces: Sequence[Piece]) -> int:
        """Return the rows times columns of use, over all steps."""
        others = self.n if self.flow in COMPRESSED_A_FLOWS else self.m
        return others * sum(
            len(piece.places) * min(self.width, self.span - number * self.width)
            for number, piece in enumerate(pieces)
        )

    def skipped(self, pieces: Sequence[Piece]) -> int:
        """Return the steps of the dense flow that are not made.

        A piece without any vector has no step here, though the array makes one to begin its tile.
        """
        array = self.config.array
        useful = [len(piece.places) for piece in pieces]
        if self.flow in SPARSE_OUTPUT_FLOWS:
            return _tiles(self.m, array.rows) * sum(self.k - count for count in useful)
        if self.flow == Flow.SPARSE_INPUT_STATIONARY:
            return _tiles(self.n, array.columns) * sum(self.m - count for count in useful)
        dense_tiles = _tiles(self.k, array.rows)
        return self.m * sum(dense_tiles - _tiles(count, array.rows) for count in useful)


def _tiles(length: int, side: int) -> int:
    return -(-length // side)
