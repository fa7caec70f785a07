"""Order the operations: greedy list scheduling against the cost model.

Each unit takes, whenever it is free, the ready operation that stands first in the natural order of
the layer, or the one from which most work follows, so that the array turns to the next head, block
or weight matrix while the vector unit works on the last result. A LOAD becomes ready no earlier
than `horizon` cycles of array work before its data is needed: early enough to hide the memory, late
enough to hold no scratchpad in vain.
Whatever begins to fill a buffer waits until the buffers in use leave room for it, as long as
anything else can go on.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

from ...hw.config import AcceleratorConfig
from ...hw.isa import UNITS, Opcode, Unit
from ..cost import ISSUE_CYCLES, cycles, latency
from ..errors import NoRoomError
from ..gir import Buffer, Graph, Operation, changed
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


def schedule_that_fits(
    graph: Graph,
    config: AcceleratorConfig,
    horizon: int,
    *,
    critical_path: bool = False,
    overlap: bool = True,
    loads_in_order: bool = False,
) -> Graph:
    """Return the order that fills as much of the scratchpad as `allocate` finds addresses for.

    The last order tried if none does. Parameters are those of `schedule` and `Plan`.
    """
    plan = Plan(graph, config, overlap=overlap, loads_in_order=loads_in_order)
    return fit(plan, horizon, critical_path=critical_path)[0]


def fit(plan: Plan, horizon: int, *, critical_path: bool = False) -> tuple[Graph, Graph | None]:
    """Return the order of `schedule_that_fits`, and the same with addresses if it has some."""
    for share in SHARES:
        scheduled = _Scheduler(plan, horizon, share, critical_path).run()
        with suppress(NoRoomError):
            return scheduled, allocate(scheduled, plan.config)
    return scheduled, None


def schedule(
    graph: Graph,
    config: AcceleratorConfig,
    horizon: int,
    share: float = SHARES[0],
    *,
    critical_path: bool = False,
    overlap: bool = True,
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
    critical_path : bool
        Which of the operations that can start first is taken: the one from which most work
        follows to the end of the program, or the first one in the program.
    overlap : bool
        Whether operations of several units may be under way at a time.
    """
    return _Scheduler(Plan(graph, config, overlap=overlap), horizon, share, critical_path).run()


class Plan:
    """What all orders of a graph have in common: work, edges, and when data is due.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes.
    config : AcceleratorConfig
    overlap : bool
        As in `schedule`.
    loads_in_order : bool
        Whether LOADs keep the program's order, and do not go by when their data is needed.
    """

    def __init__(
        self,
        graph: Graph,
        config: AcceleratorConfig,
        *,
        overlap: bool = True,
        loads_in_order: bool = False,
    ) -> None:
        self.graph, self.config = graph, config
        self.loads_in_order = loads_in_order
        self.operations = graph.operations()
        self.units = [operation.unit for operation in self.operations]
        self.buffers = graph.by_name()
        self.work = [cycles(operation, self.buffers, config) for operation in self.operations]
        self.followers: list[list[int]] = [[] for _ in self.operations]
        self.missing = [0] * len(self.operations)
        self.latency = {unit: latency(unit, config) + ISSUE_CYCLES for unit in UNITS}
        self._add_edges(overlap)
        self.due = self._due()

    @cached_property
    def path(self) -> list[int]:
        """Cycles from the start of each operation to the end of the program, at least."""
        path = [0] * len(self.operations)
        for number in reversed(range(len(path))):
            after = max((path[later] for later in self.followers[number]), default=0)
            path[number] = self.work[number] + self.latency[self.units[number]] + after
        return path

    @cached_property
    def turn(self) -> list[int]:
        """The place of each operation in the program; of a LOAD, of what `PACING` needs it for.

        So weights go before what only later products need.
        """
        if self.loads_in_order:
            return list(range(len(self.operations)))
        pacing = list(range(len(self.operations)))
        for number in reversed(range(len(pacing))):
            if self.units[number] not in PACING:
                after = (pacing[later] for later in self.followers[number])
                pacing[number] = min(after, default=number)
        loads = (operation.opcode == Opcode.LOAD for operation in self.operations)
        return [
            later if is_load else number
            for number, (later, is_load) in enumerate(zip(pacing, loads, strict=True))
        ]

    def _add_edges(self, overlap: bool) -> None:
        edges = {
            (conflict.earlier.operation, conflict.later.operation)
            for conflict in dependencies(self.graph)
        }
        edges |= _ring_edges(self.operations, self.buffers)
        if not overlap:
            edges |= set(pairwise(range(len(self.operations))))
        for earlier, later in sorted(edges):
            self.followers[earlier].append(later)
            self.missing[later] += 1

    def _due(self) -> list[int]:
        """Return the work of `PACING` before the first operation that needs each LOAD."""
        before = []
        total = 0
        for unit, work in zip(self.units, self.work, strict=True):
            before.append(total)
            total += work if unit in PACING else 0
        return [
            min((before[later] for later in self.followers[number]), default=0)
            if operation.opcode == Opcode.LOAD
            else 0
            for number, operation in enumerate(self.operations)
        ]


