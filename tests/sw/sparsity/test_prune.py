"""Pruning: exact densities, what is kept is largest, ties go to the lower index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.sparsity import bitmap, prune, slots
from ageha.sw.sparsity.errors import SparsityError

ROWS, COLUMNS, BLOCK = 4, 8, 8


def gaussian(seed, n, k):
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)


def signs(weights):
    """Return an int8 matrix that is zero where `weights` are."""
    return np.sign(weights).astype(np.int8)


SHAPES = {
    "unstructured": (prune.prune_unstructured, ()),
    "slices": (prune.prune_slices, (COLUMNS,)),
    "vectors": (prune.prune_vectors, (ROWS,)),
    "rows": (prune.prune_stationary, (ROWS, COLUMNS)),
    "slots": (prune.prune_slots, (COLUMNS, BLOCK)),
}


LEFT = {
    "unstructured": np.count_nonzero,
    "slices": lambda weights: bitmap.encode(weights, COLUMNS, "n").slots,
    "vectors": lambda weights: bitmap.encode(weights, ROWS, "k").slots,
    "rows": lambda weights: bitmap.encode(weights, COLUMNS, "n").passes(ROWS),
    "slots": lambda weights: slots.encode(weights, COLUMNS, BLOCK).slots,
}
"""What the density counts."""


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    n=st.integers(1, 40),
    k=st.integers(1, 60),
    density=st.sampled_from([0.0, 0.1, 0.37, 0.5, 0.9, 1.0]),
)
def test_density(shape, seed, n, k, density):
    """As many slots stay as were asked for, and nothing but zeros is new."""
    function, sides = SHAPES[shape]
    weights = gaussian(seed, n, k)
    pruned = function(weights, *sides, density)
    assert pruned.dtype == weights.dtype and pruned.shape == weights.shape
    assert np.all((pruned == 0) | (pruned == weights))
    used = signs(pruned)
    left, dense = LEFT[shape], np.ones_like(used)
    assert left(used) == int(density * left(dense) + 0.5)
    np.testing.assert_array_equal(function(pruned, *sides, density), pruned)


def test_largest_magnitudes_stay():
    weights = np.array([[1, -5, 2], [-3, 0, 4]], np.int8)
    assert prune.prune_unstructured(weights, 0.5).tolist() == [[0, -5, 0], [-3, 0, 4]]


def test_lowest_int8_is_the_largest_magnitude():
    weights = np.array([[-128, 127]], np.int8)
    assert prune.prune_unstructured(weights, 0.5).tolist() == [[-128, 0]]


@pytest.mark.parametrize(
    ("pruned", "expected"),
    [
        (prune.prune_unstructured(np.ones((2, 4), np.int8), 0.25), [[1, 1, 0, 0], [0, 0, 0, 0]]),
        (prune.prune_n_of_m(np.ones((1, 6), np.int8), 2, 4), [[1, 1, 0, 0, 1, 1]]),
        (prune.prune_slices(np.ones((2, 4), np.int8), 2, 0.5), [[1, 1, 0, 0]] * 2),
        (prune.prune_vectors(np.ones((2, 4), np.int8), 2, 0.5), [[1, 1, 0, 0]] * 2),
        (prune.prune_stationary(np.ones((2, 4), np.int8), 2, 2, 0.5), [[1, 1, 0, 0]] * 2),
        (
            prune.prune_stationary(np.ones((4, 2), np.int8), 2, 2, 0.5, "column"),
            [[1, 1]] * 2 + [[0, 0]] * 2,
        ),
        (prune.prune_slots(np.ones((2, 8), np.int8), 2, 4, 0.375), [[1, 1, 1, 0, 0, 0, 0, 0]] * 2),
    ],
)
def test_ties_go_to_the_lower_index(pruned, expected):
    assert pruned.tolist() == expected


def test_stationary_columns_are_whole_outputs():
    weights = gaussian(5, 40, 30)
    pruned = prune.prune_stationary(weights, ROWS, COLUMNS, 0.4, "column")
    energy = np.square(weights).sum(axis=1)
    expected = np.sort(np.argsort(-energy)[:16])
    np.testing.assert_array_equal(np.flatnonzero(np.any(pruned, axis=1)), expected)


def test_n_of_m():
    pruned = prune.prune_n_of_m(gaussian(1, 13, 64), 3, 8)
    assert np.all(np.count_nonzero(pruned.reshape(13, 8, 8), axis=2) == 3)
    matrix = slots.encode(signs(pruned), COLUMNS, 8)
    assert all(np.all(np.bincount(tile.blocks) == 3) for tile in matrix.tiles)


@pytest.mark.parametrize("density", [0.1, 0.3, 0.7])
def test_slots_keep_more_than_any_fixed_count(density):
    """At the cost of N:M, free counts keep at least its energy."""
    weights = gaussian(2, 32, 128)
    kept = round(density * BLOCK)
    fixed = prune.prune_n_of_m(weights, kept, BLOCK)
    free = prune.prune_slots(weights, COLUMNS, BLOCK, kept / BLOCK)
    assert np.square(free).sum() >= np.square(fixed).sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: prune.prune_unstructured(w, 1.1), "density must be from 0 to 1, not 1.1"),
        (
            lambda w: prune.prune_unstructured(w, float("nan")),
            "density must be from 0 to 1, not nan",
        ),
        (lambda w: prune.prune_slices(w, 3, 0.5), "columns must be a power of two .* not 3"),
        (lambda w: prune.prune_vectors(w, 0, 0.5), "rows must be a power of two .* not 0"),
        (lambda w: prune.prune_slots(w, 4, 6, 0.5), "block must be one of 4, 8, 16, not 6"),
        (lambda w: prune.prune_stationary(w, 4, 4, 0.5, "x"), "axis must be row or column"),
        (lambda w: prune.prune_n_of_m(w, 5, 4), "5:4 must keep from 1 to 4 of every 4, not 5"),
        (lambda w: prune.prune_unstructured(w[:0], 0.5), r"each way, not \[0, 3\]"),
        (lambda w: prune.prune_unstructured(w / 0, 0.5), r"finite; element \[0, 0\] is not"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_requests(call, message):
    with pytest.raises(SparsityError, match=message):
        call(np.ones((2, 3), np.float32))
