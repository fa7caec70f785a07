"""When instructions come from memory, beside the LOADs of the program."""

from __future__ import annotations

import math
from collections import deque

from ..hw.config import INSTRUCTION_BYTES, AcceleratorConfig
from .unit_timing import MEMORY_LATENCY

FETCHED_AHEAD = 4
"""Words that are on their way or wait to be decoded; the header of the program is one."""

FETCH_CYCLES = 6
"""Of a word besides the latency of memory and its beats."""

DECODE_CYCLES = 2
"""From one instruction to the next in the decoder."""

NEVER = math.inf


class Fetch:
    """The words of a program, each of which is asked for when another one has been decoded.

    Memory answers in order, so that a word waits for the bursts of a LOAD that were asked for
    before it.

    Parameters
    ----------
    count : int
        Instructions of the program.
    config : AcceleratorConfig

    Attributes
    ----------
    next : int
        The instruction that is decoded next.
    loaded : float
        Cycles of work that the load unit has done.
    is_blocked : bool
        The queue of that instruction's unit is full.
    """

    def __init__(self, count: int, config: AcceleratorConfig) -> None:
        self.next, self.loaded, self.is_blocked = 0, 0.0, False
        self.beats = max(1, INSTRUCTION_BYTES // config.axi_bytes)
        self._count = count
        self._round = MEMORY_LATENCY + FETCH_CYCLES + self.beats
        header = float(self._round)
        self._free = header + self.beats
        self._asked = deque([(header, 0.0)] * (FETCHED_AHEAD - 1))
        self._asked.append((header + self._round, 0.0))

    def time(self, now: float, speed: float | None) -> float:
        """Return when the next instruction can be decoded.

        Parameters
        ----------
        now : float
        speed : float, optional
            Of the load unit, if it is at work.
        """
        if self.is_blocked or self.next == self._count:
            return NEVER
        arrives, behind = self._asked[0]
        then = max(arrives, self._free)
        if speed is None or behind <= self.loaded:
            return then
        return max(then, now + (behind - self.loaded) / speed) if speed else NEVER

    def decode(self, now: float, backlog: float) -> None:
        """Hand on the next instruction, and ask for another one.

        Parameters
        ----------
        now : float
        backlog : float
            Cycles of work that are on their way to the load unit.
        """
        self._asked.popleft()
        self._asked.append((now + self._round, self.loaded + backlog))
        self._free = now + max(DECODE_CYCLES, self.beats)
        self.next += 1
