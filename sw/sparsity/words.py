"""Fields of 1, 2, 4 or 8 bits in scratchpad words, and the sizes of what is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES
from .errors import SparseFormatError

WORD_BITS = 8 * WORD_BYTES


@dataclass(frozen=True)
class CompressedSize:
    """Bytes of a compressed int8 matrix, each part in whole words.

    Parameters
    ----------
    dense : int
        Of the matrix as int8, without padding.
    header, index, values : int
        Of the parts of the compressed form.
    """

    dense: int
    header: int
    index: int
    values: int

    @property
    def total(self) -> int:
        """Bytes of the compressed form."""
        return self.header + self.index + self.values

    @property
    def ratio(self) -> float:
        """Compressed bytes over dense ones."""
        return self.total / self.dense


def words_of(count: int, width: int) -> int:
    """Return how many words hold `count` fields of `width` bits."""
    return -(-count * width // WORD_BITS)


def pack_fields(fields: NDArray[np.integer], width: int) -> NDArray[np.uint64]:
    """Put fields back to back, the first in the lowest bits; the rest of the last word is zero.

    Parameters
    ----------
    fields : integers, any shape, row by row
        Signed ones are taken modulo ``2^width``.
    width : int
        Bits of a field: 1, 2, 4 or 8.

    Returns
    -------
    uint64 [words_of(fields.size, width)]
    """
    per_word = WORD_BITS // width
    padded = np.zeros((words_of(fields.size, width), per_word), dtype=np.uint64)
    mask = np.uint64((1 << width) - 1)
    padded.reshape(-1)[: fields.size] = fields.reshape(-1).astype(np.uint64) & mask
    shifts = np.arange(per_word, dtype=np.uint64) * np.uint64(width)
    return np.bitwise_or.reduce(padded << shifts, axis=1)


class WordReader:
    """Reads words in order and refuses what is missing, left over, or not zero in padding.

    Parameters
    ----------
    words : uint64 [count]
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = np.asarray(words, dtype=np.uint64)
        self._next = 0

    @property
    def position(self) -> int:
        """Index of the next word."""
        return self._next

    def word(self, what: str) -> int:
        """Return the next word.

        Raises
        ------
        SparseFormatError
            If there is none.
        """
        return int(self._take(1, what)[0])

    def fields(self, count: int, width: int, what: str) -> NDArray[np.uint8]:
        """Return the next `count` fields, which begin and end at a word.

        Raises
        ------
        SparseFormatError
            If the data ends before them, or the rest of their last word is not zero.
        """
        first = self._next
        words = self._take(words_of(count, width), what)
        shifts = np.arange(WORD_BITS // width, dtype=np.uint64) * np.uint64(width)
        mask = np.uint64((1 << width) - 1)
        fields = ((words[:, None] >> shifts) & mask).astype(np.uint8).reshape(-1)
        if np.any(fields[count:]):
            last = first + len(words) - 1
            raise SparseFormatError(f"{what}, word {last}: padding after {count} is not zero")
        return fields[:count]

    def end(self) -> None:
        """Refuse words that nothing has read.

        Raises
        ------
        SparseFormatError
            If there are any.
        """
        if self._next != len(self._words):
            raise SparseFormatError(
                f"word {self._next}: the matrix ends here, but {len(self._words)} words were given"
            )

    def _take(self, count: int, what: str) -> NDArray[np.uint64]:
        end = self._next + count
        if end > len(self._words):
            raise SparseFormatError(
                f"{what}, word {self._next}: takes {count} words, but the data ends after "
                f"{len(self._words)}"
            )
        words = self._words[self._next : end]
        self._next = end
        return words
