"""Two-stage bitmaps: weights for flows that skip whole vectors (sOS, sWS, sIS).

After FlexiSAGA (Mueller et al., arXiv 2506.01566): a bit a vector says whether it holds any
non-zero; the vectors that do have a bit an element, and then come the non-zero values alone. The
bits are laid out in `docs/sparsity.md`, the same in DRAM, in the scratchpad and for the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES
from .checks import check_int8, check_side, check_size
from .errors import SparseFormatError, SparsityError
from .gather import GatherList, check_gather_list, gather_list
from .words import CompressedSize, WordReader, pack_fields, words_of

Axis = Literal["n", "k"]
"""What a vector spans: outputs at one k (sOS, sWS), or k of one output (sIS)."""

VALUE_COUNT_BITS = 32
VECTOR_COUNT_BITS = 16


@dataclass(frozen=True)
class BitmapStrip:
    """The useful vectors of a strip.

    Parameters
    ----------
    gather : uint16 [useful]
        Which vectors are useful: k (axis n) or outputs (axis k), strictly rising.
    vectors : int8 [useful, vector]
        Those vectors; each has a non-zero.
    """

    gather: GatherList
    vectors: NDArray[np.int8]

    @property
    def useful(self) -> int:
        """Vectors with a non-zero: the slots of the strip."""
        return len(self.gather)

    @property
    def nonzeros(self) -> int:
        """Values that are stored."""
        return int(np.count_nonzero(self.vectors))


@dataclass(frozen=True)
class BitmapMatrix:
    """An int8 matrix [n, k], cut in strips of `vector` elements along `axis`.

    Parameters
    ----------
    n, k : int
        Outputs and inputs, 1 to 65535.
    vector : int
        Elements of a vector: columns of the array (sOS, sWS) or rows (sIS).
    axis : str
        ``n`` or ``k``, see `Axis`.
    strips : tuple of BitmapStrip

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    SparseFormatError
        If a strip contradicts the parameters or the format; the message begins with the place.
    """

    n: int
    k: int
    vector: int
    axis: Axis
    strips: tuple[BitmapStrip, ...]

    def __post_init__(self) -> None:
        check_shape(self.n, self.k, self.vector, self.axis)
        expected = strip_count(self.n, self.k, self.vector, self.axis)
        if len(self.strips) != expected:
            raise SparseFormatError(
                f"strip {min(len(self.strips), expected)}: {len(self.strips)} strips were given, "
                f"but {self.n} x {self.k} along {self.axis} has {expected}"
            )
        for index in range(expected):
            self._check_strip(index)

    @property
    def length(self) -> int:
        """Vectors of a strip, useful or not."""
        return self.k if self.axis == "n" else self.n

    @property
    def slots(self) -> int:
        """Useful vectors of all strips: what sOS and sIS take for one tile of activations."""
        return sum(strip.useful for strip in self.strips)

    def passes(self, rows: int) -> int:
        """Return the stationary tiles of `rows` packed vectors: what sWS takes for one token."""
        return sum(-(-strip.useful // rows) for strip in self.strips)

    @property
    def nonzeros(self) -> int:
        """Values that are stored."""
        return sum(strip.nonzeros for strip in self.strips)

    @property
    def size(self) -> CompressedSize:
        """Bytes against the dense form."""
        index = sum(
            words_of(self.length, 1) + words_of(strip.useful * self.vector, 1)
            for strip in self.strips
        )
        values = sum(words_of(strip.nonzeros, 8) for strip in self.strips)
        header = len(self.strips)
        sizes = (WORD_BYTES * words for words in (header, index, values))
        return CompressedSize(self.n * self.k, *sizes)

    def to_dense(self) -> NDArray[np.int8]:
        """Return the matrix, int8 [n, k]."""
        span = len(self.strips) * self.vector
        dense = np.zeros((self.length, span), dtype=np.int8)
        for index, strip in enumerate(self.strips):
            dense[strip.gather, index * self.vector : (index + 1) * self.vector] = strip.vectors
        return (dense.T[: self.n] if self.axis == "n" else dense[:, : self.k]).copy()

    def pack(self) -> NDArray[np.uint64]:
        """Return the words of all strips, one after another."""
        return np.concatenate([self.pack_strip(index) for index in range(len(self.strips))])

    def pack_strip(self, index: int) -> NDArray[np.uint64]:
        """Return the words of strip `index`: header, vector bits, element bits, values."""
        strip = self.strips[index]
        used = np.zeros(self.length, dtype=np.uint8)
        used[strip.gather] = 1
        present = strip.vectors != 0
        header = strip.useful | strip.nonzeros << VECTOR_COUNT_BITS
        return np.concatenate(
            [
                np.array([header], dtype=np.uint64),
                pack_fields(used, 1),
                pack_fields(present, 1),
                pack_fields(strip.vectors[present], 8),
            ]
        )

    def _check_strip(self, index: int) -> None:
        strip, where = self.strips[index], f"strip {index}"
        if strip.vectors.shape != (strip.useful, self.vector) or strip.vectors.dtype != np.int8:
            raise SparseFormatError(
                f"{where}: vectors must be int8 [{strip.useful}, {self.vector}], "
                f"not {strip.vectors.dtype} {list(strip.vectors.shape)}"
            )
        check_gather_list(strip.gather, self.length, where)
        empty = np.flatnonzero(~np.any(strip.vectors, axis=1))
        if empty.size:
            raise SparseFormatError(
                f"{where}, vector {strip.gather[empty[0]]}: is listed, but has no non-zero"
            )
        elements = (self.n if self.axis == "n" else self.k) - index * self.vector
        beyond = np.argwhere(strip.vectors[:, elements:])
        if beyond.size:
            row, column = beyond[0]
            raise SparseFormatError(
                f"{where}, vector {strip.gather[row]}, element {elements + column}: is beyond "
                "the matrix and must be zero"
            )


def check_shape(n: int, k: int, vector: int, axis: str) -> None:
    """Refuse a shape that the format does not have.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    check_size(n, k)
    check_side("vector", vector)
    if axis not in ("n", "k"):
        raise SparsityError(f"axis must be n or k, not {axis!r}")


