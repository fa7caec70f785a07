"""How the factors of a butterfly are cut in trips, and their points in tiles.

A *trip* applies factors of neighbouring strides to all points, which come from DRAM and go back.
Those of the strides 2^low ... 2^(high - 1) act within sets of points that differ in the bits low to
high - 1 of their index. A *tile* has some of these sets: ``2^(high - low)`` runs of ``2^width``
points that follow each other, the runs 2^low apart. Side by side, runs are an ordinary butterfly:
the bits of a set follow those inside a run. So a tile needs nothing but LOADs and STOREs of runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .twiddle import factor_log_stride


@dataclass(frozen=True)
class Trip:
    """Factors of neighbouring strides, and the shape of their tiles.

    Parameters
    ----------
    low, high : int
        Log2 of the least stride, and of the largest one plus one.
    width : int
        Log2 of the points of a run: at most `low`, or at least `high` if `low` is 0.
    """

    low: int
    high: int
    width: int

    @property
    def stages(self) -> int:
        """Number of factors."""
        return self.high - self.low

    @property
    def runs(self) -> int:
        """Runs of a tile."""
        return 1 << self.stages if self.low else 1

    @property
    def log_stride(self) -> int:
        """Log2 of the least stride inside a tile."""
        return self.width if self.low else 0

    @property
    def log_points(self) -> int:
        """Log2 of the points of a transform inside a tile."""
        return self.log_stride + self.stages

    @property
    def points(self) -> int:
        """Points of a tile."""
        return self.runs << self.width

    def firsts(self, size: int) -> Iterator[int]:
        """Yield the first point of each tile of `size` points."""
        for block in range(0, size, max(1 << self.high, self.points)):
            inside = (1 << self.low) if self.low else 1
            yield from range(block, block + inside, 1 << self.width)

    def run_starts(self, first: int) -> list[int]:
        """Return the first point of each run of the tile at `first`."""
        return [first + (run << self.low) for run in range(self.runs)]

    def strides(self, increasing: bool) -> list[int]:
        """Return log2 of the strides in the order of the factors."""
        strides = list(range(self.low, self.high))
        return strides if increasing else strides[::-1]

    def inside(self, log_stride: int) -> int:
        """Return log2 of the stride that a factor has inside a tile."""
        return log_stride - self.low + self.log_stride

    def tile(self, coefficients: NDArray[Any], increasing: bool, first: int) -> NDArray[Any]:
        """Return the matrices that a tile needs.

        Parameters
        ----------
        coefficients : [log2 n, n/2, 2, 2]
            Of a block.
        increasing : bool
            Whether its strides increase.
        first : int
            First point of the tile.

        Returns
        -------
        [stages, points / 2, 2, 2]
        """
        log_size = len(coefficients)
        index = np.arange(self.points)
        points = first + ((index >> self.width) << self.low) + (index & (1 << self.width) - 1)
        pairs = np.arange(self.points // 2)
        factors = []
        for log_stride in self.strides(increasing):
            low = pairs & (1 << self.inside(log_stride)) - 1
            global_point = points[2 * (pairs - low) + low]
            inner = global_point & (1 << log_stride) - 1
            numbers = (global_point >> log_stride + 1) << log_stride | inner
            # The numbering of factors is its own inverse.
            factor = factor_log_stride(log_stride, log_size, increasing)
            factors.append(coefficients[factor, numbers])
        return np.stack(factors)


def plan_trips(log_size: int, log_points: int, least_width: int, increasing: bool) -> list[Trip]:
    """Return the fewest trips with tiles of at most 2^`log_points` points.

    The factors of the least strides, whose points follow each other, are one trip; the others have
    runs as long as a tile leaves room for.

    Parameters
    ----------
    log_size : int
        Log2 of the points of the butterfly.
    log_points : int
    least_width : int
        Log2 of the points of the shortest run; less than `log_points`.
    increasing : bool
        Whether the strides of the factors increase.
    """
    first = min(log_size, log_points)
    trips = [Trip(0, first, first)]
    left = log_size - first
    count = -(-left // (log_points - least_width)) if left else 0
    for number in range(count):
        low = trips[-1].high
        stages = -(-(log_size - low) // (count - number))
        trips.append(Trip(low, low + stages, min(low, log_points - stages)))
    return trips if increasing else trips[::-1]
