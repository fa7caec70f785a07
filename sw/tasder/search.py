"""Choose what each layer takes: the least loss for every cost, by dynamic programming.

Losses of layers are taken to add up, so the front over the measured losses is exact; what it says
of a whole model is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from .errors import BudgetError

DENSE = ""
"""Stands for neither."""


@dataclass(frozen=True)
class Option:
    """What one layer may take.

    Parameters
    ----------
    series : str
        `DENSE`, or the text of a series, of weights or of inputs.
    slots : int
    loss : float
    """

    series: str
    slots: int
    loss: float


@dataclass(frozen=True)
class Point:
    """A choice for all layers that nothing else betters in both figures.

    Parameters
    ----------
    slots : int
    loss : float
        Sum of the losses of the layers.
    series : mapping of str to str
        By layer; dense layers are left out.
    """

    slots: int
    loss: float
    series: Mapping[str, str]


class Front:
    """The Pareto front of slots and loss over all choices.

    Parameters
    ----------
    options : mapping of str to sequence of Option
        By layer, at least one each. Slots are not negative.
    """

    def __init__(self, options: Mapping[str, Sequence[Option]]) -> None:
        self._options = {name: list(items) for name, items in options.items()}
        slots = [item.slots for items in self._options.values() for item in items]
        self._unit = max(1, reduce(gcd, slots, 0))
        self._tables: list[np.ndarray] = [np.zeros(1)]
        for items in self._options.values():
            self._tables.append(self._extend(self._tables[-1], items))
        best = np.minimum.accumulate(self._tables[-1])
        first = np.r_[True, best[1:] < best[:-1]] & np.isfinite(best)
        self._places = np.flatnonzero(first)

    @property
    def slots(self) -> list[int]:
        """The slots of all points, rising."""
        return [int(place) * self._unit for place in self._places]

    @property
    def losses(self) -> list[float]:
        """The loss of all points, falling."""
        return [float(self._tables[-1][place]) for place in self._places]

    def points(self) -> list[Point]:
        """Return all points, the cheapest first."""
        return [self._point(int(place)) for place in self._places]

    def within_slots(self, limit: float) -> Point:
        """Return the point of least loss with at most `limit` slots.

        Raises
        ------
        BudgetError
            If there is none.
        """
        within = [int(place) for place in self._places if place * self._unit <= limit]
        if not within:
            raise BudgetError(
                f"budget of {limit:.0f} slots is not reachable; nearest is {self.slots[0]}"
            )
        return self._point(within[-1])

    def within_loss(self, limit: float) -> Point:
        """Return the cheapest point with a loss of at most `limit`.

        Raises
        ------
        BudgetError
            If there is none.
        """
        within = [int(place) for place in self._places if self._tables[-1][place] <= limit]
        if not within:
            raise BudgetError(
                f"loss of {limit:.3g} is not reachable; nearest is {self.losses[-1]:.3g}"
            )
        return self._point(within[0])

    def _extend(self, table: np.ndarray, items: Sequence[Option]) -> np.ndarray:
        """Return the least loss for each number of slots with one layer more."""
        widest = max(item.slots for item in items) // self._unit
        longer = np.full(len(table) + widest, np.inf)
        for item in items:
            start = item.slots // self._unit
            part = longer[start : start + len(table)]
            np.minimum(part, table + item.loss, out=part)
        return longer

    def _point(self, place: int) -> Point:
        slots, loss = place * self._unit, float(self._tables[-1][place])
        series = {}
        tables = reversed(self._tables[:-1])
        for (name, items), table in zip(reversed(self._options.items()), tables, strict=True):
            item, place = self._step(items, table, place)
            if item.series != DENSE:
                series[name] = item.series
        return Point(slots, loss, dict(reversed(series.items())))

    def _step(self, items: Sequence[Option], table: np.ndarray, place: int) -> tuple[Option, int]:
        """Return what a layer took, and the place before it."""

        def before(item: Option) -> float:
            start = place - item.slots // self._unit
            return float(table[start]) + item.loss if 0 <= start < len(table) else np.inf

        item = min(items, key=before)
        return item, place - item.slots // self._unit
