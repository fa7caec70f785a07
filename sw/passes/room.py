"""How much of the scratchpad a schedule has left, while it is made."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence

from ...hw.config import AcceleratorConfig
from ..gir import WORD, Buffer, Level, Operation


class Room:
    """The buffers in use after the operations that have been placed so far.

    A buffer is in use from the first operation that touches it to the end of the last one.

    Parameters
    ----------
    operations : sequence of Operation
    buffers : mapping of str to Buffer
    config : AcceleratorConfig
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        buffers: Mapping[str, Buffer],
        config: AcceleratorConfig,
    ) -> None:
        self.capacity = config.scratchpad.bytes
        self.touched = [_scratchpad(operation, buffers) for operation in operations]
        self.users: dict[str, int] = {}
        for names in self.touched:
            for name in names:
                self.users[name] = self.users.get(name, 0) + 1
        grain = config.lanes
        self.sizes = {name: -(-buffers[name].size // grain) * grain * WORD for name in self.users}
        self.ends: dict[str, int] = {}
        self.held = 0
        self.leaving: list[tuple[int, int]] = []

    def earliest(self, number: int, start: int) -> int | None:
        """Return when there is room for operation `number`, at `start` or later.

        None if there is none before other operations are placed.
        """
        wanted = sum(self.sizes[name] for name in self.touched[number] if name not in self.ends)
        if not wanted:
            return start
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
                self.held += self.sizes[name]
            self.ends[name] = max(self.ends.get(name, 0), end)
            self.users[name] -= 1
            if not self.users[name]:
                self.held -= self.sizes[name]
                insort(self.leaving, (self.ends[name], self.sizes[name]))


def _end(leaving: tuple[int, int]) -> int:
    return leaving[0]


def _scratchpad(operation: Operation, buffers: Mapping[str, Buffer]) -> set[str]:
    slices = (*operation.reads.values(), *operation.writes.values())
    names = {item.buffer for item in slices}
    return {name for name in names if buffers[name].level == Level.SCRATCHPAD}
