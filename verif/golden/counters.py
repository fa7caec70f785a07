"""Model of the performance counters: what they hold now, and what they held a little while ago."""

from collections import deque
from collections.abc import Sequence

from ...hw.counters import COUNT_BITS, PLACES, Counters


class RecentCounts:
    """The counts after each of the last cycles.

    Parameters
    ----------
    counters : int
        Number of counters.
    """

    def __init__(self, counters: int) -> None:
        self._now = [0] * counters
        depth = PLACES + Counters.LATENCY + 1
        self._past: deque[list[int]] = deque([list(self._now)] * depth, maxlen=depth)

    def step(self, increments: Sequence[int], *, enable: bool = True, clear: bool = False) -> None:
        """Count a cycle: add the increments if `enable`, or set all to zero."""
        if clear:
            self._now = [0] * len(self._now)
        elif enable:
            limit = 1 << COUNT_BITS
            added = zip(self._now, increments, strict=True)
            self._now = [(old + increment) % limit for old, increment in added]
        self._past.append(list(self._now))

    def count(self, place: int, age: int) -> int:
        """Return a counter as it was `age` cycles ago; zero where there is none."""
        return self._past[-1 - age][place] if place < len(self._now) else 0
