"""Block-indexed slots: weights for csOS, in which every column brings only its own non-zeros.

A tile is `columns` outputs. Its K is cut in blocks of B; in one slot each column multiplies one of
its non-zeros by the activation that a small index selects from the block. A block lasts as many
slots as its fullest column has non-zeros; an empty block takes none, because each slot says how
many blocks to go on. The bits are laid out in `docs/sparsity.md`, the same in DRAM, in the
scratchpad and for the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES
from .checks import check_int8, check_side, check_size
from .errors import SparseFormatError, SparsityError
from .words import CompressedSize, WordReader, pack_fields, words_of

INDEX_BITS = {4: 2, 8: 4, 16: 4}
"""Bits of an index by block size: a power of two, so that no index straddles a word."""

ADVANCE_BITS = 8
SLOT_COUNT_BITS = 32

LONGEST_ADVANCE = (1 << ADVANCE_BITS) - 1
"""Blocks that one slot can go on; a longer gap takes slots of padding."""


@dataclass(frozen=True)
class SlotTile:
    """The slots of one tile of outputs.

    Parameters
    ----------
    advances : uint8 [slots]
        How many blocks to go on before each slot. That of the first slot is its block.
    indices : uint8 [slots, columns]
        Place in the block of each value; zero where a column has none left.
    values : int8 [slots, columns]
        In a block, the non-zeros of a column in rising order of their index, then zeros.
    """

    advances: NDArray[np.uint8]
    indices: NDArray[np.uint8]
    values: NDArray[np.int8]

    @property
    def slots(self) -> int:
        """Slots of all blocks, and of padding in long gaps."""
        return len(self.values)

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Block of each slot, int64 [slots]."""
        return np.cumsum(self.advances, dtype=np.int64)


