"""Compensated selection: laws for any weights, inputs and series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.tasd import GROUP_SIZES, Term, decompose, parse_series
from ageha.sw.tasder.compensate import Curvature, prune_compensated, refit, squared_error

terms = st.sampled_from(GROUP_SIZES).flatmap(
    lambda m: st.builds(Term, st.integers(1, m), st.just(m))
)
series_of_terms = st.lists(terms, min_size=1, max_size=3).map(tuple)


def problem(seed, n=5, k=40, tokens=120):
    """Return weights [n, k] and inputs [tokens, k] whose columns go together."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(k, k)) / 4 + np.eye(k)
    inputs = generator.normal(size=(tokens, k)) @ mixing + generator.normal(size=k)
    weights = generator.normal(size=(n, k)).astype(np.float32)
    return weights, inputs.astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), series=series_of_terms, k=st.integers(1, 50))
def test_result_is_in_the_series(seed, series, k):
    weights, inputs = problem(seed, k=k)
    pruned = prune_compensated(weights, series, Curvature.of(inputs))
    assert pruned.shape == weights.shape and pruned.dtype == np.float32
    for term in series:
        blocks = np.pad(pruned, ((0, 0), (0, -k % 16))).reshape(-1, 16)
        room = sum(item.n * (16 // item.m) for item in series)
        assert np.count_nonzero(blocks, axis=1).max() <= room
        if len(series) == 1:
            assert np.count_nonzero(blocks.reshape(-1, term.m), axis=1).max() <= term.n


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), m=st.sampled_from(GROUP_SIZES))
def test_dense_changes_nothing(seed, m):
    weights, inputs = problem(seed)
    pruned = prune_compensated(weights, (Term(m, m),), Curvature.of(inputs))
    np.testing.assert_array_equal(pruned, weights)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), series=series_of_terms)
def test_refit_never_loses(seed, series):
    weights, inputs = problem(seed)
    curvature = Curvature.of(inputs)
    pruned = prune_compensated(weights, series, curvature)
    moved = refit(pruned, weights, curvature)
    before, after = (squared_error(item, weights, curvature) for item in (pruned, moved))
    assert after <= before * (1 + 1e-4) + 1e-6
    assert not np.any(moved[pruned == 0])


@pytest.mark.parametrize("text", ["1:4", "2:4+1:8", "10:16", "4:8"])
def test_compensation_beats_magnitude(text):
    series = parse_series(text)
    errors = np.zeros(3)
    for seed in range(8):
        weights, inputs = problem(seed)
        curvature = Curvature.of(inputs)
        greedy = decompose(weights, series).approximation
        pruned = prune_compensated(weights, series, curvature)
        moved = refit(pruned, weights, curvature)
        errors += [squared_error(item, weights, curvature) for item in (greedy, pruned, moved)]
    assert errors[2] < errors[1] < errors[0]


def test_refit_reaches_least_squares():
    weights, inputs = problem(3, n=3, k=12)
    curvature = Curvature.of(inputs)
    pruned = prune_compensated(weights, parse_series("2:4"), curvature)
    moved = refit(pruned, weights, curvature, steps=40)
    for row, wanted in zip(moved, weights, strict=True):
        kept = np.flatnonzero(row)
        square = curvature.hessian[np.ix_(kept, kept)]
        best = np.linalg.solve(square, (curvature.hessian @ wanted)[kept])
        np.testing.assert_allclose(row[kept], best, rtol=1e-3, atol=1e-3)


def test_uncorrelated_inputs_keep_the_largest():
    weights, _ = problem(5, k=16)
    curvature = Curvature(np.zeros(16, np.float32), np.eye(16), np.eye(16))
    series = parse_series("3:8")
    pruned = prune_compensated(weights, series, curvature)
    np.testing.assert_array_equal(pruned, decompose(weights, series).approximation)


def test_inputs_without_variance():
    weights, inputs = problem(1)
    pruned = prune_compensated(weights, parse_series("1:2"), Curvature.of(np.zeros_like(inputs)))
    np.testing.assert_array_equal(pruned, decompose(weights, parse_series("1:2")).approximation)


def test_what_is_refused():
    weights, inputs = problem(1)
    with pytest.raises(SparsityError, match="damping must be above 0, not 0"):
        Curvature.of(inputs, 0)
    with pytest.raises(SparsityError, match=r"Hessian must be \[40, 40\], not \[8, 8\]"):
        prune_compensated(weights, parse_series("1:2"), Curvature.of(inputs[:, :8]))
    with pytest.raises(SparsityError, match="inputs must be finite"):
        Curvature.of(np.full((3, 4), np.nan))
