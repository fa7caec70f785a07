"""Dense output stationary products: an outer product of two dense operands a step."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from .config import AcceleratorConfig
from .dense_output_sequencer import DenseOutputSequencer, chunk_layout
from .family import family_members, step_members
from .operand import lows_layout


class DenseOutput(wiring.Component):
    """Puts chunks of both operands in use and steps through them.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    See `family_members` and `step_members`; besides, only if ``array.wide_rows``:

    wide : out; with `step`, the first activation of a row has a lower plane.
    lows : [7] [array.rows], out

    Throughput: a step a cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        members = {**family_members(config), **step_members()}
        if config.array.wide_rows:
            members |= {"wide": Out(1), "lows": Out(lows_layout(config.array.rows))}
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the sequencer and the chunk in use."""
        m = Module()
        m.submodules.sequencer = sequencer = DenseOutputSequencer(self.config)
        m.d.comb += [
            sequencer.instruction.valid.eq(self.product.valid),
            sequencer.instruction.payload.eq(self.product.payload.word),
            self.product.ready.eq(sequencer.instruction.ready),
            self.columns.weights.eq(self.b.elements),
        ]
        for row, block in enumerate(self.activations):
            m.d.comb += block[0].eq(self.a.elements[row])
        wiring.connect(m, sequencer.a, wiring.flipped(self.a.bursts))
        wiring.connect(m, sequencer.b, wiring.flipped(self.b.bursts))
        chunk = Signal(chunk_layout(self.config))
        next_chunk = sequencer.chunks.payload
        using, first, last = Signal(), Signal(), Signal()
        if self.config.array.wide_rows:
            m.d.comb += [self.wide.eq(chunk.wide), self.lows.eq(self.a.lows)]
        blocked, supplied, take = Signal(), Signal(), Signal()
        m.d.comb += [
            blocked.eq(using & first & ~self.ready),
            self.step.eq(using & ~blocked),
            supplied.eq(sequencer.chunks.valid & self.a.available & self.b.available),
            # Only a first step may be blocked: without it, the path from the drain ends here. A
            # tile of one step is the only one to wait a cycle for that.
            take.eq(supplied & (~using | (last & ~first))),
            sequencer.chunks.ready.eq(take),
            self.first.eq(first),
            self.last.eq(chunk.last & last),
            self.idle.eq(~using & ~sequencer.busy),
        ]
        for port in (self.a, self.b):
            m.d.comb += [
                port.take.eq(take),
                port.step.eq(self.step),
            ]
        with m.If(take):
            m.d.sync += [chunk.eq(next_chunk), using.eq(1)]
            m.d.sync += [first.eq(next_chunk.first), last.eq(next_chunk.steps == 1)]
        with m.Elif(self.step):
            m.d.sync += [chunk.steps.eq(chunk.steps - 1), using.eq(~last)]
            m.d.sync += [first.eq(0), last.eq(chunk.steps == 2)]
        events = self.events
        m.d.sync += [
            events.rows.eq(chunk.rows),
            events.columns.eq(chunk.columns),
            events.active.eq(self.step),
            events.operand_stall.eq(~using & sequencer.busy),
            events.drain_stall.eq(blocked),
        ]
        return m
