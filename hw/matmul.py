"""The array unit: executes MATMUL instructions."""

from dataclasses import replace

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .config import AcceleratorConfig
from .dense_output import DenseOutput
from .drain import Drain
from .grid import Grid
from .matmul_check import MatmulCheck
from .matmul_events import matmul_events_layout
from .operand_reader import OperandReader
from .ports import ReadPortSignature, UnitSignature, WritePortSignature

_IN_FLIGHT_BITS = 8  # The drain alone holds fewer than 128 instructions.


class Matmul(wiring.Component):
    """Products of int8 matrices in the scratchpad, requantised to int16.

    The arithmetic is that of `verif.golden.matmul`. Reading operands, computing and draining
    overlap between the chunks of a tile, between tiles and between instructions: the array makes
    a step every cycle if tiles have at least as many steps as rows and no access is refused.
    A fault is reported once all instructions before it are done.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    control : `UnitSignature`
    operands : read port of the scratchpad, for A and B
    drain_read, drain_write : ports of the scratchpad, for scales, residual and Y
    events : `matmul_events_layout`, out; two cycles late.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "control": Out(UnitSignature()),
                "operands": Out(ReadPortSignature(config)),
                "drain_read": Out(ReadPortSignature(config)),
                "drain_write": Out(WritePortSignature(config)),
                "events": Out(matmul_events_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return check, families, operands, grid and drain; `halt` resets them all."""
        m = Module()
        reset = ResetInserter(self.control.halt)
        # Only the dense output stationary family is connected.
        connected = replace(self.config.array, block=1, partial_rows=0)
        check = MatmulCheck(replace(self.config, array=connected))
        dense = DenseOutput(self.config)
        reader = OperandReader(self.config)
        grid = Grid(self.config)
        drain = Drain(self.config)
        m.submodules.check = reset(check)
        m.submodules.dense_output = reset(dense)
        m.submodules.reader = reset(reader)
        m.submodules.grid = reset(grid)
        m.submodules.drain = reset(drain)
        wiring.connect(m, dense.a, reader.a)
        wiring.connect(m, dense.b, reader.b)
        wiring.connect(m, reader.read, wiring.flipped(self.operands))
        wiring.connect(m, drain.read, wiring.flipped(self.drain_read))
        wiring.connect(m, drain.write, wiring.flipped(self.drain_write))
        m.d.comb += [
            drain.full.eq(grid.full),
            drain.row.eq(grid.row),
            grid.shift.eq(drain.shift),
            grid.release.eq(drain.release),
            grid.closing.eq(drain.closing),
            grid.step.eq(dense.step),
            grid.first.eq(dense.first),
            grid.last.eq(dense.last),
            dense.ready.eq(grid.ready),
            grid.weights.eq(dense.columns.weights),
            grid.activations.eq(dense.activations),
            # Both take an instruction in the same cycle.
            dense.product.valid.eq(check.checked.valid & drain.instruction.ready),
            drain.instruction.valid.eq(check.checked.valid & dense.product.ready),
            check.checked.ready.eq(drain.instruction.ready & dense.product.ready),
            dense.product.payload.eq(check.checked.payload),
            drain.instruction.payload.eq(check.checked.payload.word),
        ]
        self._control(m, check, drain)
        self._count(m, dense.events)
        return m

    def _control(self, m: Module, check: MatmulCheck, drain: Drain) -> None:
        """Count instructions; a fault waits until it is the only one left."""
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
            control.fault.eq(check.fault),
            control.fault.valid.eq(check.fault.valid & (in_flight == 1)),
        ]
        m.d.sync += in_flight.eq(in_flight + accepted - drain.done)
        with m.If(control.halt):
            m.d.sync += in_flight.eq(0)

    def _count(self, m: Module, did) -> None:
        """Report what the family at work did."""
        m.d.sync += [
            self.events.multiplies.eq(Mux(did.active, did.rows * did.columns, 0)),
            self.events.active.eq(did.active),
            self.events.operand_stall.eq(did.operand_stall),
            self.events.drain_stall.eq(did.drain_stall),
            self.events.skipped.eq(did.skipped),
        ]
