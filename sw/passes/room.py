"""How much of the scratchpad a schedule has left, while it is made."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..gir import WORD, Buffer, Graph, Level, Operation


class Room:
    """The buffers in use after the operations that have been placed so far.

    A buffer is in use from the first operation that touches it to the end of the last one. What
    runs ahead of the program's order gets no room that the operations it overtakes will need, so
    that a program which fits in its order never gets stuck.

    Parameters
    ----------
    operations : sequence of Operation
        In the program's order.
    buffers : mapping of str to Buffer
    config : AcceleratorConfig
    share : float
        Of the scratchpad, which may be in use at a time; more if the program's order needs more.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        buffers: Mapping[str, Buffer],
        config: AcceleratorConfig,
        share: float,
    ) -> None:
        self.touched = [_scratchpad(operation, buffers) for operation in operations]
        self.users: dict[str, list[int]] = defaultdict(list)
        for number, names in enumerate(self.touched):
            for name in names:
                self.users[name].append(number)
        self.left = {name: len(numbers) for name, numbers in self.users.items()}
        grain = config.lanes
        self.sizes = {name: -(-buffers[name].size // grain) * grain * WORD for name in self.users}
        # What each operation would begin to use.
        self.wanted = [sum(self.sizes[name] for name in names) for names in self.touched]
        # What each operation will find in use, if those before it run before it: in the program's
        # order, and what has been begun early besides.
        self.footprint, self.first = _footprint(self.touched, self.sizes)
        self.capacity = max(share * config.scratchpad.bytes, self.footprint.max())
        self.placed = [False] * len(operations)
        self.next = 0
        self.ends: dict[str, int] = {}
        self.held = 0
        self.leaving: list[tuple[int, int]] = []

    def earliest(self, number: int, start: int) -> int | None:
        """Return when there is room for operation `number`, at `start` or later.

        None if there is none before other operations are placed.
        """
        wanted = self.wanted[number]
        if not wanted:
            return start
        overtaken = self.footprint[self.next : number]
        if overtaken.size and overtaken.max() + wanted > self.capacity:
            return None
        leaving = self.leaving[bisect_right(self.leaving, start, key=_end) :]
        missing = self.held + wanted - self.capacity + sum(size for _, size in leaving)
        if missing <= 0:
            return start
        for end, size in leaving:
            missing -= size
            if missing <= 0:
                return end
        return None

    def place(self, number: int, end: int) -> None:
        """Note that operation `number` ends at `end`."""
        for name in self.touched[number]:
            if name not in self.ends:
                self._begin(name)
            self.ends[name] = max(self.ends.get(name, 0), end)
            self.left[name] -= 1
            if not self.left[name]:
                self.held -= self.sizes[name]
                insort(self.leaving, (self.ends[name], self.sizes[name]))
        self.placed[number] = True
        while self.next < len(self.placed) and self.placed[self.next]:
            self.next += 1

    def _begin(self, name: str) -> None:
        size = self.sizes[name]
        self.held += size
        self.footprint[self.next : self.first[name]] += size
        for user in self.users[name]:
            self.wanted[user] -= size


def least_bytes(graph: Graph, config: AcceleratorConfig) -> int:
    """Return the scratchpad bytes that a graph without parallel nodes needs in its own order."""
    return int(Room(graph.operations(), graph.by_name(), config, 0.0).footprint.max())


def check_room(graph: Graph, tokens: int, channels: int, config: AcceleratorConfig) -> None:
    """Check that a graph without parallel nodes fits the scratchpad in its own order.

    Raises
    ------
    CompileError
        If not: what needs most, how much, and the limit.
    """
    operations = graph.operations()
    footprint = Room(operations, graph.by_name(), config, 0.0).footprint
    if footprint.max() > config.scratchpad.bytes:
        raise CompileError(
            f"{operations[int(footprint.argmax())].product}: needs at least {footprint.max()} "
            f"bytes of scratchpad for {tokens} tokens of {channels} channels; the limit is "
            f"{config.scratchpad.bytes}"
        )


def _footprint(
    touched: Sequence[set[str]], sizes: Mapping[str, int]
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the bytes in use at each operation, and the first operation that uses each buffer."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, names in enumerate(touched):
        for name in names:
            first.setdefault(name, number)
            last[name] = number
    footprint = np.zeros(len(touched) + 1, dtype=np.int64)
    for name, size in sizes.items():
        footprint[first[name] : last[name] + 1] += size
    return footprint, first


def _end(leaving: tuple[int, int]) -> int:
    return leaving[0]


def _scratchpad(operation: Operation, buffers: Mapping[str, Buffer]) -> set[str]:
    slices = (*operation.reads.values(), *operation.writes.values())
    names = {item.buffer for item in slices}
    return {name for name in names if buffers[name].level == Level.SCRATCHPAD}
