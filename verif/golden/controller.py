"""The controller as software sees it: in-order queues that counting semaphores connect."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...hw.config import AcceleratorConfig
from ...hw.isa import UNIT_OF, UNITS, ErrorCode, Opcode, Unit
from ...hw.semaphores import MAXIMUM
from .fault import Fault

MASK_BITS = 32
WAIT_OFFSET = 32
SIGNAL_OFFSET = 64

LENGTH_FIELD = 12
"""Byte offset of `instructions` in the program header, the address of a missing END."""

Execute = Callable[[Unit, int, bytes], None]
"""Executes an instruction word on a unit, given its index; raises `Fault`."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Parameters
    ----------
    code : ErrorCode
        `NONE` after END.
    index : int
        The instruction at fault, 0 without one.
    address : int
        What the error registers hold, 0 without an error.
    finished : int
        Instructions that were executed, END included.
    """

    code: ErrorCode
    index: int
    address: int
    finished: int


class Deadlock(RuntimeError):
    """No unit can issue and no instruction can be decoded; the message tells who waits for what."""


@dataclass(frozen=True)
class Issue:
    """An instruction in a queue: its word and its place in the program."""

    word: bytes
    index: int

    def _mask(self, offset: int) -> int:
        return (int.from_bytes(self.word, "little") >> offset) & ((1 << MASK_BITS) - 1)

    @property
    def wait(self) -> int:
        """Mask of the semaphores that the instruction takes from."""
        return self._mask(WAIT_OFFSET)

    @property
    def signal(self) -> int:
        """Mask of the semaphores that the instruction adds to."""
        return self._mask(SIGNAL_OFFSET)


class Semaphores:
    """Counters from 0 to `MAXIMUM`.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self.values = [0] * count

    def available(self, mask: int) -> bool:
        """Whether all semaphores of `mask` are above zero."""
        return all(self.values[place] for place in _places(mask))

    def take(self, mask: int) -> None:
        """Take one from each semaphore of `mask`, which must be available."""
        if not self.available(mask):
            raise ValueError(f"semaphores {mask:#x} are not available")
        for place in _places(mask):
            self.values[place] -= 1

    def give(self, mask: int) -> None:
        """Add one to each semaphore of `mask`.

        Raises
        ------
        Fault
            `SEMAPHORE_OVERFLOW` with the number of the first semaphore that is full.
        """
        for place in _places(mask):
            if self.values[place] == MAXIMUM:
                raise Fault(ErrorCode.SEMAPHORE_OVERFLOW, place)
        for place in _places(mask):
            self.values[place] += 1


def _places(mask: int) -> list[int]:
    return [place for place in range(MASK_BITS) if mask >> place & 1]


class Controller:
    """Executes a program, one whole instruction at a time.

    Two units that no semaphore orders run in an order that `choice` draws, so that a race in a
    program shows as a result that depends on the seed.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the depth of the queues and the number of semaphores.
    execute : callable
        ``execute(unit, index, word)`` executes one instruction.
    choice : random.Random, optional
        Chooses among the units that can issue; without it the first one goes, and decoding
        runs ahead as far as the queues allow.
    """

    def __init__(
        self, config: AcceleratorConfig, execute: Execute, choice: random.Random | None = None
    ) -> None:
        self.config = config
        self.execute = execute
        self.choice = choice
        self.semaphores = Semaphores(config.controller.semaphores)
        self._queues: dict[Unit, deque[Issue]] = {unit: deque() for unit in UNITS}
        self._end: Issue | None = None
        self._words: Sequence[bytes] = ()
        self._decoded = 0
        self._finished = 0

    def run(self, words: Sequence[bytes]) -> Outcome:
        """Execute the instruction `words` to END or to the first error.

        Raises
        ------
        Deadlock
            If nothing can go on; the hardware would wait for its watchdog.
        """
        self._words = words
        self.semaphores = Semaphores(self.config.controller.semaphores)
        self._queues = {unit: deque() for unit in UNITS}
        self._end, self._decoded, self._finished = None, 0, 0
        while not self._at_end():
            actions = self._actions()
            if not actions:
                raise Deadlock(self._describe())
            action = self.choice.choice(actions) if self.choice else actions[0]
            stopped = self._step(action)
            if stopped is not None:
                return stopped
        assert self._end is not None
        self._finished += 1
        return Outcome(ErrorCode.NONE, 0, 0, self._finished)

    def _at_end(self) -> bool:
        idle = not any(self._queues.values())
        return self._end is not None and idle and self.semaphores.available(self._end.wait)

    def _actions(self) -> list[Unit]:
        """Return the units that can issue, first CONTROLLER if it can decode."""
        actions = [Unit.CONTROLLER] if self._can_decode() else []
        for unit, queue in self._queues.items():
            if queue and self.semaphores.available(queue[0].wait):
                actions.append(unit)
        return actions

    def _can_decode(self) -> bool:
        if self._end is not None:
            return False
        if self._decoded == len(self._words):
            return not any(self._queues.values())
        unit = self._unit(self._words[self._decoded])
        return unit is None or len(self._queues[unit]) < self.config.controller.queue_depth

    @staticmethod
    def _unit(word: bytes) -> Unit | None:
        """Return the unit that `word` queues for: none for END and for an illegal opcode."""
        try:
            unit = UNIT_OF[Opcode(word[0])]
        except ValueError:
            return None
        return None if unit == Unit.CONTROLLER else unit

    def _step(self, action: Unit) -> Outcome | None:
        """Decode or execute one instruction; return the outcome if it fails."""
        index = self._decoded
        try:
            if action == Unit.CONTROLLER:
                self._decode()
                return None
            issue = self._queues[action].popleft()
            index = issue.index
            self.semaphores.take(issue.wait)
            self.execute(action, issue.index, issue.word)
            self._finished += 1
            self.semaphores.give(issue.signal)
        except Fault as fault:
            return Outcome(fault.code, index, fault.address, self._finished)
        return None

    def _decode(self) -> None:
        if self._decoded == len(self._words):
            raise Fault(ErrorCode.PROGRAM_HEADER, LENGTH_FIELD)
        issue = Issue(self._words[self._decoded], self._decoded)
        opcode = issue.word[0]
        if opcode not in [known.value for known in Opcode]:
            raise Fault(ErrorCode.ILLEGAL_OPCODE, opcode)
        absent = (issue.wait | issue.signal) >> self.config.controller.semaphores
        if absent:
            raise Fault(ErrorCode.ILLEGAL_OPERAND, absent << self.config.controller.semaphores)
        self._decoded += 1
        if opcode == Opcode.END.value:
            self._end = issue
        else:
            self._queues[UNIT_OF[Opcode(opcode)]].append(issue)

    def _describe(self) -> str:
        heads = [
            f"{unit.name} at instruction {queue[0].index} for semaphores {queue[0].wait:#x}"
            for unit, queue in self._queues.items()
            if queue
        ]
        if self._end is not None:
            heads.append(f"END at instruction {self._end.index} for {self._end.wait:#x}")
        return f"deadlock: waiting are {', '.join(heads)}"
