"""Block-indexed slots: exact round trip, sizes, and malformed data refused where it lies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_weights import DENSITIES, flip_random_bit, random_weights

from ageha.sw.sparsity import slots
from ageha.sw.sparsity.errors import SparseFormatError, SparsityError
from ageha.sw.sparsity.slots import SlotMatrix, SlotTile


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    n=st.integers(1, 70),
    k=st.integers(1, 140),
    density=st.sampled_from(DENSITIES),
    columns=st.sampled_from([2, 4, 16, 64]),
    block=st.sampled_from([4, 8, 16]),
)
def test_round_trip(seed, n, k, density, columns, block):
    weights = random_weights(seed, n, k, density)
    matrix = slots.encode(weights, columns, block)
    words = matrix.pack()
    assert words.dtype == np.uint64 and 8 * len(words) == matrix.size.total
    read = slots.unpack(words, n, k, columns, block)
    np.testing.assert_array_equal(read.to_dense(), weights)
    np.testing.assert_array_equal(read.pack(), words)
    assert matrix.nonzeros == np.count_nonzero(weights)


def test_dense_takes_a_slot_for_each_input():
    assert slots.encode(np.ones((16, 35), np.int8), 16, 8).slots == 35


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_wrong_bit_is_refused_or_means_itself(seed):
    """No two words mean the same: what is read after a wrong bit is written with that bit."""
    words = flip_random_bit(slots.encode(random_weights(seed, 12, 40, 0.2), 4, 8).pack(), seed)
    try:
        read = slots.unpack(words, 12, 40, 4, 8)
    except SparseFormatError:
        return
    np.testing.assert_array_equal(read.pack(), words)


def test_layout():
    """Block 0 is empty, block 1 has two slots, because output 1 has two non-zeros in it."""
    weights = np.zeros((4, 8), dtype=np.int8)
    weights[1, [4, 7]] = [5, -1]
    weights[3, 6] = 9
    words = slots.encode(weights, 4, 4).pack()
    advances, indices, values = 0x0001, 0b_00001100_10000000, 0x0000FF00_09000500
    assert words.tolist() == [2, advances, indices, values]


@pytest.mark.parametrize(
    ("blocks", "advances"),
    [
        ([0], [0]),
        ([255], [255]),
        ([256], [255, 1]),
        ([765], [255, 255, 255]),
        ([766], [255, 255, 255, 1]),
        ([3, 258, 514], [3, 255, 255, 1]),
    ],
)
def test_long_gaps_take_padding(blocks, advances):
    weights = np.zeros((2, 4 * 800), dtype=np.int8)
    weights[1, 4 * np.array(blocks) + 2] = 7
    matrix = slots.encode(weights, 2, 4)
    assert matrix.tiles[0].advances.tolist() == advances
    read = slots.unpack(matrix.pack(), 2, 4 * 800, 2, 4)
    np.testing.assert_array_equal(read.to_dense(), weights)


@pytest.mark.parametrize(("block", "index_bytes"), [(4, 128), (8, 256), (16, 256)])
def test_sizes(block, index_bytes):
    """Half of each block stays: 32 slots of 16 columns."""
    weights = np.zeros((16, 64), dtype=np.int8)
    weights[:, ::2] = 1
    size = slots.encode(weights, 16, block).size
    assert (size.dense, size.header) == (1024, 8)
    assert (size.index, size.values) == (32 + index_bytes, 512)


def sample():
    """Return two tiles of 4 outputs, the second with 2, of which the last block has 2 inputs."""
    weights = np.zeros((6, 10), dtype=np.int8)
    weights[0, [1, 6]] = [1, 2]
    weights[2, 3] = 3
    weights[5, 9] = 4
    return slots.encode(weights, 4, 8)


def flip(index, bit):
    def change(words):
        words[index] ^= np.uint64(1 << bit)

    return change


def put(index, value):
    def change(words):
        words[index] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip(0, 0), "tile 1, values, word 8: takes 1 words, but the data ends after 8"),
        (flip(0, 20), "tile 0, advances, word 1: takes 131073 words, but the data ends after 8"),
        (flip(0, 32), "tile 0, header, word 0: reserved bits are not zero"),
        (flip(1, 16), "tile 0, advances, word 1: padding after 2 is not zero"),
        (flip(1, 9), "tile 0, slot 1: is in block 2, but 10 inputs have 2"),
        (flip(2, 32), "tile 0, indices, word 2: padding after 8 is not zero"),
        (flip(2, 3), r"tile 0, slot 0, column 0: has an index out .* \(block 0, index 9, value 1"),
        (flip(2, 4), r"tile 0, slot 0, column 1: is padding and must have index zero"),
        (put(2, 0x0301), r"tile 0, slot 1, column 0: .* does not rise"),
        (flip(6, 5), r"tile 1, slot 0, column 1: .* out of its block \(block 1, index 3"),
        (put(7, 0x04000400), r"tile 1, slot 0, column 3: is beyond the last output"),
        (put(7, 0), r"tile 1, slot 0: is padding alone \(advance 1\)"),
        (put(3, 0x00000002_00030000), r"tile 0, slot 0, column 0: is padding and must"),
        (put(3, 0x00000000_00030001), r"tile 0, slot 1: is padding alone \(advance 0\)"),
    ],
)
def test_malformed_words(change, message):
    words = sample().pack()
    assert len(words) == 8
    change(words)
    with pytest.raises(SparseFormatError, match=message) as error:
        slots.unpack(words, 6, 10, 4, 8)
    assert "\n" not in str(error.value)


def one_column(advances, values):
    """Return 2 x 4096 weights in blocks of 4; column 0 of the slots has these values."""
    elements = np.zeros((len(values), 2), np.int8)
    elements[:, 0] = values
    tile = SlotTile(np.array(advances, np.uint8), np.zeros((len(values), 2), np.uint8), elements)
    return SlotMatrix(2, 4096, 2, 4, (tile,))


def test_padding_that_a_gap_needs():
    assert one_column([255, 255, 1], [0, 0, 5]).to_dense()[0, 4 * 511] == 5


@pytest.mark.parametrize(
    ("advances", "values", "slot"),
    [
        ([1], [0], 0),
        ([255], [0], 0),
        ([255, 0], [0, 1], 0),
        ([1, 254, 3], [1, 0, 1], 1),
        ([1, 255, 255], [1, 0, 0], 2),
    ],
)
def test_needless_padding(advances, values, slot):
    with pytest.raises(SparseFormatError, match=f"tile 0, slot {slot}: is padding alone"):
        one_column(advances, values)


def test_value_after_padding():
    values = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.int8)
    tile = SlotTile(np.array([0, 0], np.uint8), np.zeros((2, 4), np.uint8), values)
    with pytest.raises(SparseFormatError, match="tile 0, slot 1, column 1: follows padding"):
        SlotMatrix(4, 8, 4, 8, (tile,))


def test_shapes_that_disagree():
    tile = sample().tiles[0]
    with pytest.raises(SparseFormatError, match="tile 1: 1 tiles were given, .* 6 outputs have 2"):
        SlotMatrix(6, 10, 4, 8, (tile,))
    with pytest.raises(SparseFormatError, match="tile 0: has 1 advances, but 2 slots"):
        SlotMatrix(4, 10, 4, 8, (replace(tile, advances=tile.advances[:1]),))
    with pytest.raises(SparseFormatError, match=r"must both be \[2, 4\]"):
        SlotMatrix(4, 10, 4, 8, (replace(tile, indices=tile.indices[:1]),))


def test_wrong_length():
    words = sample().pack()
    with pytest.raises(SparseFormatError, match="tile 1, values, word 7: takes 1 words, but"):
        slots.unpack(words[:-1], 6, 10, 4, 8)
    with pytest.raises(SparseFormatError, match="word 8: the matrix ends here, but 9 words"):
        slots.unpack(np.append(words, np.uint64(0)), 6, 10, 4, 8)


@pytest.mark.parametrize(
    ("columns", "block", "message"),
    [
        (4, 5, "block must be one of 4, 8, 16, not 5"),
        (4, 32, "block must be one of 4, 8, 16, not 32"),
        (5, 8, "columns must be a power of two from 2 to 64, not 5"),
    ],
)
def test_bad_requests(columns, block, message):
    with pytest.raises(SparsityError, match=message):
        slots.encode(np.zeros((2, 3), np.int8), columns, block)
