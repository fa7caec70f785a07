"""Issues instructions when their semaphores allow, and signals when they are done."""

from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .isa import UNITS, ErrorCode
from .issue_queue import IssueQueue
from .ports import INDEX_BITS, fault_layout, issue_layout
from .semaphores import Semaphores


class Scheduler(wiring.Component):
    """The queues of the units and the semaphores between them.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the depth of the queues and the number of semaphores.

    Members
    -------
    decoded : array of streams of `hw.ports.issue_layout`, one a unit
    instruction : array of such streams, to the units
    done : one bit a unit; it has finished its oldest instruction.
    end_waiting : mask of the semaphores that END waits for.
    end_available : they are above zero; 1 cycle later.
    waiting : one bit a unit; its next instruction waits for semaphores.
    pending : one bit a unit; instructions wait or are in flight.
    oldest : place in the program of an instruction that is pending, if any is.
    retired : strobe; the signals of an instruction are given.
    fault : SEMAPHORE_OVERFLOW; index = the instruction that signals, address = the semaphore. Kept
        until `clear`.
    clear : forgets everything, and sets the semaphores to zero.

    Of several units that could issue, or are done, in one cycle, the first goes first.

    Latency: from `done` to `instruction` of a unit that waited for it 5 cycles.
    Throughput: an instruction is issued every other cycle; one is retired every cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        units = len(UNITS)
        super().__init__(
            {
                "decoded": In(stream.Signature(issue_layout)).array(units),
                "instruction": Out(stream.Signature(issue_layout)).array(units),
                "done": In(units),
                "end_waiting": In(config.controller.semaphores),
                "end_available": Out(1),
                "waiting": Out(units),
                "pending": Out(units),
                "oldest": Out(INDEX_BITS),
                "retired": Out(1),
                "fault": Out(fault_layout),
                "clear": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return queues and semaphores."""
        m = Module()
        m.submodules.semaphores = semaphores = Semaphores(self.config, len(UNITS) + 1)
        queues = [IssueQueue(self.config, unit) for unit in UNITS]
        for place, (unit, queue) in enumerate(zip(UNITS, queues, strict=True)):
            m.submodules[f"{unit.name.lower()}_queue"] = queue
            wiring.connect(m, wiring.flipped(self.decoded[place]), queue.decoded)
            wiring.connect(m, wiring.flipped(self.instruction[place]), queue.instruction)
            m.d.comb += [
                queue.done.eq(self.done[place]),
                queue.flush.eq(self.clear),
                self.pending[place].eq(~queue.empty),
                self.waiting[place].eq(queue.waits & ~queue.grant),
            ]
        for queue in reversed(queues):
            with m.If(~queue.empty):
                m.d.comb += self.oldest.eq(queue.oldest)
        m.d.comb += [
            semaphores.clear.eq(self.clear),
            semaphores.waiting[len(UNITS)].eq(self.end_waiting),
            semaphores.valid[len(UNITS)].eq(1),
            self.end_available.eq(semaphores.available[len(UNITS)]),
        ]
        self._issue(m, queues, semaphores)
        self._retire(m, queues, semaphores)
        return m

    def _issue(self, m: Module, queues: list[IssueQueue], semaphores: Semaphores) -> None:
        """Grant the first unit whose semaphores are available."""
        count = self.config.controller.semaphores
        able = semaphores.available[: len(queues)]
        granted = []
        for place, queue in enumerate(queues):
            m.d.comb += [
                semaphores.waiting[place].eq(queue.waiting),
                semaphores.valid[place].eq(queue.waits),
                queue.grant.eq(able[place] & ~able[:place].any()),
            ]
            granted.append(queue.waiting & queue.grant.replicate(count))
        m.d.comb += [semaphores.take.eq(able.any()), semaphores.taken.eq(reduce(or_, granted))]

    def _retire(self, m: Module, queues: list[IssueQueue], semaphores: Semaphores) -> None:
        """Give the signals of the first unit that is done."""
        # Of the instruction whose signals are given, and of those in the two cycles before.
        indices = [Signal(INDEX_BITS, name=f"index_{age}") for age in range(3)]
        m.d.sync += [older.eq(newer) for newer, older in pairwise(indices)]
        m.d.sync += semaphores.give.eq(0)
        valid = Cat(queue.retire.valid for queue in queues)
        for place, queue in enumerate(queues):
            m.d.comb += queue.retire.ready.eq(~valid[:place].any())
            with m.If(queue.retire.valid & queue.retire.ready & ~self.clear):
                m.d.sync += [
                    semaphores.give.eq(1),
                    semaphores.given.eq(queue.retire.payload.signal),
                    indices[0].eq(queue.retire.payload.index),
                ]
        m.d.comb += [
            self.retired.eq(semaphores.give),
            self.fault.code.eq(ErrorCode.SEMAPHORE_OVERFLOW),
        ]
        with m.If(self.clear):
            m.d.sync += self.fault.valid.eq(0)
        with m.Elif(semaphores.overflow & ~self.fault.valid):
            m.d.sync += [
                self.fault.valid.eq(1),
                self.fault.address.eq(semaphores.place),
                self.fault.index.eq(indices[-1]),
            ]
