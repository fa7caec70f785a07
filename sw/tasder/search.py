"""Choose what each layer takes: the least loss for every cost, by dynamic programming.

Losses of layers are taken to add up, and so are costs; the front over them is exact as long as it
has at most `MOST_POINTS` points on the way. What it says of a whole model is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import BudgetError

DENSE = ""
"""Stands for neither."""

MOST_POINTS = 1 << 13
"""Points that are kept from one layer to the next; of more, the best in equal steps of cost."""


@dataclass(frozen=True)
class Option:
    """What one layer may take.

    Parameters
    ----------
    series : str
        `DENSE`, or the text of a series, of weights or of inputs.
    cost : int
        In any unit; not negative.
    loss : float
    """

    series: str
    cost: int
    loss: float


@dataclass(frozen=True)
class Point:
    """A choice for all layers.

    Parameters
    ----------
    cost : int
    loss : float
        Sum of the losses of the layers.
    series : mapping of str to str
        By layer; dense layers are left out.
    """

    cost: int
    loss: float
    series: Mapping[str, str]


class Front:
    """Points that no other betters in both figures.

    Parameters
    ----------
    points : iterable of Point
        At least one; those that are bettered are left out.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self._points: list[Point] = []
        for point in sorted(points, key=lambda item: (item.cost, item.loss)):
            if not self._points or point.loss < self._points[-1].loss:
                self._points.append(point)

    @property
    def costs(self) -> list[int]:
        """The costs of all points, rising."""
        return [point.cost for point in self._points]

    @property
    def losses(self) -> list[float]:
        """The loss of all points, falling."""
        return [point.loss for point in self._points]

    def points(self) -> list[Point]:
        """Return all points, the cheapest first."""
        return list(self._points)

    def within_cost(self, limit: float) -> Point:
        """Return the point of least loss that costs at most `limit`.

        Raises
        ------
        BudgetError
            If there is none.
        """
        within = [point for point in self._points if point.cost <= limit]
        if not within:
            raise BudgetError(
                f"cost of {limit:.0f} is not reachable; nearest is {self._points[0].cost}"
            )
        return within[-1]

    def within_loss(self, limit: float) -> Point:
        """Return the cheapest point with a loss of at most `limit`.

        Raises
        ------
        BudgetError
            If there is none.
        """
        for point in self._points:
            if point.loss <= limit:
                return point
        raise BudgetError(
            f"loss of {limit:.3g} is not reachable; nearest is {self._points[-1].loss:.3g}"
        )


@dataclass(frozen=True)
class _Stage:
    """The best points over some layers: figures, what the last of them took, and from where.

    Parameters
    ----------
    costs : int64 [points]
        Rising.
    losses : float64 [points]
        Falling.
    taken : int64 [points]
        Option of the last layer.
    before : int64 [points]
        Point of the stage before.
    """

    costs: NDArray[np.int64]
    losses: NDArray[np.float64]
    taken: NDArray[np.int64]
    before: NDArray[np.int64]

    def extend(self, items: Sequence[Option]) -> _Stage:
        """Return the stage with one layer more."""
        costs = np.add.outer([item.cost for item in items], self.costs).ravel()
        losses = np.add.outer([item.loss for item in items], self.losses).ravel()
        order = np.lexsort((losses, costs))
        falling = losses[order]
        least = np.minimum.accumulate(falling)
        order = order[np.r_[True, falling[1:] < least[:-1]]]
        order = order[_thinned(costs[order])]
        taken, before = np.divmod(order, len(self.costs))
        return _Stage(costs[order], losses[order], taken, before)


def _thinned(costs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of at most about `MOST_POINTS` of rising costs, ends included."""
    if len(costs) <= MOST_POINTS:
        return np.arange(len(costs))
    width = (costs[-1] - costs[0]) // MOST_POINTS + 1
    bins = (costs - costs[0]) // width
    return np.flatnonzero(np.r_[True, bins[1:-1] != bins[2:], True])


def search(options: Mapping[str, Sequence[Option]]) -> Front:
    """Return the Pareto front of cost and loss over all choices.

    Parameters
    ----------
    options : mapping of str to sequence of Option
        By layer, at least one each.
    """
    nothing = np.zeros(1, np.int64)
    stages = [_Stage(nothing, np.zeros(1), nothing, nothing)]
    for items in options.values():
        stages.append(stages[-1].extend(items))
    layers, last = list(options.items()), stages[-1]
    series: list[dict[str, str]] = [{} for _ in last.costs]
    places = np.arange(len(last.costs))
    for stage, (name, items) in zip(stages[:0:-1], layers[::-1], strict=True):
        for found, taken in zip(series, stage.taken[places], strict=True):
            if items[taken].series != DENSE:
                found[name] = items[taken].series
        places = stage.before[places]
    return Front(
        Point(int(cost), float(loss), dict(reversed(found.items())))
        for cost, loss, found in zip(last.costs, last.losses, series, strict=True)
    )
