"""The model of the compressed operand: reads what the encoders wrote, points at what is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_weights import DENSITIES, flip_random_bit, random_weights

from ageha.sw.sparsity import bitmap, slots
from ageha.sw.sparsity.errors import SparseFormatError
from ageha.verif.golden.compressed_operand import WrongPieceError, read_vectors

sizes = {
    "seed": st.integers(0, 1 << 32),
    "n": st.integers(1, 40),
    "k": st.integers(1, 150),
    "density": st.sampled_from(DENSITIES),
    "vector": st.sampled_from([4, 16]),
}


@settings(max_examples=50, deadline=None)
@given(**sizes, block=st.sampled_from([4, 8, 16]))
def test_slots(seed, n, k, density, vector, block):
    matrix = slots.encode(random_weights(seed, n, k, density), vector, block)
    read = read_vectors(matrix.pack(), False, len(matrix.tiles), matrix.blocks, vector, block)
    for tile, vectors in zip(matrix.tiles, read, strict=True):
        np.testing.assert_array_equal(vectors.places, tile.blocks)
        np.testing.assert_array_equal(vectors.indices, tile.indices)
        np.testing.assert_array_equal(vectors.elements, tile.values)


@settings(max_examples=50, deadline=None)
@given(**sizes, axis=st.sampled_from(["n", "k"]))
def test_bitmap(seed, n, k, density, vector, axis):
    matrix = bitmap.encode(random_weights(seed, n, k, density), vector, axis)
    read = read_vectors(matrix.pack(), True, len(matrix.strips), matrix.length, vector, 8)
    for strip, vectors in zip(matrix.strips, read, strict=True):
        np.testing.assert_array_equal(vectors.places, strip.gather)
        np.testing.assert_array_equal(vectors.elements, strip.vectors)
        assert not np.any(vectors.indices)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 32), is_bitmap=st.booleans())
def test_what_the_model_refuses_the_decoders_refuse(seed, is_bitmap):
    weights = random_weights(seed, 12, 70, 0.1)
    if is_bitmap:
        words = flip_random_bit(bitmap.encode(weights, 4, "n").pack(), seed)
    else:
        words = flip_random_bit(slots.encode(weights, 4, 8).pack(), seed)
    try:
        read_vectors(words, is_bitmap, 3, 70 if is_bitmap else 9, 4, 8)
    except WrongPieceError:
        with pytest.raises(SparseFormatError):
            bitmap.unpack(words, 12, 70, 4, "n") if is_bitmap else slots.unpack(words, 12, 70, 4, 8)


@pytest.mark.parametrize(
    ("words", "is_bitmap"),
    [
        ([1 << 32], False),
        ([0xFFFFFFFF], False),
        ([1, 3, 0, 0], False),
        ([1, 0, 8, 0], False),
        ([0, 0], False),
        ([], False),
        ([1 << 48, 0], True),
        ([0xFFFF, 0], True),
        ([0, 1], True),
        ([0, 1 << 3], True),
        ([1 | 1 << 16, 1 << 3, 1, 1], True),
        ([1, 0, 0], True),
        ([1 << 16, 0, 7], True),
        ([1 | 1 << 16, 1, 3, 7], True),
    ],
)
def test_each_rule(words, is_bitmap):
    """The second piece, of three vectors or three blocks of 8 inputs, breaks one rule."""
    good = [0, 0] if is_bitmap else [0]
    with pytest.raises(WrongPieceError) as error:
        read_vectors(np.array(good + words, dtype=np.uint64), is_bitmap, 2, 3, 4, 8)
    assert (error.value.piece, error.value.offset) == (1, len(good))
