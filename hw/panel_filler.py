"""Fills the panel with the rows of A, row tile by row tile."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .operand import blocks_layout
from .operand_fetch import OperandFetch, dense_matrix_layout
from .operand_reader import OperandSignature


class PanelFiller(wiring.Component):
    """Reads A, chunk by chunk, and appends its blocks to the panel.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    matrices : stream of `dense_matrix_layout`, in; accepted when the last one has been walked.
    a : the other side of `OperandSignature`
    room, write, blocks : the other side of those of `Panel`

    Throughput: a block a cycle, as far as lines come. No block beyond K is written.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "matrices": In(stream.Signature(dense_matrix_layout(config))),
                "a": In(OperandSignature(config, config.array.rows)),
                "room": In(1),
                "write": Out(1),
                "blocks": Out(blocks_layout(config, config.array.rows)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the fetch and the chunk in use."""
        m = Module()
        block = self.config.array.block
        m.submodules.fetch = fetch = OperandFetch(self.config, self.config.array.rows)
        wiring.connect(m, wiring.flipped(self.matrices), fetch.matrices)
        wiring.connect(m, fetch.bursts, wiring.flipped(self.a.bursts))
        left, some, one = Signal(range(self.config.chunk // block + 1)), Signal(), Signal()
        last = Signal()
        given = (fetch.chunks.payload + block - 1) // block
        m.d.comb += [
            self.blocks.eq(self.a.blocks),
            self.write.eq(some & self.room),
            last.eq(~some | (self.write & one)),
            self.a.take.eq(last & fetch.chunks.valid & self.a.available),
            self.a.step_block.eq(self.write),
            fetch.chunks.ready.eq(self.a.take),
        ]
        with m.If(self.a.take):
            m.d.sync += [left.eq(given), some.eq(1), one.eq(given == 1)]
        with m.Elif(self.write):
            m.d.sync += [left.eq(left - 1), some.eq(~one), one.eq(left == 2)]
        return m