@dataclass(frozen=True)
class SlotMatrix:
    """An int8 matrix [n, k] in block-indexed slots.

    Parameters
    ----------
    n, k : int
        Outputs and inputs, 1 to 65535.
    columns : int
        Outputs of a tile, a power of two from 2 to 64.
    block : int
        Inputs of a block: 4, 8 or 16.
    tiles : tuple of SlotTile

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    SparseFormatError
        If a tile contradicts the parameters or the format; the message begins with the place.
    """

    n: int
    k: int
    columns: int
    block: int
    tiles: tuple[SlotTile, ...]

    def __post_init__(self) -> None:
        check_shape(self.n, self.k, self.columns, self.block)
        expected = -(-self.n // self.columns)
        if len(self.tiles) != expected:
            raise SparseFormatError(
                f"tile {min(len(self.tiles), expected)}: {len(self.tiles)} tiles were given, "
                f"but {self.n} outputs have {expected}"
            )
        for index, tile in enumerate(self.tiles):
            check_tile(tile, self, index)

    @property
    def blocks(self) -> int:
        """Blocks of a tile."""
        return -(-self.k // self.block)

    @property
    def slots(self) -> int:
        """Slots of all tiles: what csOS takes for one tile of activations."""
        return sum(tile.slots for tile in self.tiles)

    @property
    def nonzeros(self) -> int:
        """Values that are not padding."""
        return sum(int(np.count_nonzero(tile.values)) for tile in self.tiles)

    @property
    def size(self) -> CompressedSize:
        """Bytes against the dense form; the advances belong to the index."""
        width = INDEX_BITS[self.block]
        index = sum(
            words_of(tile.advances.size, ADVANCE_BITS) + words_of(tile.indices.size, width)
            for tile in self.tiles
        )
        values = sum(words_of(tile.values.size, 8) for tile in self.tiles)
        sizes = (WORD_BYTES * words for words in (len(self.tiles), index, values))
        return CompressedSize(self.n * self.k, *sizes)

    def to_dense(self) -> NDArray[np.int8]:
        """Return the matrix, int8 [n, k]."""
        dense = np.zeros((self.n, self.k), dtype=np.int8)
        for index, tile in enumerate(self.tiles):
            slot, column = np.nonzero(tile.values)
            k = tile.blocks[slot] * self.block + tile.indices[slot, column]
            dense[index * self.columns + column, k] = tile.values[slot, column]
        return dense

    def pack(self) -> NDArray[np.uint64]:
        """Return the words of all tiles, one after another."""
        return np.concatenate([self.pack_tile(index) for index in range(len(self.tiles))])

    def pack_tile(self, index: int) -> NDArray[np.uint64]:
        """Return the words of tile `index`: header, advances, indices, values."""
        tile = self.tiles[index]
        return np.concatenate(
            [
                np.array([tile.slots], dtype=np.uint64),
                pack_fields(tile.advances, ADVANCE_BITS),
                pack_fields(tile.indices, INDEX_BITS[self.block]),
                pack_fields(tile.values, 8),
            ]
        )


def check_shape(n: int, k: int, columns: int, block: int) -> None:
    """Refuse a shape that the format does not have.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    check_size(n, k)
    check_side("columns", columns)
    if block not in INDEX_BITS:
        raise SparsityError(f"block must be one of {', '.join(map(str, INDEX_BITS))}, not {block}")


def check_tile(tile: SlotTile, matrix: SlotMatrix, index: int) -> None:
    """Refuse a tile that does not follow the format.

    Raises
    ------
    SparseFormatError
        With tile, slot and, if it is one element that is wrong, its column.
    """
    where = f"tile {index}"
    _check_advances(tile, matrix, where)
    _check_indices(tile, matrix, where)
    outputs = matrix.n - index * matrix.columns
    beyond = tile.values[:, outputs:]
    _refuse(beyond != 0, tile, where, "is beyond the last output and must be zero", outputs)


def _check_advances(tile: SlotTile, matrix: SlotMatrix, where: str) -> None:
    shape = (tile.slots, matrix.columns)
    if tile.values.shape != shape or tile.indices.shape != shape:
        raise SparseFormatError(
            f"{where}: values and indices must both be {list(shape)}, not "
            f"{list(tile.values.shape)} and {list(tile.indices.shape)}"
        )
    if len(tile.advances) != tile.slots:
        raise SparseFormatError(
            f"{where}: has {len(tile.advances)} advances, but {tile.slots} slots"
        )
    beyond = np.flatnonzero(tile.blocks >= matrix.blocks)
    if beyond.size:
        slot = beyond[0]
        raise SparseFormatError(
            f"{where}, slot {slot}: is in block {tile.blocks[slot]}, but {matrix.k} inputs have "
            f"{matrix.blocks}"
        )
    padding = ~np.any(tile.values, axis=1)
    needless = padding & (tile.advances != LONGEST_ADVANCE)
    # A gap that ends with padding could be written without it.
    needless[:-1] |= padding[:-1] & (tile.advances[1:] == 0)
    needless[-1:] |= padding[-1:]
    if np.any(needless):
        slot = np.flatnonzero(needless)[0]
        raise SparseFormatError(
            f"{where}, slot {slot}: is padding alone (advance {tile.advances[slot]})"
        )


def _check_indices(tile: SlotTile, matrix: SlotMatrix, where: str) -> None:
    limits = np.minimum(matrix.block, matrix.k - tile.blocks * matrix.block)
    used = tile.values != 0
    _refuse(tile.indices >= limits[:, None], tile, where, "has an index out of its block")
    _refuse(~used & (tile.indices != 0), tile, where, "is padding and must have index zero")
    follows = tile.advances == 0
    follows[:1] = False
    before = np.roll(used, 1, axis=0)
    _refuse(follows[:, None] & used & ~before, tile, where, "follows padding of its column")
    rises = tile.indices > np.roll(tile.indices, 1, axis=0)
    _refuse(follows[:, None] & used & ~rises, tile, where, "has an index that does not rise")


def _refuse(
    wrong: NDArray[np.bool_], tile: SlotTile, where: str, what: str, first_column: int = 0
) -> None:
    """Report the first element that is `wrong`, bool [slots, columns from `first_column`]."""
    if not np.any(wrong):
        return
    slot, column = np.argwhere(wrong)[0]
    column += first_column
    raise SparseFormatError(
        f"{where}, slot {slot}, column {column}: {what} (block {tile.blocks[slot]}, "
        f"index {tile.indices[slot, column]}, value {tile.values[slot, column]})"
    )


def encode(weights: NDArray[np.int8], columns: int, block: int) -> SlotMatrix:
    """Compress `weights`.

    Parameters
    ----------
    weights : int8 [n, k]
    columns : int
        Outputs of a tile, a power of two from 2 to 64: columns of the array.
    block : int
        Inputs of a block: 4, 8 or 16.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    check_int8(weights)
    n, k = weights.shape
    check_shape(n, k, columns, block)
    tiles, blocks = -(-n // columns), -(-k // block)
    padded = np.zeros((tiles * columns, blocks * block), dtype=np.int8)
    padded[:n, :k] = weights
    blocked = padded.reshape(tiles, columns, blocks, block)
    return SlotMatrix(n, k, columns, block, tuple(map(_encode_tile, blocked)))


def _encode_tile(weights: NDArray[np.int8]) -> SlotTile:
    """Return the slots of weights [columns, blocks, block]."""
    used = weights != 0
    counts = used.sum(axis=2).max(axis=0)
    advances, first_slot = _advances(counts)
    rank = np.cumsum(used, axis=2) - 1
    column, block, index = np.nonzero(used)
    slot = first_slot[block] + rank[used]
    shape = (len(advances), weights.shape[0])
    indices, values = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int8)
    indices[slot, column] = index
    values[slot, column] = weights[used]
    return SlotTile(advances, indices, values)


def _advances(counts: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the advance of each slot, and the first slot of each block.

    Parameters
    ----------
    counts : int64 [blocks]
        Slots of each block, without padding.
    """
    blocks = np.flatnonzero(counts)
    gaps = np.diff(blocks, prepend=0)
    padding = np.maximum(gaps - 1, 0) // LONGEST_ADVANCE
    lengths = padding + counts[blocks]
    first_slot = np.zeros(len(counts), dtype=np.int64)
    first_slot[blocks] = np.cumsum(lengths) - counts[blocks]
    advances = np.zeros(int(lengths.sum()), dtype=np.uint8)
    advances[first_slot[blocks]] = gaps - LONGEST_ADVANCE * padding
    for block in np.flatnonzero(padding):
        end = first_slot[blocks[block]]
        advances[end - padding[block] : end] = LONGEST_ADVANCE
    return advances, first_slot


def unpack(words: NDArray[np.uint64], n: int, k: int, columns: int, block: int) -> SlotMatrix:
    """Read what `SlotMatrix.pack` wrote.

    Parameters
    ----------
    words : uint64 [count]
    n, k, columns, block
        As of `SlotMatrix`; the data does not repeat them.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    SparseFormatError
        If the data is malformed; the message begins with the place.
    """
    check_shape(n, k, columns, block)
    reader = WordReader(words)
    tiles = tuple(_read_tile(reader, index, columns, block) for index in range(-(-n // columns)))
    reader.end()
    return SlotMatrix(n, k, columns, block, tiles)


def _read_tile(reader: WordReader, index: int, columns: int, block: int) -> SlotTile:
    where = f"tile {index}"
    slots = reader.word(f"{where}, header")
    if slots >> SLOT_COUNT_BITS:
        raise SparseFormatError(
            f"{where}, header, word {reader.position - 1}: reserved bits are not zero"
        )
    advances = reader.fields(slots, ADVANCE_BITS, f"{where}, advances")
    indices = reader.fields(slots * columns, INDEX_BITS[block], f"{where}, indices")
    values = reader.fields(slots * columns, 8, f"{where}, values").view(np.int8)
    return SlotTile(advances, indices.reshape(slots, columns), values.reshape(slots, columns))
