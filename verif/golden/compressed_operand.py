"""Model of what the array reads from compressed words, by the rules of the hardware alone.

The hardware checks less than `sw.sparsity` does: words that it takes may not be canonical. Formats
are in `docs/sparsity.md`, the rules in `docs/dataflows.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...sw.sparsity.bitmap import VALUE_COUNT_BITS, VECTOR_COUNT_BITS
from ...sw.sparsity.slots import ADVANCE_BITS, INDEX_BITS, SLOT_COUNT_BITS
from ...sw.sparsity.words import WORD_BITS, words_of


class WrongPieceError(Exception):
    """A piece breaks a rule.

    Parameters
    ----------
    piece : int
        Its number.
    offset : int
        Its first word.
    """

    def __init__(self, piece: int, offset: int) -> None:
        super().__init__(f"piece {piece} at word {offset} is wrong")
        self.piece = piece
        self.offset = offset


class Vectors(NamedTuple):
    """The vectors of a piece, possibly none.

    Parameters
    ----------
    places : int64 [count]
        Block of each slot, or number of each useful vector in its strip.
    indices : uint8 [count, vector]
        Zero in bitmaps.
    elements : int8 [count, vector]
    """

    places: NDArray[np.int64]
    indices: NDArray[np.uint8]
    elements: NDArray[np.int8]


class _BrokenRuleError(Exception):
    """What is being read is wrong; `read_vectors` knows where it began."""


@dataclass
class _Reader:
    words: NDArray[np.uint64]
    position: int = 0

    def word(self) -> int:
        return int(self._take(1)[0])

    def fields(self, count: int, width: int) -> NDArray[np.uint8]:
        shifts = np.arange(WORD_BITS // width, dtype=np.uint64) * np.uint64(width)
        words = self._take(words_of(count, width))
        mask = np.uint64((1 << width) - 1)
        return (words[:, None] >> shifts & mask).astype(np.uint8).reshape(-1)

    def _take(self, count: int) -> NDArray[np.uint64]:
        first = self.position
        if first + count > len(self.words):
            raise _BrokenRuleError
        self.position += count
        return self.words[first : self.position]


def read_vectors(
    words: NDArray[np.uint64], bitmap: bool, pieces: int, length: int, vector: int, block: int
) -> list[Vectors]:
    """Read a compressed matrix.

    Parameters
    ----------
    words : uint64 [count]
        All of it, and nothing else.
    bitmap : bool
        Two-stage bitmap; block-indexed slots otherwise.
    pieces : int
        Strips or tiles, at least 1.
    length : int
        Vectors of a strip, or blocks of a tile.
    vector : int
        Elements of a vector: columns of the array, or its rows.
    block : int
        Inputs of a block: 4, 8 or 16.

    Raises
    ------
    WrongPieceError
        For the first piece that is wrong.
    """
    reader = _Reader(np.asarray(words, dtype=np.uint64))
    read = []
    for piece in range(pieces):
        first = reader.position
        try:
            if bitmap:
                read.append(_read_strip(reader, length, vector))
            else:
                read.append(_read_tile(reader, length, vector, block))
            if piece == pieces - 1 and reader.position != len(reader.words):
                raise _BrokenRuleError
        except _BrokenRuleError:
            raise WrongPieceError(piece, first) from None
    return read


def _read_strip(reader: _Reader, length: int, vector: int) -> Vectors:
    header = reader.word()
    useful = header & ((1 << VECTOR_COUNT_BITS) - 1)
    values = header >> VECTOR_COUNT_BITS & ((1 << VALUE_COUNT_BITS) - 1)
    if header >> VECTOR_COUNT_BITS + VALUE_COUNT_BITS:
        raise _BrokenRuleError
    places = np.flatnonzero(reader.fields(length, 1))
    present = reader.fields(useful * vector, 1)[: useful * vector] != 0
    stored = reader.fields(values, 8)[:values].view(np.int8)
    if np.any(places >= length) or len(places) != useful or present.sum() != values:
        raise _BrokenRuleError
    elements = np.zeros(useful * vector, dtype=np.int8)
    elements[present] = stored
    shape = (useful, vector)
    return Vectors(places, np.zeros(shape, dtype=np.uint8), elements.reshape(shape))


def _read_tile(reader: _Reader, length: int, vector: int, block: int) -> Vectors:
    slots = reader.word()
    if slots >> SLOT_COUNT_BITS:
        raise _BrokenRuleError
    advances = reader.fields(slots, ADVANCE_BITS)[:slots]
    places = np.cumsum(advances, dtype=np.int64)
    indices = reader.fields(slots * vector, INDEX_BITS[block])[: slots * vector]
    elements = reader.fields(slots * vector, 8)[: slots * vector].view(np.int8)
    if np.any(places >= length) or np.any(indices >= block):
        raise _BrokenRuleError
    shape = (slots, vector)
    return Vectors(places, indices.reshape(shape), elements.reshape(shape))
