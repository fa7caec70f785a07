"""Go through tilings within a budget: which to look at, which to leave out unseen, which is best.

A candidate whose busiest unit alone works longer than the best one takes as a whole is left out.
The others are scheduled, allocated and compared. How many that are is counted, so that the same
input gives the same result on every machine; a limit in seconds may only end the search early, and
the result says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

Candidate = TypeVar("Candidate")
"""A tiling of any kind: a frozen dataclass, whose fields are what there is to choose."""

SWEEPS = 3
"""How often a descent goes over all fields of a tiling, at most."""

SWEEP_GAIN = 1.005
"""How many times fewer cycles a sweep must find for another one to follow."""


@dataclass(frozen=True, order=True)
class Cost:
    """What a tiling costs: one that fits is better than one that does not, then the cycles.

    Parameters
    ----------
    excess : int
        Bytes beyond the scratchpad.
    cycles : int
        Predicted, and `search.INSTRUCTION_CYCLES` for each instruction.
    """

    excess: int
    cycles: int


UNSEEN = Cost(sys.maxsize, sys.maxsize)
"""Of a candidate that is not looked at."""


@dataclass(frozen=True)
class Budget:
    """How long to search.

    Parameters
    ----------
    candidates : int
        Tilings to schedule at most, once one fits.
    seconds : float, optional
        Of wall-clock time, after which no further one is scheduled if one fits.
    reuse : bool
        Whether to take a result that is known from before.
    """

    candidates: int = 64
    seconds: float | None = None
    reuse: bool = True


class Explorer(Generic[Candidate]):
    """Knows the tilings that were looked at, and the best of them.

    Parameters
    ----------
    evaluate : callable
        From a tiling to its cost.
    bound : callable
        From a tiling to cycles below which its cost cannot lie; far quicker.
    budget : Budget
    enough : int
        Cycles that leave nothing to look for: once one takes no more, no further one is scheduled.
    """

    def __init__(
        self,
        evaluate: Callable[[Candidate], Cost],
        bound: Callable[[Candidate], int],
        budget: Budget,
        enough: int = 0,
    ) -> None:
        self._evaluate, self._bound, self._budget = evaluate, bound, budget
        self._enough = enough
        self._started = time.monotonic()
        self.costs: dict[Candidate, Cost] = {}
        self.pruned: set[Candidate] = set()
        self.best = UNSEEN
        self.is_late = False

    def cost(self, tiling: Candidate) -> Cost:
        """Return the cost of `tiling`; `UNSEEN` if there is no need or no budget to look at it."""
        if tiling in self.costs:
            return self.costs[tiling]
        if not self.best.excess:
            if self.best.cycles <= self._enough:
                return UNSEEN
            if tiling in self.pruned or self._bound(tiling) >= self.best.cycles:
                self.pruned.add(tiling)
                return UNSEEN
            if len(self.costs) >= self._budget.candidates or self._time_is_over():
                return UNSEEN
        cost = self.costs[tiling] = self._evaluate(tiling)
        self.best = min(self.best, cost)
        return cost

    def _time_is_over(self) -> bool:
        seconds = self._budget.seconds
        self.is_late |= seconds is not None and time.monotonic() - self._started > seconds
        return self.is_late

    def fits(self, tiling: Candidate) -> bool:
        """Return whether `tiling` is one that fits."""
        return not self.cost(tiling).excess

    def ranking(self) -> list[Candidate]:
        """Return the tilings that fit, the best one first."""
        fitting = (tiling for tiling in self.costs if not self.costs[tiling].excess)
        return sorted(fitting, key=self.costs.__getitem__)

    def descend(
        self,
        start: Candidate,
        options: Mapping[str, Sequence[Any]],
        is_hopeless: Callable[[Candidate], bool] = lambda _: False,
    ) -> Candidate:
        """Return the best tiling on the way from `start`, one field at a time.

        Where nothing fits after a sweep, there is no further one if `is_hopeless` says so.
        """
        best = start
        for sweep in range(SWEEPS):
            if sweep and is_hopeless(best) and self.cost(best).excess:
                break  # One more sweep would only come nearer.
            before = best
            for name, values in options.items():
                best = self.first_best(best, (_with(best, name, item) for item in values))
            if best == before or self._has_settled(before, best):
                break
        return best

    def _has_settled(self, before: Candidate, after: Candidate) -> bool:
        """Return whether both fit, and a sweep gained too little for another one."""
        old, new = self.cost(before), self.cost(after)
        return not old.excess and not new.excess and old.cycles < new.cycles * SWEEP_GAIN

    def first_best(self, start: Candidate, tilings: Iterable[Candidate]) -> Candidate:
        """Return the cheapest of `tilings`, or `start` if none is cheaper."""
        return min((start, *tilings), key=self.cost)

    def figures(self, gain: float) -> dict[str, Any]:
        """Return what the metadata of a program says of a search that found one `gain` times as
        fast as the start."""
        return {
            "candidates": len(self.costs),
            "pruned": len(self.pruned),
            "search_gain": round(gain, 4),
            "search_ended_early": self.is_late,
        }


def _with(tiling: Candidate, name: str, value: Any) -> Candidate:
    changed: Candidate = replace(tiling, **{name: value})  # type: ignore[type-var]
    return changed
