"""Factors in trips, points in tiles: the whole butterfly, each point once a trip."""

import numpy as np
import pytest

from ageha.sw.butterfly.trips import plan_trips
from ageha.sw.butterfly.twiddle import apply_block, apply_factor

SEED = 20250807


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("log_size", [3, 5, 8])
def test_trips_are_the_whole_butterfly(log_size, increasing):
    random = np.random.default_rng(SEED + log_size)
    size = 1 << log_size
    coefficients = random.normal(size=(log_size, size // 2, 2, 2))
    x = random.normal(size=(3, size))
    expected = apply_block(coefficients, x, increasing)
    for log_points in range(3, log_size + 2):
        y = x.copy()
        trips = plan_trips(log_size, log_points, 2, increasing)
        assert sum(trip.stages for trip in trips) == log_size
        for trip in trips:
            assert trip.points <= 1 << log_points
            visited = _apply(trip, coefficients, increasing, y)
            np.testing.assert_array_equal(np.sort(visited), np.arange(size))
        np.testing.assert_allclose(y, expected)


def _apply(trip, coefficients, increasing, y):
    """Apply a trip to rows in place, tile by tile; return the points in the order of visits."""
    visited = []
    for first in trip.firsts(y.shape[1]):
        run = np.arange(1 << trip.width)
        points = np.concatenate([start + run for start in trip.run_starts(first)])
        tile = y[:, points]
        matrices = trip.tile(coefficients, increasing, first)
        for factor, stride in zip(matrices, trip.strides(increasing), strict=True):
            tile = apply_factor(factor, tile, trip.inside(stride))
        y[:, points] = tile
        visited.append(points)
    return np.concatenate(visited)


def test_the_longest_runs_that_leave_room_are_taken():
    strides, gathered = plan_trips(13, 10, 3, increasing=True)
    assert (strides.low, strides.high, strides.runs) == (0, 10, 1)
    assert (gathered.low, gathered.high, gathered.runs, gathered.width) == (10, 13, 8, 7)
    assert len(plan_trips(13, 5, 3, increasing=True)) == 5