class _Scheduler:
    def __init__(self, plan: Plan, horizon: int, share: float, critical_path: bool) -> None:
        self.plan = plan
        self.horizon = horizon
        # Of two operations that can start at a time, the lower rank goes first.
        self.rank = [-path for path in plan.path] if critical_path else plan.turn
        self.missing = list(plan.missing)
        self.room = Room(plan.operations, plan.buffers, plan.config, share)
        self.earliest = [0] * len(plan.operations)
        self.free = dict.fromkeys(UNITS, 0)
        self.ready: dict[Unit, list[int]] = {unit: [] for unit in UNITS}
        self.work_done = 0
        self.work_start = 0

    def run(self) -> Graph:
        for number, missing in enumerate(self.missing):
            if not missing:
                self.ready[self.plan.units[number]].append(number)
        order = []
        while any(self.ready.values()):
            start, number = self._choose()
            order.append(self._place(number, start))
        assert len(order) == len(self.plan.operations), "operations wait for each other"
        # What waited for room was taken after operations that start later. Who shares words with
        # whom is decided by time, and who waits for whom by the order, so that the two must agree.
        order.sort(key=lambda operation: operation.start)
        return replace(self.plan.graph, body=tuple(order))

    def _choose(self) -> tuple[int, int]:
        """Return start and number of the operation that can start first."""
        best: tuple[int, int, int, int] | None = None
        blocked: tuple[int, int] | None = None
        rank, earliest = self.rank, self.earliest
        due, latest = self.plan.due, self.work_done + self.horizon
        for unit, numbers in self.ready.items():
            if not numbers:
                continue
            free = self.free[unit]
            patience = free + self.plan.latency[unit] if unit in PATIENT else 0
            for number in numbers:
                # Spelled out, as this is done for most operations again and again.
                start = earliest[number]
                if start < free:
                    start = free
                when = start if start > patience else patience
                if best and (when > best[0] or (when == best[0] and rank[number] > best[1])):
                    continue
                room = None if due[number] > latest else self.room.earliest(number, start)
                if room is None:
                    if blocked is None or number < blocked[0]:
                        blocked = number, start
                    continue
                if due[number]:
                    room = max(room, self.work_start - self.horizon)
                found = max(room, patience), rank[number], number, room
                best = min(best or found, found)
        if best is None:
            assert blocked is not None
            return blocked[1], blocked[0]
        return best[3], best[2]

    def _place(self, number: int, start: int) -> Operation:
        plan = self.plan
        operation, unit = plan.operations[number], plan.units[number]
        end = start + plan.work[number]
        self.ready[unit].remove(number)
        self.free[unit] = end
        if unit in PACING:
            self.work_done += plan.work[number]
            self.work_start = start
        visible = end + plan.latency[unit]
        self.room.place(number, visible)
        for later in plan.followers[number]:
            self.earliest[later] = max(self.earliest[later], visible)
            self.missing[later] -= 1
            if not self.missing[later]:
                self.ready[plan.units[later]].append(later)
        return changed(operation, start=start, end=visible)


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
