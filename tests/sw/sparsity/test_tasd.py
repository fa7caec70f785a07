"""Sums of N:M terms: the laws that hold for any tensor and any series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ageha.sw.sparsity import slots
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.tasd import (
    GROUP_SIZES,
    Term,
    check_block,
    decompose,
    format_series,
    merge_series,
    multiply_add_share,
    parse_series,
)

sizes = st.sampled_from(GROUP_SIZES)
terms = sizes.flatmap(lambda m: st.builds(Term, st.integers(1, m), st.just(m)))
series_of_terms = st.lists(terms, min_size=1, max_size=4).map(tuple)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 40))
integers = arrays(np.int8, shapes)
floats = arrays(np.float32, shapes, elements=st.floats(-1e6, 1e6, width=32))
tensors = st.one_of(integers, floats)


def energy(tensor):
    return np.square(tensor.astype(np.float64)).sum()


@settings(max_examples=150, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_terms_and_residual_are_the_tensor(tensor, series):
    result = decompose(tensor, series)
    np.testing.assert_array_equal(result.approximation + result.residual, tensor)
    parts = np.array([*result.terms, result.residual])
    assert np.all(np.count_nonzero(parts, axis=0) <= 1)
    assert all(part.dtype == tensor.dtype for part in (*result.terms, result.residual))


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_terms_are_n_of_m(tensor, series):
    for term, values in zip(series, decompose(tensor, series).terms, strict=True):
        groups = np.pad(values, ((0, 0), (0, -values.shape[1] % term.m)))
        assert np.count_nonzero(groups.reshape(-1, term.m), axis=1).max() <= term.n


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, m=sizes, data=st.data())
def test_terms_of_one_m_merge(tensor, m, data):
    first = data.draw(st.integers(1, m - 1))
    second = data.draw(st.integers(1, m - first))
    two = decompose(tensor, (Term(first, m), Term(second, m)))
    one = decompose(tensor, (Term(first + second, m),))
    np.testing.assert_array_equal(two.approximation, one.approximation)


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_merged_series_is_equal(tensor, series):
    merged = merge_series(series)
    assert multiply_add_share(merged) <= multiply_add_share(series)
    assert all(one.m != other.m for one, other in zip(merged, merged[1:], strict=False))
    np.testing.assert_array_equal(
        decompose(tensor, merged).approximation, decompose(tensor, series).approximation
    )


@settings(max_examples=50, deadline=None)
@given(tensor=tensors, m=sizes)
def test_dense_is_m_of_m(tensor, m):
    result = decompose(tensor, (Term(m, m),))
    np.testing.assert_array_equal(result.approximation, tensor)
    assert result.share == 1 and result.dropped_nonzeros == 0


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_residual_energy_never_grows(tensor, series):
    energies = [energy(tensor)] + [
        energy(decompose(tensor, series[: count + 1]).residual) for count in range(len(series))
    ]
    assert energies == sorted(energies, reverse=True)


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_exact_when_the_residual_is_empty(tensor, series):
    result = decompose(tensor, series)
    exact = np.array_equal(result.approximation, tensor)
    assert exact == (result.dropped_nonzeros == 0) == (result.dropped_magnitude == 0)


@settings(max_examples=100, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_decomposing_again_changes_nothing(tensor, series):
    result = decompose(tensor, series)
    again = decompose(result.approximation, series)
    assert again.dropped_nonzeros == 0
    for one, other in zip(result.terms, again.terms, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=50, deadline=None)
@given(tensor=tensors, series=series_of_terms)
def test_rows_are_filled_up_with_zeros(tensor, series):
    padded = np.pad(tensor, ((0, 0), (0, -tensor.shape[1] % 16)))
    result = decompose(tensor, series)
    np.testing.assert_array_equal(
        decompose(padded, series).approximation[:, : tensor.shape[1]], result.approximation
    )
    assert result.padding == max(-tensor.shape[1] % term.m for term in series)


@settings(max_examples=50, deadline=None)
@given(tensor=integers, series=series_of_terms)
def test_slots_of_the_sum_are_at_most_those_of_the_terms(tensor, series):
    """So a series needs one compressed matrix, not one a term."""
    result = decompose(tensor, series)
    parts = [slots.encode(term, 4, 16).slots for term in result.terms]
    assert slots.encode(result.approximation, 4, 16).slots <= sum(parts)


def test_figures():
    result = decompose(np.array([[4, -3, 2, 1, 0, 0, 9, 0]], np.int8), parse_series("1:4+1:8"))
    assert [term.tolist() for term in result.terms] == [
        [[4, 0, 0, 0, 0, 0, 9, 0]],
        [[0, -3, 0, 0, 0, 0, 0, 0]],
    ]
    assert result.residual.tolist() == [[0, 0, 2, 1, 0, 0, 0, 0]]
    assert (result.share, result.dropped_nonzeros, result.dropped_magnitude) == (0.375, 2, 3)
    assert result.dropped_share == 3 / 19
    assert decompose(np.zeros((1, 4)), (Term(1, 4),)).dropped_share == 0


def test_ties_go_to_the_lower_index():
    result = decompose(np.array([[2, -2, 2, 2]], np.int8), (Term(2, 4),))
    assert result.approximation.tolist() == [[2, -2, 0, 0]]


@pytest.mark.parametrize(
    ("text", "share"), [("4:8+1:8", 0.625), ("2:4+2:8", 0.75), ("10:16", 0.625), (" 1:4 ", 0.25)]
)
def test_series_text(text, share):
    series = parse_series(text)
    assert format_series(series) == text.strip()
    assert multiply_add_share(series) == share


def test_merge_is_at_most_dense_and_only_of_neighbours():
    assert format_series(merge_series(parse_series("6:8+5:8"))) == "8:8"
    assert format_series(merge_series(parse_series("1:4+1:8+1:4+2:4"))) == "1:4+1:8+3:4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9:8", "term 9:8: N must be from 1 to 8, not 9"),
        ("4:8+0:4", "term 0:4: N must be from 1 to 4, not 0"),
        ("1:3", "term 1:3: M must be one of 2, 4, 8, 16, not 3"),
        ("", "a series is N:M terms joined by .*, not ''"),
        ("4:8+", "a series is N:M terms"),
        ("4:8,1:8", "a series is N:M terms"),
        ("-1:8", "a series is N:M terms"),
    ],
)
def test_bad_series(text, message):
    with pytest.raises(SparsityError, match=message) as error:
        parse_series(text)
    assert "\n" not in str(error.value)


def test_term_larger_than_the_block():
    check_block(parse_series("2:4+1:8"), 8)
    with pytest.raises(SparsityError, match="term 10:16: M must divide the block of 8, not 16"):
        check_block(parse_series("2:4+10:16"), 8)


@pytest.mark.parametrize(
    ("tensor", "series", "message"),
    [
        (np.zeros((0, 8)), (Term(1, 2),), r"ffn: must have at least 1 element .* not \[0, 8\]"),
        (np.zeros(()), (Term(1, 2),), r"ffn: must have at least 1 element"),
        (np.ones((1, 2)), (), "ffn: a series must have at least 1 term, not 0"),
        (np.array([[1, np.inf]]), (Term(1, 2),), "ffn: must be finite"),
    ],
)
def test_bad_tensors(tensor, series, message):
    with pytest.raises(SparsityError, match=message):
        decompose(tensor, series, "ffn")
