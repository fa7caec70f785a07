"""The array unit: executes MATMUL instructions."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .buffered_queue import BufferedQueue
from .config import AcceleratorConfig
from .dataflows import Dataflows, operand_ports
from .drain import Drain
from .matmul_check import MatmulCheck
from .matmul_events import matmul_events_layout
from .ports import INDEX_BITS, ReadPortSignature, UnitSignature, WritePortSignature

UNFINISHED = 32
"""Products that may have left the check and are not done."""

_IN_FLIGHT_BITS = UNFINISHED.bit_length() + 1


class Matmul(wiring.Component):
    """Products of int8 matrices in the scratchpad, requantised to int16, in seven dataflows.

    The arithmetic is that of `verif.golden.matmul`, the dataflows are those of
    `docs/dataflows.md`. Reading operands, computing and draining overlap between the chunks of a
    tile, between tiles and between instructions: the array makes a step every cycle if tiles have
    at least as many steps as rows and no access is refused. A product of another family of
    dataflows waits until the array is empty.
    A fault is reported once all instructions before it are done.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    control : `UnitSignature`
    operands, compressed, gather : read ports of the scratchpad, as of `Dataflows`
    drain_read, drain_write : ports of the scratchpad, for scales, residual and Y
    events : `matmul_events_layout`, out; two cycles late.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        ports = (*operand_ports(config), "drain_read")
        super().__init__(
            {
                "control": Out(UnitSignature()),
                **{name: Out(ReadPortSignature(config)) for name in ports},
                "drain_write": Out(WritePortSignature(config)),
                "events": Out(matmul_events_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return check, dataflows and drain; `halt` resets them all."""
        m = Module()
        reset = ResetInserter(self.control.halt)
        check = MatmulCheck(self.config)
        dataflows = Dataflows(self.config)
        drain = Drain(self.config)
        m.submodules.check = reset(check)
        m.submodules.dataflows = reset(dataflows)
        m.submodules.drain = reset(drain)
        unfinished = BufferedQueue(width=INDEX_BITS, depth=UNFINISHED)
        m.submodules.unfinished = reset(unfinished)
        for name in operand_ports(self.config):
            wiring.connect(m, getattr(dataflows, name), wiring.flipped(getattr(self, name)))
        wiring.connect(m, drain.read, wiring.flipped(self.drain_read))
        wiring.connect(m, drain.write, wiring.flipped(self.drain_write))
        checked, taken = check.checked, Signal()
        m.d.comb += [
            drain.full_next.eq(dataflows.full_next),
            drain.row.eq(dataflows.row),
            dataflows.shift.eq(drain.shift),
            dataflows.release.eq(drain.release),
            dataflows.closing.eq(drain.closing),
            # All take an instruction in the same cycle.
            taken.eq(dataflows.product.valid & dataflows.product.ready),
            dataflows.product.valid.eq(checked.valid & drain.instruction.ready & unfinished.w_rdy),
            dataflows.product.payload.eq(checked.payload),
            drain.instruction.valid.eq(taken),
            drain.instruction.payload.eq(checked.payload.word),
            unfinished.w_en.eq(taken),
            unfinished.w_data.eq(checked.payload.index),
            unfinished.r_en.eq(drain.done),
            checked.ready.eq(taken),
        ]
        self._control(m, check, drain)
        self._fault(m, check, dataflows, unfinished)
        self._count(m, dataflows.events)
        return m

    def _control(self, m: Module, check: MatmulCheck, drain: Drain) -> None:
        """Count instructions from their acceptance until they are done."""
        control = self.control
        accepted = Signal()
        in_flight = Signal(_IN_FLIGHT_BITS)
        m.d.comb += [
            check.instruction.valid.eq(control.instruction.valid & ~control.halt),
            check.instruction.payload.eq(control.instruction.payload),
            control.instruction.ready.eq(check.instruction.ready & ~control.halt),
            accepted.eq(control.instruction.valid & control.instruction.ready),
            control.done.eq(drain.done),
            control.busy.eq(in_flight != 0),
        ]
        m.d.sync += in_flight.eq(in_flight + accepted - drain.done)
        with m.If(control.halt):
            m.d.sync += in_flight.eq(0)

    def _fault(
        self, m: Module, check: MatmulCheck, dataflows: Dataflows, unfinished: BufferedQueue
    ) -> None:
        """Report a fault when its instruction is the oldest that is not done."""
        fault = self.control.fault
        malformed = dataflows.fault
        m.d.comb += [
            fault.eq(Mux(malformed.valid, malformed, check.fault)),
            fault.valid.eq(
                Mux(
                    malformed.valid,
                    unfinished.r_rdy & (unfinished.r_data == malformed.index),
                    check.fault.valid & (unfinished.level == 0),
                )
            ),
        ]

    def _count(self, m: Module, did) -> None:
        """Report what the family at work did."""
        m.d.sync += [
            self.events.multiplies.eq(Mux(did.active, did.rows * did.columns, 0)),
            self.events.active.eq(did.active),
            self.events.operand_stall.eq(did.operand_stall),
            self.events.drain_stall.eq(did.drain_stall),
            self.events.skipped.eq(did.skipped),
        ]
