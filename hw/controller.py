"""The microcode controller: runs a program on the units and stops the machine cleanly."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from .axi import AxiReadSignature
from .config import AcceleratorConfig
from .decoder import Decoder
from .error_latch import ErrorLatch
from .fetch import Fetch, header_offset
from .inactivity_timer import InactivityTimer
from .isa import UNITS, DramAddress, ErrorCode, Unit
from .ports import INDEX_BITS, UnitSignature, fault_layout
from .scheduler import Scheduler
from .window import windows_layout

WATCHDOG_BITS = 32

QUIET_CYCLES = 8
"""Cycles without work after which nothing can be on its way any more."""


def unit_name(unit: Unit) -> str:
    """Return the name of the ports of `unit`."""
    return unit.name.lower()


class TraceSignature(Signature):
    """What each unit did in a cycle, for timelines; a group of signals a unit.

    Members
    -------
    accepted, index : the unit took the instruction at this place of the program.
    done : the unit finished its oldest instruction.
    """

    def __init__(self) -> None:
        unit = Signature({"accepted": Out(1), "index": Out(INDEX_BITS), "done": Out(1)})
        super().__init__({unit_name(each): Out(unit) for each in UNITS})


class Controller(wiring.Component):
    """Fetches, decodes and issues a program, and ends it.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives queues, semaphores and windows.

    Members
    -------
    axi : the read channels of an AXI4 master, for the program
    load, array, vector, store : `hw.ports.UnitSignature`, seen from the controller
    windows, address, length : as in `hw.fetch.Fetch`; stable while not idle.
    watchdog : cycles in which no unit takes or finishes an instruction after which the machine
        stops; 0 turns that off.
    start : level; begins a program when the machine is idle.
    soft_reset : level; abandons the program and forgets the error.
    idle : no program runs.
    began : strobe; a program begins.
    finished : strobe; the program has ended, with an error if `error` is valid.
    was_reset : strobe; the soft reset is complete. Neither `start` nor `soft_reset` counts in this
        cycle or that of `finished`, so that these strobes may clear them.
    error : `hw.ports.fault_layout`; kept until the next start or soft reset.
    retired : strobe, for each finished instruction
    waiting : one bit a unit; its next instruction waits for semaphores.
    trace : `TraceSignature`

    Faults of its own
    -----------------
    ILLEGAL_OPCODE, ILLEGAL_OPERAND : as in `hw.decoder.Decoder`
    SEMAPHORE_OVERFLOW : as in `hw.scheduler.Scheduler`
    PROGRAM_HEADER : there is no END; address = the offset of the length in the header.
    WATCHDOG : index = an instruction that is not finished, address = the mask of the units that
        have some.

    Latency: from the last `done` to `finished` about 8 cycles and twice `QUIET_CYCLES`.
    Throughput: that of `hw.decoder.Decoder` and `hw.scheduler.Scheduler`.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        units = {unit_name(unit): In(UnitSignature()) for unit in UNITS}
        super().__init__(
            {
                "axi": Out(AxiReadSignature(config)),
                **units,
                "windows": In(windows_layout(config)),
                "address": In(DramAddress),
                "length": In(INDEX_BITS),
                "watchdog": In(WATCHDOG_BITS),
                "start": In(1),
                "soft_reset": In(1),
                "idle": Out(1),
                "began": Out(1),
                "finished": Out(1),
                "was_reset": Out(1),
                "error": Out(fault_layout),
                "retired": Out(1),
                "waiting": Out(len(UNITS)),
                "trace": Out(TraceSignature()),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the controller."""
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.config)
        m.submodules.decoder = decoder = Decoder(self.config)
        m.submodules.scheduler = scheduler = Scheduler(self.config)
        m.submodules.watchdog = watchdog = InactivityTimer(WATCHDOG_BITS)
        m.submodules.quiet = quiet = InactivityTimer(QUIET_CYCLES.bit_length())
        m.submodules.errors = errors = ErrorLatch(len(UNITS) + 5)
        wiring.connect(m, wiring.flipped(self.axi), fetch.axi)
        wiring.connect(m, fetch.instruction, decoder.instruction)

        running, halt, progress = Signal(), Signal(), Signal()
        m.d.comb += [
            fetch.windows.eq(self.windows),
            fetch.address.eq(self.address),
            fetch.length.eq(self.length),
            fetch.start.eq(self.began),
            fetch.halt.eq(halt),
            decoder.clear.eq(halt),
            scheduler.clear.eq(halt),
            scheduler.end_waiting.eq(decoder.end_waiting),
            watchdog.limit.eq(self.watchdog),
            watchdog.enable.eq(running),
            watchdog.activity.eq(progress),
            errors.enable.eq(running),
            self.error.eq(errors.error),
            self.waiting.eq(scheduler.waiting),
        ]
        ports = [getattr(self, unit_name(unit)) for unit in UNITS]
        traces = [getattr(self.trace, unit_name(unit)) for unit in UNITS]
        for place, (port, trace) in enumerate(zip(ports, traces, strict=True)):
            wiring.connect(m, decoder.units[place], scheduler.decoded[place])
            wiring.connect(m, scheduler.instruction[place], wiring.flipped(port.instruction))
            m.d.comb += [
                scheduler.done[place].eq(port.done),
                port.halt.eq(halt),
                errors.faults[place].eq(port.fault),
                trace.accepted.eq(port.instruction.valid & port.instruction.ready),
                trace.index.eq(port.instruction.payload.index),
                trace.done.eq(port.done),
            ]

        signs = [(trace.accepted, trace.done) for trace in traces]
        m.d.sync += progress.eq(Cat(signs).any())

        missing_end, expired = Signal(fault_layout), Signal(fault_layout)
        m.d.comb += [
            missing_end.code.eq(ErrorCode.PROGRAM_HEADER),
            missing_end.index.eq(self.length),
            missing_end.address.eq(header_offset("instructions")),
            expired.valid.eq(watchdog.expired),
            expired.code.eq(ErrorCode.WATCHDOG),
        ]
        with m.If(~watchdog.expired):
            m.d.sync += [expired.index.eq(scheduler.oldest), expired.address.eq(scheduler.pending)]
        own = (fetch.fault, decoder.fault, scheduler.fault, missing_end, expired)
        for place, fault in enumerate(own, start=len(UNITS)):
            m.d.comb += errors.faults[place].eq(fault)

        units_busy, ending, resetting = Signal(), Signal(), Signal()
        m.d.sync += units_busy.eq(Cat(port.busy for port in ports).any())
        m.d.comb += [
            quiet.limit.eq(QUIET_CYCLES),
            missing_end.valid.eq(quiet.expired & fetch.exhausted & ~decoder.ended),
            ending.eq(quiet.expired & decoder.ended & scheduler.end_available),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += resetting.eq(self.soft_reset)
                with m.If(self.soft_reset):
                    m.next = "BEGIN_HALT"
                with m.Elif(self.start):
                    m.d.comb += [self.began.eq(1), errors.clear.eq(1)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [
                    running.eq(1),
                    quiet.enable.eq(1),
                    quiet.activity.eq(units_busy | scheduler.pending.any()),
                ]
                m.d.comb += self.retired.eq(scheduler.retired | (ending & ~errors.error.valid))
                with m.If(ending | errors.error.valid | self.soft_reset):
                    m.next = "BEGIN_HALT"
            with m.State("BEGIN_HALT"):
                m.d.comb += halt.eq(1)
                m.next = "HALT"
            with m.State("HALT"):
                m.d.comb += [
                    halt.eq(1),
                    quiet.enable.eq(1),
                    quiet.activity.eq(units_busy | fetch.busy),
                ]
                with m.If(self.soft_reset):
                    m.d.sync += resetting.eq(1)
                with m.If(quiet.expired):
                    m.d.comb += [
                        self.finished.eq(~resetting),
                        self.was_reset.eq(resetting),
                        errors.clear.eq(resetting),
                    ]
                    m.next = "IDLE"
        return m
