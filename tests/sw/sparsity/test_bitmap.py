"""Two-stage bitmaps: exact round trip, sizes, and malformed data refused where it lies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_weights import DENSITIES, flip_random_bit, random_weights

from ageha.sw.sparsity import bitmap
from ageha.sw.sparsity.bitmap import BitmapMatrix, BitmapStrip
from ageha.sw.sparsity.errors import SparseFormatError, SparsityError
from ageha.sw.sparsity.gather import check_gather_list, compact_outputs


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    n=st.integers(1, 70),
    k=st.integers(1, 140),
    density=st.sampled_from(DENSITIES),
    vector=st.sampled_from([2, 4, 16, 64]),
    axis=st.sampled_from(["n", "k"]),
)
def test_round_trip(seed, n, k, density, vector, axis):
    weights = random_weights(seed, n, k, density)
    matrix = bitmap.encode(weights, vector, axis)
    words = matrix.pack()
    assert words.dtype == np.uint64 and 8 * len(words) == matrix.size.total
    read = bitmap.unpack(words, n, k, vector, axis)
    np.testing.assert_array_equal(read.to_dense(), weights)
    np.testing.assert_array_equal(read.pack(), words)
    assert matrix.nonzeros == np.count_nonzero(weights)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_wrong_bit_is_refused_or_means_itself(seed):
    """No two words mean the same: what is read after a wrong bit is written with that bit."""
    words = flip_random_bit(bitmap.encode(random_weights(seed, 12, 40, 0.2), 4, "n").pack(), seed)
    try:
        read = bitmap.unpack(words, 12, 40, 4, "n")
    except SparseFormatError:
        return
    np.testing.assert_array_equal(read.pack(), words)


def test_layout():
    """Vector 1 of 3 is useful; of its four elements the first and the third are non-zero."""
    weights = np.zeros((4, 3), dtype=np.int8)
    weights[:, 1] = [5, 0, -1, 0]
    words = bitmap.encode(weights, 4, "n").pack()
    assert [hex(word) for word in words] == ["0x20001", "0x2", "0x5", "0xff05"]


def test_sizes():
    weights = np.zeros((16, 640), dtype=np.int8)
    weights[:, ::10] = 1
    size = bitmap.encode(weights, 16, "n").size
    assert (size.dense, size.header, size.index, size.values) == (10240, 8, 80 + 128, 1024)
    assert size.ratio == size.total / 10240


def test_counts_of_slots():
    weights = np.zeros((20, 40), dtype=np.int8)
    weights[3, [1, 5, 39]] = 1
    weights[17, 7] = 1
    assert bitmap.encode(weights, 16, "n").slots == 4
    assert bitmap.encode(weights, 16, "n").passes(2) == 3
    assert bitmap.encode(weights, 16, "k").slots == 3


def corrupt(change):
    """Return the words of a matrix, changed."""
    weights = np.zeros((6, 10), dtype=np.int8)
    weights[0, 2], weights[3, 2], weights[1, 7], weights[5, 9] = 1, 2, 3, 4
    words = bitmap.encode(weights, 4, "n").pack()
    assert len(words) == 8
    change(words)
    return words


def put(index, value):
    def change(words):
        words[index] = value

    return change


def flip(index, bit):
    def change(words):
        words[index] ^= np.uint64(1 << bit)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip(0, 0), r"strip 0: header counts 3 useful vectors, the vector bits 2"),
        (flip(0, 16), r"strip 0: header counts 2 values, the element bits 3"),
        (flip(4, 50), r"strip 1, header, word 4: reserved bits are not zero"),
        (flip(1, 10), r"strip 0, vector bits, word 1: padding after 10 is not zero"),
        (flip(1, 3), r"strip 0: header counts 2 useful vectors, the vector bits 3"),
        (flip(2, 8), r"strip 0, element bits, word 2: padding after 8 is not zero"),
        (flip(2, 7), r"strip 0: header counts 3 values, the element bits 4"),
        (put(2, 0x70), r"strip 0, vector 2: is listed, but has no non-zero"),
        (put(3, 0x030001), r"strip 0, value 1: is zero, but its element bit is set"),
        (put(3, 0x04030201), r"strip 0, values, word 3: padding after 3 is not zero"),
        (put(6, 0x4), r"strip 1, vector 9, element 2: is beyond the matrix and must be zero"),
    ],
)
def test_malformed_words(change, message):
    with pytest.raises(SparseFormatError, match=message) as error:
        bitmap.unpack(corrupt(change), 6, 10, 4, "n")
    assert "\n" not in str(error.value)


def test_wrong_length():
    words = corrupt(lambda words: None)
    with pytest.raises(SparseFormatError, match=r"strip 1, values, word 7: takes 1 words, but"):
        bitmap.unpack(words[:-1], 6, 10, 4, "n")
    with pytest.raises(SparseFormatError, match=r"word 8: the matrix ends here, but 9 words"):
        bitmap.unpack(np.append(words, np.uint64(0)), 6, 10, 4, "n")
    with pytest.raises(SparseFormatError, match=r"strip 0, header, word 0: takes 1 words"):
        bitmap.unpack(words[:0], 6, 10, 4, "n")


def test_malformed_strips():
    strip = BitmapStrip(np.array([1, 2], np.uint16), np.ones((2, 4), np.int8))
    with pytest.raises(SparseFormatError, match="strip 0, entry 1: index 2 follows 2"):
        BitmapMatrix(4, 5, 4, "n", (replace(strip, gather=np.array([2, 2], np.uint16)),))
    with pytest.raises(SparseFormatError, match="strip 0: vectors must be int8"):
        BitmapMatrix(4, 5, 4, "n", (replace(strip, vectors=np.ones((1, 4), np.int8)),))
    with pytest.raises(SparseFormatError, match="strip 1: 2 strips were given, but 4 x 5 .* has 1"):
        BitmapMatrix(4, 5, 4, "n", (strip, strip))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([3, 1], "gather list, entry 1: index 1 follows 3; a list must rise"),
        ([0, 4, 4], "gather list, entry 2: index 4 follows 4"),
        ([0, 10], "gather list, entry 1: index 10 is not from 0 to 9"),
        ([-1], "gather list, entry 0: index -1 is not from"),
    ],
)
def test_gather_lists(indices, message):
    with pytest.raises(SparseFormatError, match=message):
        check_gather_list(np.array(indices), 10)


def test_compact_outputs():
    weights = np.array([[0, 0], [0, 1], [0, 0], [2, 0]], np.int8)
    outputs, left = compact_outputs(weights)
    assert outputs.tolist() == [1, 3] and left.tolist() == [[0, 1], [2, 0]]


@pytest.mark.parametrize(
    ("weights", "vector", "axis", "message"),
    [
        (np.zeros((0, 3), np.int8), 4, "n", r"1 to 65535 elements each way, not \[0, 3\]"),
        (np.zeros(3, np.int8), 4, "n", "2 axes, not 1"),
        (np.zeros((2, 3), np.int16), 4, "n", "int8, not int16"),
        (np.zeros((2, 3), np.int8), 3, "n", "vector must be a power of two from 2 to 64, not 3"),
        (np.zeros((2, 3), np.int8), 4, "m", "axis must be n or k, not 'm'"),
    ],
)
def test_bad_requests(weights, vector, axis, message):
    with pytest.raises(SparsityError, match=message):
        bitmap.encode(weights, vector, axis)