def strip_count(n: int, k: int, vector: int, axis: Axis) -> int:
    """Return the strips of a matrix."""
    return -(-(n if axis == "n" else k) // vector)


def encode(weights: NDArray[np.int8], vector: int, axis: Axis) -> BitmapMatrix:
    """Compress `weights`.

    Parameters
    ----------
    weights : int8 [n, k]
    vector : int
        Elements of a vector, a power of two from 2 to 64: columns of the array for sOS and sWS,
        rows for sIS.
    axis : str
        ``n`` for sOS and sWS, ``k`` for sIS.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    check_int8(weights)
    n, k = weights.shape
    check_shape(n, k, vector, axis)
    oriented = weights.T if axis == "n" else weights
    strips = strip_count(n, k, vector, axis)
    padded = np.zeros((oriented.shape[0], strips * vector), dtype=np.int8)
    padded[:, : oriented.shape[1]] = oriented
    return BitmapMatrix(n, k, vector, axis, tuple(map(_encode_strip, np.hsplit(padded, strips))))


def _encode_strip(vectors: NDArray[np.int8]) -> BitmapStrip:
    gather = gather_list(np.any(vectors, axis=1))
    return BitmapStrip(gather, vectors[gather])


def unpack(words: NDArray[np.uint64], n: int, k: int, vector: int, axis: Axis) -> BitmapMatrix:
    """Read what `BitmapMatrix.pack` wrote.

    Parameters
    ----------
    words : uint64 [count]
    n, k, vector, axis
        As of `BitmapMatrix`; the data does not repeat them.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    SparseFormatError
        If the data is malformed; the message begins with the place.
    """
    check_shape(n, k, vector, axis)
    reader = WordReader(words)
    length = k if axis == "n" else n
    count = strip_count(n, k, vector, axis)
    strips = tuple(_read_strip(reader, index, length, vector) for index in range(count))
    reader.end()
    return BitmapMatrix(n, k, vector, axis, strips)


def _read_strip(reader: WordReader, index: int, length: int, vector: int) -> BitmapStrip:
    where = f"strip {index}"
    header = reader.word(f"{where}, header")
    useful = header & ((1 << VECTOR_COUNT_BITS) - 1)
    nonzeros = header >> VECTOR_COUNT_BITS & ((1 << VALUE_COUNT_BITS) - 1)
    if header >> (VECTOR_COUNT_BITS + VALUE_COUNT_BITS):
        raise SparseFormatError(
            f"{where}, header, word {reader.position - 1}: reserved bits are not zero"
        )
    gather = gather_list(reader.fields(length, 1, f"{where}, vector bits") != 0)
    if len(gather) != useful:
        raise SparseFormatError(
            f"{where}: header counts {useful} useful vectors, the vector bits {len(gather)}"
        )
    present = reader.fields(useful * vector, 1, f"{where}, element bits") != 0
    if np.count_nonzero(present) != nonzeros:
        raise SparseFormatError(
            f"{where}: header counts {nonzeros} values, the element bits "
            f"{np.count_nonzero(present)}"
        )
    values = reader.fields(nonzeros, 8, f"{where}, values").view(np.int8)
    zeros = np.flatnonzero(values == 0)
    if zeros.size:
        raise SparseFormatError(f"{where}, value {zeros[0]}: is zero, but its element bit is set")
    vectors = np.zeros(useful * vector, dtype=np.int8)
    vectors[present] = values
    return BitmapStrip(gather, vectors.reshape(useful, vector))
