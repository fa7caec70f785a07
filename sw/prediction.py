"""What a program should take: its units, their queues and semaphores, fetch, and the scratchpad.

Units share the two ports of the scratchpad by priority, and fetch shares the bus with LOADs.
Between two events (an instruction is decoded, begins, ends) each unit works at a constant speed:
the share of its accesses that the ports leave it. So a product of a million cycles takes no longer
to simulate than one of ten.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..hw.config import AcceleratorConfig
from ..hw.isa import SPARSE_OUTPUT_FLOWS, Flow, Unit
from .fetch_timing import NEVER, Fetch
from .gir import Graph, Operation, semaphores
from .phase import Phase
from .unit_timing import Timing, timing

ISSUE_CYCLES = 5
"""From the decoder, or from a signal, to the acceptance of the instruction that waits for it."""

END_CYCLES = 24
"""From the end of the last instruction until the machine is idle."""

ACCEPTED_AHEAD = 1
"""Instructions that a unit has taken from its queue while it works on another."""

BUFFERED = {Unit.ARRAY: 0.0, Unit.LOAD: 1.0, Unit.STORE: 4.0, Unit.VECTOR: 8.0, Unit.BUTTERFLY: 4.0}
"""Lines that a unit has read ahead, and lines that may wait to be written, while it works on."""

_OTHERS = (Unit.STORE, Unit.VECTOR, Unit.BUTTERFLY)

DENSE_STATIONARY_FLOWS = (Flow.DENSE_WEIGHT_STATIONARY, Flow.DENSE_INPUT_STATIONARY)

SUMS_WRITTEN = 20.0
"""From the last sum that the array gives away until all results are written."""

TOLERANCE = 1e-6


def priority(config: AcceleratorConfig) -> tuple[Unit, ...]:
    """Return whose access to the scratchpad goes first, as `hw.accelerator` orders its clients."""
    if config.scratchpad.pipelined:
        return (Unit.LOAD, Unit.ARRAY, *_OTHERS)
    return (Unit.ARRAY, Unit.LOAD, *_OTHERS)


@dataclass(frozen=True)
class Prediction:
    """What an unloaded machine should need.

    Parameters
    ----------
    cycles : int
        From the start of the program to its end.
    busy : dict of int
        Cycles of work a unit.
    spans : list of tuple of int
        For each operation: when its unit has accepted it and ended the one before, and when it has
        ended.
    """

    cycles: int
    busy: dict[Unit, int]
    spans: list[tuple[int, int]]


def predict(graph: Graph, config: AcceleratorConfig) -> Prediction:
    """Simulate the machine on `graph`.

    Raises
    ------
    ValueError
        If an instruction waits for a signal that no instruction sends before it.
    """
    buffers = graph.by_name()
    operations = graph.operations()
    timings = [timing(operation, buffers, config) for operation in operations]
    return _Machine(operations, timings, config).run()


@dataclass
class _Worker:
    """A unit, what waits for it, and what it works on.

    Parameters
    ----------
    queue : deque of tuple
        Instructions that were decoded, and when.
    accepted, begins : float
        When the first of them is accepted and begins; `NEVER` while that is open.
    current : int
        The instruction under way, -1 if none is.
    phase : int
        Which part of it.
    left : float
        Cycles of that part which are still to be worked, if no access is refused.
    speed : float
        Cycles of work a cycle.
    free, ended : float
        When the last work ended, and when all it wrote was visible.
    room : float
        Lines that may be owed to each port before the unit stands still.
    owed, owes : list of float
        Lines read and lines written that the unit is behind its work, and how many more of them in
        each cycle.
    """

    queue: deque[tuple[int, float]] = field(default_factory=deque)
    accepted: float = 0.0
    begins: float = NEVER
    current: int = -1
    phase: int = 0
    left: float = 0.0
    speed: float = 1.0
    free: float = 0.0
    ended: float = 0.0
    room: float = 0.0
    owed: list[float] = field(default_factory=lambda: [0.0, 0.0])
    owes: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def until(self, now: float) -> float:
        """Return when something changes that the unit does by itself."""
        if self.current < 0:
            return self.begins
        then = now + self.left / self.speed if self.speed else NEVER
        for owed, owes in zip(self.owed, self.owes, strict=True):
            if owes > 0:
                then = min(then, now + (self.room - owed) / owes)
            elif owes < 0:
                then = min(then, now - owed / owes)
        return then

    def start(self, phase: Phase) -> None:
        """Begin with a part of an instruction: nothing has been read ahead, all is written."""
        self.left, self.owed = float(phase.cycles), [self.room, 0.0]

    def work(self, cycles: float) -> bool:
        """Go on for some cycles; return whether a buffer has become full or empty."""
        self.left -= cycles * self.speed
        changed = False
        for port, owes in enumerate(self.owes):
            if owes:
                owed = self.owed[port] + cycles * owes
                changed |= owed >= self.room - TOLERANCE or owed <= TOLERANCE
                self.owed[port] = min(max(owed, 0.0), self.room)
        return changed

    def access(self, rates: Sequence[float], left: list[float]) -> None:
        """Take from what is `left` of the ports what the work asks for, and set the speed.

        Parameters
        ----------
        rates : sequence of float
            Lines read and lines written in a cycle of work.
        left : list of float
            Accesses of either kind that those before leave, a cycle.
        """
        self.speed = 1.0
        for port, rate in enumerate(rates):
            if rate > left[port] and self.owed[port] >= self.room - TOLERANCE:
                self.speed = min(self.speed, left[port] / rate)
        if self.speed < TOLERANCE:
            self.speed = 0.0
        for port, rate in enumerate(rates):
            wanted = rate * self.speed
            owes = wanted - left[port]
            if owes < 0 and self.owed[port] <= TOLERANCE or abs(owes) < TOLERANCE:
                owes = 0.0
                left[port] = max(0.0, left[port] - wanted)
            else:
                left[port] = 0.0
            self.owes[port] = owes


class _Machine:
    def __init__(
        self, operations: Sequence[Operation], timings: Sequence[Timing], config: AcceleratorConfig
    ) -> None:
        self.operations, self.timings = operations, timings
        self.room = config.controller.queue_depth + ACCEPTED_AHEAD
        self.waits = [semaphores(operation.wait) for operation in operations]
        self.signals = [semaphores(operation.signal) for operation in operations]
        self.order = priority(config)
        self.workers = [_Worker(room=BUFFERED[unit]) for unit in self.order]
        places = {unit: place for place, unit in enumerate(self.order)}
        self.units = [self.workers[places[operation.unit]] for operation in operations]
        self.load = self.workers[places[Unit.LOAD]]
        self.idle = 0
        self.hidden = _hidden(operations)
        self.sent: dict[int, deque[float]] = defaultdict(deque)
        self.spans: list[tuple[float, float]] = [(0.0, 0.0)] * len(operations)
        self.now = 0.0
        self.fetch = Fetch(len(operations), config)

    def run(self) -> Prediction:
        missing = len(self.operations)
        while missing:
            changed = self._advance()
            for worker in self.workers:
                if worker.current >= 0 and worker.left <= TOLERANCE:
                    missing -= self._step(worker)
                    changed = True
                if worker.current < 0 and worker.begins <= self.now:
                    self._begin(worker)
                    changed = True
            if self._fetched() <= self.now:
                self._decode()
            if changed:
                self._share()
        return self._result()

    def _fetched(self) -> float:
        load = self.load
        return self.fetch.time(self.now, load.speed if load.current >= 0 else None)

    def _advance(self) -> bool:
        """Let the time pass until something happens; return whether speeds change."""
        then = min(self._fetched(), *(worker.until(self.now) for worker in self.workers))
        if then == NEVER:
            self._refuse()
        passed = then - self.now
        if passed <= 0:
            return False
        changed = False
        for worker in self.workers:
            if worker.current >= 0:
                changed |= worker.work(passed)
        if self.load.current >= 0:
            self.fetch.loaded += passed * self.load.speed
        self.now = then
        return changed

    def _decode(self) -> None:
        """Put the next instruction in the queue of its unit, if that has room."""
        fetch, load = self.fetch, self.load
        number = fetch.next
        worker = self.units[number]
        if len(worker.queue) == self.room:
            fetch.is_blocked = True
            return
        backlog = 0
        if load.current >= 0:
            backlog = self.timings[load.current].backlog
            hidden = min(fetch.beats, self.idle)
            self.idle -= hidden
            load.left += fetch.beats - hidden
        fetch.decode(self.now, backlog)
        worker.queue.append((number, self.now))
        self._look(worker)

    def _look(self, worker: _Worker) -> None:
        """Find out when an idle unit begins with what it has in its queue."""
        if worker.current >= 0 or worker.begins != NEVER or not worker.queue:
            return
        number, decoded = worker.queue[0]
        if not all(map(self.sent.get, self.waits[number])):
            return
        signals = (self.sent[semaphore][0] for semaphore in self.waits[number])
        worker.accepted = max(decoded, *signals, 0.0) + ISSUE_CYCLES
        ready = max(worker.accepted, worker.ended - self.hidden[number])
        worker.begins = max(worker.free, ready + self.timings[number].start)

    def _begin(self, worker: _Worker) -> None:
        number, _ = worker.queue.popleft()
        for semaphore in self.waits[number]:
            self.sent[semaphore].popleft()
        self.fetch.is_blocked = False
        if worker is self.load:
            self.idle = self.timings[number].idle
        worker.begins = NEVER
        worker.current, worker.phase = number, 0
        worker.start(self.timings[number].phases[0])
        self.spans[number] = max(worker.accepted, worker.ended), 0.0

    def _step(self, worker: _Worker) -> int:
        """Go on to the next part of an instruction; return whether there is none."""
        number = worker.current
        known = self.timings[number]
        worker.phase += 1
        if worker.phase < len(known.phases):
            worker.start(known.phases[worker.phase])
            return 0
        worker.current = -1
        worker.free, worker.ended = self.now, self.now + known.end
        self.spans[number] = self.spans[number][0], worker.ended
        for semaphore in self.signals[number]:
            self.sent[semaphore].append(worker.ended)
        for other in self.workers:
            self._look(other)
        return 1

    def _share(self) -> None:
        """Give each unit what those before it leave of the ports of the scratchpad."""
        left = [1.0, 1.0]
        for worker in self.workers:
            if worker.current >= 0:
                worker.access(self.timings[worker.current].phases[worker.phase].rates, left)

    def _refuse(self) -> None:
        """Name a semaphore that nobody signals."""
        for worker in self.workers:
            for number, _ in list(worker.queue)[:1]:
                for semaphore in self.waits[number]:
                    if not self.sent.get(semaphore):
                        raise ValueError(f"semaphore {semaphore} is waited for but never signalled")
        raise AssertionError("nothing can go on")

    def _result(self) -> Prediction:
        busy = dict.fromkeys(self.order, 0)
        spans = [(round(first), round(last)) for first, last in self.spans]
        for operation, (first, last) in zip(self.operations, spans, strict=True):
            busy[operation.unit] += last - first
        ended = max((worker.ended for worker in self.workers), default=0.0)
        return Prediction(round(ended) + END_CYCLES, busy, spans)


def _hidden(operations: Sequence[Operation]) -> list[float]:
    """Return how long before the end of the one before on its unit each operation may start.

    The butterfly unit reads ahead of what it writes, but not what the instruction before writes.
    The array starts with a product of another family of flows when it has given away the sums of
    the last one.
    """
    hidden = [NEVER] * len(operations)
    before: dict[Unit, Operation] = {}
    for number, operation in enumerate(operations):
        last = before.get(operation.unit)
        before[operation.unit] = operation
        if last is None:
            continue
        if operation.unit == Unit.ARRAY and _family(operation) != _family(last):
            hidden[number] = SUMS_WRITTEN
        if operation.unit == Unit.BUTTERFLY and _depends(operation, last):
            hidden[number] = 0.0
    return hidden


def _depends(operation: Operation, last: Operation) -> bool:
    """Return whether a BUTTERFLY reads what the last one writes."""
    written = [item for role, item in last.writes.items() if role.startswith("y")]
    return any(item.meets(other) for item in operation.reads.values() for other in written)


def _family(operation: Operation) -> tuple[Flow, ...]:
    """Return the flows between which the array does not pause."""
    flow = Flow(operation.attributes.get("flow", 0))
    families = (SPARSE_OUTPUT_FLOWS, DENSE_STATIONARY_FLOWS)
    return next((family for family in families if flow in family), (flow,))
