"""The array unit: executes MATMUL instructions."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from .config import AcceleratorConfig
from .drain import Drain
from .grid import Grid
from .matmul_check import MatmulCheck
from .matmul_sequencer import MatmulSequencer, chunk_layout
from .operand_reader import OperandReader
from .ports import ReadPortSignature, UnitSignature, WritePortSignature

_IN_FLIGHT_BITS = 8  # The drain alone holds fewer than 128 instructions.


def matmul_events_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What the array did in a cycle.

    `multiplies`: useful multiply-adds. `active`: it made a step. `operand_stall`: it has work but
    waited for operands. `drain_stall`: it waited for the drain to take the tile before.
    """
    array = config.array
    return data.StructLayout(
        {
            "multiplies": range(array.rows * array.columns + 1),
            "active": 1,
            "operand_stall": 1,
            "drain_stall": 1,
        }
    )


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
        """Return check, sequencer, operands, grid and drain; `halt` resets them all."""
        m = Module()
        control = self.control
        reset = ResetInserter(control.halt)
        check = MatmulCheck(self.config)
        sequencer = MatmulSequencer(self.config)
        reader = OperandReader(self.config)
        grid = Grid(self.config)
        drain = Drain(self.config)
        m.submodules.check = reset(check)
        m.submodules.sequencer = reset(sequencer)
        m.submodules.reader = reset(reader)
        m.submodules.grid = reset(grid)
        m.submodules.drain = reset(drain)
        wiring.connect(m, sequencer.bursts, reader.bursts)
        wiring.connect(m, reader.read, wiring.flipped(self.operands))
        wiring.connect(m, drain.read, wiring.flipped(self.drain_read))
        wiring.connect(m, drain.write, wiring.flipped(self.drain_write))
        m.d.comb += [
            drain.full.eq(grid.full),
            drain.row.eq(grid.row),
            grid.shift.eq(drain.shift),
            grid.release.eq(drain.release),
            grid.closing.eq(drain.closing),
            grid.activations.eq(reader.activations),
            grid.weights.eq(reader.weights),
            # Both take an instruction in the same cycle.
            sequencer.instruction.valid.eq(check.checked.valid & drain.instruction.ready),
            drain.instruction.valid.eq(check.checked.valid & sequencer.instruction.ready),
            check.checked.ready.eq(drain.instruction.ready & sequencer.instruction.ready),
            sequencer.instruction.payload.eq(check.checked.payload),
            drain.instruction.payload.eq(check.checked.payload),
        ]
        self._control(m, check, drain)
        self._step(m, sequencer, reader, grid)
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

    def _step(
        self, m: Module, sequencer: MatmulSequencer, reader: OperandReader, grid: Grid
    ) -> None:
        """Put chunks in use and step through them."""
        chunk = Signal(chunk_layout(self.config))
        next_chunk = sequencer.chunks.payload
        using, first, last = Signal(), Signal(), Signal()
        blocked, step, supplied, take = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            blocked.eq(using & first & ~grid.ready),
            step.eq(using & ~blocked),
            supplied.eq(sequencer.chunks.valid & reader.available),
            take.eq(supplied & (~using | (step & last))),
            sequencer.chunks.ready.eq(take),
            reader.take.eq(take),
            # Only a first step may be blocked; without it, the path from the drain ends here.
            reader.take_early.eq(supplied & (~using | (last & ~first))),
            reader.step.eq(step),
            grid.step.eq(step),
            grid.first.eq(first),
            grid.last.eq(chunk.last & last),
        ]
        with m.If(take):
            m.d.sync += [chunk.eq(next_chunk), using.eq(1)]
            m.d.sync += [first.eq(next_chunk.first), last.eq(next_chunk.steps == 1)]
        with m.Elif(step):
            m.d.sync += [chunk.steps.eq(chunk.steps - 1), using.eq(~last)]
            m.d.sync += [first.eq(0), last.eq(chunk.steps == 2)]
        with m.If(self.control.halt):
            m.d.sync += using.eq(0)
        stepped, starved, held = Signal(), Signal(), Signal()
        useful = Signal.like(self.events.multiplies)
        m.d.sync += [
            useful.eq(chunk.rows * chunk.columns),
            stepped.eq(step),
            starved.eq(~using & sequencer.busy),
            held.eq(blocked),
            self.events.multiplies.eq(Mux(stepped, useful, 0)),
            self.events.active.eq(stepped),
            self.events.operand_stall.eq(starved),
            self.events.drain_stall.eq(held),
        ]
