"""Projections recover what has the form, never get worse, and do not depend on chance."""

import numpy as np
import pytest
from butterflies import random_linear, random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.monarch import MonarchLinear, project_monarch
from ageha.sw.butterfly.project import project_butterfly, project_hierarchical
from ageha.sw.butterfly.transform import fourier, hadamard


@given(
    seed=st.integers(0, 2**32 - 1),
    in_features=st.integers(1, 40),
    out_features=st.integers(1, 70),
    increasing=st.booleans(),
    is_complex=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_butterfly_is_recovered(seed, in_features, out_features, increasing, is_complex):
    weight = random_linear(seed, in_features, out_features, increasing, 1, is_complex).dense()
    projection = project_butterfly(weight, increasing)
    assert projection.relative_error < 1e-8
    np.testing.assert_allclose(projection.layer.dense(), weight, atol=1e-8 * np.linalg.norm(weight))


@pytest.mark.parametrize("increasing", [True, False])
def test_transforms_are_recovered(increasing):
    in_time = fourier(32)
    columns = np.linalg.inv(np.eye(32)[in_time.before])
    weight = in_time.dense() @ columns
    assert project_butterfly(weight).relative_error < 1e-12
    assert project_butterfly(hadamard(32).dense(), increasing).relative_error < 1e-12


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    increasing=st.booleans(),
    is_complex=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_error_is_true_and_never_grows(seed, shape, increasing, is_complex):
    matrix = random_tensor(np.random.default_rng(seed), shape, is_complex)
    projection = project_butterfly(matrix, increasing, sweeps=8)
    assert list(projection.errors) == sorted(projection.errors, reverse=True)
    error = np.linalg.norm(projection.layer.dense() - matrix) / np.linalg.norm(matrix)
    assert projection.relative_error == pytest.approx(error, abs=1e-12)


def test_sweeps_improve_a_random_matrix():
    matrix = np.random.default_rng(5).normal(size=(64, 64))
    projection = project_butterfly(matrix)
    assert projection.relative_error < 0.97 * projection.errors[0]
    again = project_butterfly(matrix)
    assert again.errors == projection.errors
    np.testing.assert_array_equal(
        again.layer.twiddle.coefficients, projection.layer.twiddle.coefficients
    )


@pytest.mark.parametrize("tile", [16, 32, 64])
@pytest.mark.parametrize("increasing", [True, False])
def test_tiles_are_recovered(tile, increasing):
    matrix = np.random.default_rng(tile).normal(size=(70, 100))
    first = project_hierarchical(matrix, tile, increasing, sweeps=2)
    assert list(first.errors) == sorted(first.errors, reverse=True)
    error = np.linalg.norm(first.layer.dense() - matrix) / np.linalg.norm(matrix)
    assert first.relative_error == pytest.approx(error, abs=1e-12)
    second = project_hierarchical(first.layer.dense(), tile, increasing)
    assert second.relative_error < 1e-8


def test_smaller_tiles_are_nearer():
    matrix = np.random.default_rng(1).normal(size=(64, 64))
    errors = [project_hierarchical(matrix, tile, sweeps=3).relative_error for tile in (16, 32, 64)]
    assert errors == sorted(errors)


def test_rows_and_columns_of_zeros():
    matrix = np.random.default_rng(2).normal(size=(32, 32))
    matrix[:, 8:24] = 0
    matrix[5] = 0
    projection = project_butterfly(matrix)
    assert np.isfinite(projection.layer.dense()).all()
    assert projection.relative_error < 1
    assert project_butterfly(np.zeros((8, 8))).errors == (0.0,)


@pytest.mark.parametrize(
    ("inputs", "middle", "outputs", "first", "second"),
    [(4, 4, 4, 4, 4), (8, 6, 6, 3, 3), (5, 5, 7, 5, 5), (3, 3, 3, 4, 4)],
)
def test_monarch_is_recovered(inputs, middle, outputs, first, second):
    generator = np.random.default_rng(inputs)
    layer = MonarchLinear(
        generator.normal(size=(first, middle, inputs)),
        generator.normal(size=(second, outputs, middle)),
        first * inputs - 1,
        second * outputs,
    )
    projection = project_monarch(layer.dense(), first)
    assert projection.relative_error < 1e-8
    x = generator.normal(size=(3, first * inputs - 1))
    np.testing.assert_allclose(projection.layer(x), layer(x), atol=1e-8 * np.abs(layer(x)).max())


def test_monarch_by_definition():
    """Block diagonal, stride permutation, block diagonal, stride permutation."""
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(2, 3, 4)), generator.normal(size=(3, 5, 2))
    layer = MonarchLinear(first, second, 8, 15)
    middle, outer = np.zeros((6, 8)), np.zeros((15, 6))
    for block in range(2):
        middle[block * 3 : block * 3 + 3, block * 4 : block * 4 + 4] = first[block]
    for block in range(3):
        outer[block::3, block::3] = second[block]
    np.testing.assert_allclose(layer.dense(), outer @ middle, atol=1e-14)


def test_nearest_monarch_of_a_random_matrix():
    """No small change of either factor is nearer."""
    generator = np.random.default_rng(4)
    matrix = generator.normal(size=(16, 16))
    best = project_monarch(matrix, 4)
    for _ in range(20):
        first = best.layer.first + 1e-3 * generator.normal(size=(4, 4, 4))
        second = best.layer.second + 1e-3 * generator.normal(size=(4, 4, 4))
        other = MonarchLinear(first, second, 16, 16)
        error = np.linalg.norm(other.dense() - matrix) / np.linalg.norm(matrix)
        assert error > best.relative_error


@pytest.mark.parametrize(
    ("project", "message"),
    [
        (lambda: project_butterfly(np.zeros((3, 0))), "columns of the matrix"),
        (lambda: project_butterfly(np.zeros(3)), "matrix must have 2 axes, not 1"),
        (lambda: project_butterfly([[np.nan, 1]]), "matrix must be finite: 1 of 2"),
        (lambda: project_butterfly(np.zeros((1, 8193))), "at most 8192, not 16384"),
        (lambda: project_butterfly(np.eye(2), sweeps=-1), "sweeps must be .* 0 to 10000, not -1"),
        (lambda: project_hierarchical(np.eye(8), 8), "tile must be one of 16, 32, 64, not 8"),
        (lambda: project_monarch(np.eye(8), 9), "blocks must be an integer from 1 to 8, not 9"),
        (
            lambda: MonarchLinear(np.ones((2, 3, 4)), np.ones((2, 4, 4)), 8, 8),
            "must take the 6 outputs of the first, not 8",
        ),
        (
            lambda: MonarchLinear(np.ones((2, 3, 4)), np.ones(6), 8, 8),
            "second factor must have the 3 axes",
        ),
        (
            lambda: MonarchLinear(np.ones((2, 4, 4)), np.ones((2, 4, 4)), 9, 8),
            "in_features must be an integer from 1 to 8, not 9",
        ),
    ],
)
def test_what_is_refused(project, message):
    with pytest.raises(ButterflyError, match=message) as caught:
        project()
    assert "\n" not in str(caught.value)
