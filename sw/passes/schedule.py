"""Order the operations: greedy list scheduling against the cost model.

Each unit takes, whenever it is free, the ready operation that stands first in the natural order of
the layer, so that the array turns to the next head, block or weight matrix while the vector unit
works on the last result. A LOAD becomes ready no earlier than `horizon` cycles of array work before
its data is needed: early enough to hide the memory, late enough to hold no scratchpad in vain.
Whatever begins to fill a buffer waits until the buffers in use leave room for it, as long as
anything else can go on.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace

from ...hw.config import AcceleratorConfig
from ...hw.isa import UNITS, Opcode, Unit
from ..cost import ISSUE_CYCLES, cycles, latency
from ..errors import NoRoomError
from ..gir import Buffer, Graph, Operation
from .allocate import allocate
from .dependencies import dependencies
from .room import Room

PACING = (Unit.ARRAY, Unit.BUTTERFLY)
"""The units whose work tells how far a program has come."""


PATIENT = (Unit.BUTTERFLY,)
"""The units that wait for the result of an earlier operation if all it lacks is the latency of
their own pipeline: short steps that free the room of a tile go before the next tile."""

SHARES = (1.0, 0.85, 0.7)
"""Shares of the scratchpad that an order may fill: what is left makes up for gaps."""


def schedule_that_fits(graph: Graph, config: AcceleratorConfig, horizon: int) -> Graph:
    """Return the order that fills as much of the scratchpad as `allocate` finds addresses for.

    The last order tried if none does. Parameters are those of `schedule`.
    """
    for share in SHARES:
        scheduled = schedule(graph, config, horizon, share)
        with suppress(NoRoomError):
            allocate(scheduled, config)
            break
    return scheduled


def schedule(
    graph: Graph, config: AcceleratorConfig, horizon: int, share: float = SHARES[0]
) -> Graph:
    """Return `graph` in the order of the predicted starts, which the operations then carry.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes.
    config : AcceleratorConfig
    horizon : int
        Cycles of array work that a LOAD may run ahead.
    share : float
        Of the scratchpad, which the buffers in use at a time may fill.
    """
    return _Scheduler(graph, config, horizon, share).run()


class _Scheduler:
    def __init__(self, graph: Graph, config: AcceleratorConfig, horizon: int, share: float) -> None:
        self.graph = graph
        self.horizon = horizon
        self.operations = graph.operations()
        buffers = graph.by_name()
        self.work = [cycles(operation, buffers, config) for operation in self.operations]
        self.latency = {unit: latency(unit, config) + ISSUE_CYCLES for unit in UNITS}
        self.followers: list[list[int]] = [[] for _ in self.operations]
        self.missing = [0] * len(self.operations)
        self._add_edges(buffers)
        self.due = self._due()
        self.room = Room(self.operations, buffers, config, share)
        self.earliest = [0] * len(self.operations)
        self.free = dict.fromkeys(UNITS, 0)
        self.ready: dict[Unit, list[int]] = {unit: [] for unit in UNITS}
        self.work_done = 0
        self.work_start = 0

    def _add_edges(self, buffers: dict[str, Buffer]) -> None:
        edges = {
            (conflict.earlier.operation, conflict.later.operation)
            for conflict in dependencies(self.graph)
        }
        edges |= _ring_edges(self.operations, buffers)
        for earlier, later in sorted(edges):
            self.followers[earlier].append(later)
            self.missing[later] += 1

    def _due(self) -> list[int]:
        """Return the work of `PACING` before the first operation that needs each LOAD."""
        before = []
        total = 0
        for operation, work in zip(self.operations, self.work, strict=True):
            before.append(total)
            total += work if operation.unit in PACING else 0
        return [
            min((before[later] for later in self.followers[number]), default=0)
            if operation.opcode == Opcode.LOAD
            else 0
            for number, operation in enumerate(self.operations)
        ]

    def run(self) -> Graph:
        for number, missing in enumerate(self.missing):
            if not missing:
                self.ready[self.operations[number].unit].append(number)
        order = []
        while any(self.ready.values()):
            start, number = self._choose()
            order.append(self._place(number, start))
        return replace(self.graph, body=tuple(order))

    def _choose(self) -> tuple[int, int]:
        """Return start and number of the operation that can start first."""
        best = None
        blocked = None
        for unit, numbers in self.ready.items():
            patience = self.free[unit] + self.latency[unit] if unit in PATIENT else 0
            for number in numbers:
                start = max(self.free[unit], self.earliest[number])
                room = self.room.earliest(number, start)
                if room is None or self.due[number] > self.work_done + self.horizon:
                    blocked = min(blocked or (number, start), (number, start))
                    continue
                start = room
                if self.due[number]:
                    start = max(start, self.work_start - self.horizon)
                found = max(start, patience), number, start
                best = min(best or found, found)
        if best is None:
            assert blocked is not None
            return blocked[1], blocked[0]
        return best[2], best[1]

    def _place(self, number: int, start: int) -> Operation:
        operation = self.operations[number]
        unit = operation.unit
        end = start + self.work[number]
        self.ready[unit].remove(number)
        self.free[unit] = end
        if unit in PACING:
            self.work_done += self.work[number]
            self.work_start = start
        visible = end + self.latency[unit]
        self.room.place(number, visible)
        for later in self.followers[number]:
            self.earliest[later] = max(self.earliest[later], visible)
            self.missing[later] -= 1
            if not self.missing[later]:
                self.ready[self.operations[later].unit].append(later)
        return replace(operation, start=start, end=visible)


def _ring_edges(operations: list[Operation], buffers: dict[str, Buffer]) -> set[tuple[int, int]]:
    """Return what keeps copy n of a buffer from being used before copy n - depth is free."""
    users: dict[str, list[int]] = defaultdict(list)
    for number, operation in enumerate(operations):
        for item in (*operation.reads.values(), *operation.writes.values()):
            users[item.buffer].append(number)
    edges = set()
    for name, numbers in users.items():
        stem, dot, copy = name.rpartition(".")
        if not dot or not copy.isdigit():
            continue
        previous = f"{stem}.{int(copy) - buffers[name].depth}"
        edges |= {(last, numbers[0]) for last in users.get(previous, ())}
    return edges
