"""Products from compressed data equal dense ones, and slot counts are what the rules allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_weights import DENSITIES, random_weights

from ageha.sw.sparsity import bitmap, slots
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.gather import compact_outputs
from ageha.sw.sparsity.steps import ideal_cycles
from ageha.verif.golden.matmul import accumulate
from ageha.verif.golden.sparse import bitmap_product, slot_product

random_products = given(
    seed=st.integers(0, 1 << 32),
    m=st.integers(1, 20),
    n=st.integers(1, 70),
    k=st.integers(1, 100),
    density=st.sampled_from(DENSITIES),
    side=st.sampled_from([2, 4, 16]),
)


@settings(max_examples=40, deadline=None)
@random_products
def test_products(seed, m, n, k, density, side):
    weights = random_weights(seed, n, k, density)
    activations = random_weights(seed + 1, m, k, 0.9)
    expected = accumulate(activations, weights, 48)
    for axis in ("n", "k"):
        read = bitmap.unpack(bitmap.encode(weights, side, axis).pack(), n, k, side, axis)
        np.testing.assert_array_equal(bitmap_product(activations, read), expected)
    for block in (4, 8, 16):
        read = slots.unpack(slots.encode(weights, side, block).pack(), n, k, side, block)
        np.testing.assert_array_equal(slot_product(activations, read), expected)


@settings(max_examples=40, deadline=None)
@random_products
def test_compressed_forms_take_the_ideal_slots(seed, m, n, k, density, side):
    weights = random_weights(seed, n, k, density)
    rows, columns = side, 4

    def ideal(flow, **more):
        return ideal_cycles(flow, weights, m, rows, columns, **more)

    row_tiles, column_tiles = -(-m // rows), -(-m // columns)
    strips = bitmap.encode(weights, columns, "n")
    assert ideal(Dataflow.SPARSE_OUTPUT) == row_tiles * strips.slots
    assert ideal(Dataflow.SPARSE_INPUT) == column_tiles * bitmap.encode(weights, rows, "k").slots
    for block in (4, 8, 16):
        compressed = slots.encode(weights, columns, block)
        cycles = ideal(Dataflow.COLUMN_SPARSE_OUTPUT, block=block)
        assert cycles == row_tiles * compressed.slots <= ideal(Dataflow.SPARSE_OUTPUT)
    passes = strips.passes(rows)
    if np.any(weights):
        _, reached = compact_outputs(weights)
        passes = min(passes, bitmap.encode(reached, columns, "n").passes(rows))
    assert ideal(Dataflow.SPARSE_WEIGHT) == m * passes


@pytest.mark.parametrize(
    ("sparse", "dense"),
    [
        (Dataflow.SPARSE_OUTPUT, Dataflow.DENSE_OUTPUT),
        (Dataflow.COLUMN_SPARSE_OUTPUT, Dataflow.DENSE_OUTPUT),
        (Dataflow.SPARSE_WEIGHT, Dataflow.DENSE_WEIGHT),
        (Dataflow.SPARSE_INPUT, Dataflow.DENSE_INPUT),
    ],
)
def test_dense_weights_skip_nothing_and_zero_ones_everything(sparse, dense):
    ones, zeros = np.ones((33, 50), np.int8), np.zeros((33, 50), np.int8)
    assert ideal_cycles(sparse, ones, 70, 8, 4) == ideal_cycles(dense, ones, 70, 8, 4)
    assert ideal_cycles(sparse, zeros, 70, 8, 4) == 0


def test_dense_cycles():
    weights = np.ones((33, 50), np.int8)
    assert ideal_cycles(Dataflow.DENSE_OUTPUT, weights, 70, 8, 4) == 9 * 9 * 50
    assert ideal_cycles(Dataflow.DENSE_WEIGHT, weights, 70, 8, 4) == 7 * 9 * 70
    assert ideal_cycles(Dataflow.DENSE_INPUT, weights, 70, 8, 4) == 7 * 18 * 33


def test_zero_outputs_of_the_stationary_tile_are_left_out():
    """Every other output is zero: two strips of four become one."""
    weights = np.zeros((8, 16), np.int8)
    weights[::2] = 1
    assert ideal_cycles(Dataflow.SPARSE_WEIGHT, weights, 10, 4, 4) == 4 * 10
