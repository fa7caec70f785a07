"""Costs of layers against the formats and the skip rules themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.hw.config import ArrayConfig
from ageha.sw.sparsity import slots
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.steps import ideal_cycles
from ageha.sw.sparsity.tasd import Term, decompose, parse_series
from ageha.sw.tasder.cost import dense_cost, series_cost, weights_cost

ARRAY = ArrayConfig(rows=4, columns=8, block=16)
terms = st.sampled_from((2, 4, 8, 16)).flatmap(
    lambda m: st.builds(Term, st.integers(1, m), st.just(m))
)
shapes = {"n": st.integers(1, 40), "k": st.integers(1, 70), "seed": st.integers(0, 99)}


def sparse_weights(n, k, seed, density):
    generator = np.random.default_rng(seed)
    weights = generator.integers(1, 100, (n, k)).astype(np.int8)
    weights[generator.random((n, k)) >= density] = 0
    return weights


@settings(max_examples=60, deadline=None)
@given(density=st.floats(0, 0.9), m=st.integers(1, 20), **shapes)
def test_weights_cost_is_that_of_the_format(density, m, n, k, seed):
    weights = sparse_weights(n, k, seed, density)
    weights[0, 0] = 0
    cost = weights_cost(weights, ARRAY)
    matrix = slots.encode(weights, ARRAY.columns, ARRAY.block)
    assert (cost.slots, cost.bytes) == (matrix.slots, matrix.size.total)
    flow = Dataflow.COLUMN_SPARSE_OUTPUT
    assert cost.cycles(m, ARRAY) == ideal_cycles(flow, weights, m, 4, 8, 16)


@settings(max_examples=60, deadline=None)
@given(series=st.lists(terms, min_size=1, max_size=3).map(tuple), **shapes)
def test_series_cost_is_never_exceeded(series, n, k, seed):
    weights = sparse_weights(n, k, seed, 1.0)
    weights[0, 0] = 0
    bound = series_cost(n, k, series, ARRAY)
    found = weights_cost(decompose(weights, series).approximation, ARRAY)
    assert found.slots <= bound.slots and found.bytes <= bound.bytes
    assert bound.slots <= dense_cost(n, k, ARRAY).slots


@pytest.mark.parametrize("text", ["4:8", "4:8+1:8", "2:4+1:8", "10:16", "1:4"])
def test_series_cost_is_the_share_of_dense(text):
    weights = sparse_weights(64, 96, 1, 1.0)
    series = parse_series(text)
    bound = series_cost(64, 96, series, ARRAY)
    share = sum(term.share for term in series)
    assert bound.slots == share * dense_cost(64, 96, ARRAY).slots
    assert weights_cost(decompose(weights, series).approximation, ARRAY) == bound


def test_dense_weights_are_not_compressed():
    assert weights_cost(np.ones((9, 20), np.int8), ARRAY) == dense_cost(9, 20, ARRAY)
    assert dense_cost(9, 20, ARRAY).cycles(9, ARRAY) == ideal_cycles(
        Dataflow.DENSE_OUTPUT, np.ones((9, 20), np.int8), 9, 4, 8
    )


def test_term_that_blocks_do_not_hold():
    with pytest.raises(SparsityError, match="M must divide the block of 8, not 16"):
        series_cost(8, 8, parse_series("3:16"), ArrayConfig(block=8))
