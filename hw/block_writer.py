"""Assembles AXI beats in lines and writes them to the scratchpad, row by row."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import WORD_BITS, WritePortSignature
from .transfer import block_layout


class BlockWriter(wiring.Component):
    """Writes the rows of a block from beats; every row begins with a new beat and a new line.

    One beat a cycle while the scratchpad accepts; one idle cycle between blocks. A line is
    written in the cycle after its last beat.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the beat and the line.

    Members
    -------
    block : in, stream of `block_layout`
    beat : in, stream of a beat's bits
        Words beyond the end of a row are ignored.
    write : `WritePortSignature`
    words : out
        Words that were taken from a beat in this cycle.
    done : out
        One cycle for each block, after its last line was accepted.
    pending : out
        A complete line waits, or `done` is high.
    idle : out
        Not pending, and no block is held.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "block": In(stream.Signature(block_layout(config))),
                "beat": In(stream.Signature(config.axi.data_width)),
                "write": Out(WritePortSignature(config)),
                "words": Out(range(config.axi_bytes // WORD_BYTES + 1)),
                "done": Out(1),
                "pending": Out(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the line register and the walk over the rows."""
        m = Module()
        lanes = self.config.lanes
        beat_words = self.config.axi_bytes // WORD_BYTES
        request = self.write.request
        active = Signal()
        current = Signal(block_layout(self.config))
        line_address = Signal.like(current.address)
        words_left = Signal.like(current.row_words)
        position = Signal(range(lanes // beat_words))
        ends_block = Signal()

        m.d.comb += [
            self.block.ready.eq(~active),
            self.beat.ready.eq(active & (~request.valid | request.ready)),
            self.pending.eq(request.valid | self.done),
            self.idle.eq(~active & ~self.pending),
            request.payload.pitch.eq(1),
        ]
        # Whether the row ends with this beat, what all rows begin with, and whether it is the last
        # row: registers, set with the counts.
        ends_row, is_short, last_row = Signal(), Signal(), Signal()
        ends_line = ends_row | (position == lanes // beat_words - 1)
        next_row = Signal.like(current.address)
        m.d.comb += next_row.eq(current.address + current.pitch)

        with m.If(self.block.valid & self.block.ready):
            m.d.sync += [
                active.eq(1),
                current.eq(self.block.payload),
                line_address.eq(self.block.payload.address),
                words_left.eq(self.block.payload.row_words),
                ends_row.eq(self.block.payload.row_words <= beat_words),
                is_short.eq(self.block.payload.row_words <= beat_words),
                last_row.eq(self.block.payload.rows == 1),
            ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(self.beat.valid & self.beat.ready):
            m.d.comb += self.words.eq(Mux(ends_row, words_left, beat_words))
            m.d.sync += [
                request.valid.eq(ends_line),
                position.eq(Mux(ends_line, 0, position + 1)),
                words_left.eq(Mux(ends_row, current.row_words, words_left - beat_words)),
                ends_row.eq(Mux(ends_row, is_short, words_left <= 2 * beat_words)),
                ends_block.eq(ends_row & last_row),
            ]
            with m.If(position == 0):
                m.d.sync += request.payload.address.eq(line_address)
            with m.If(ends_row):
                m.d.sync += [
                    active.eq(~last_row),
                    last_row.eq(current.rows == 2),
                    current.rows.eq(current.rows - 1),
                    current.address.eq(next_row),
                    line_address.eq(next_row),
                ]
            with m.Elif(ends_line):
                m.d.sync += line_address.eq(line_address + lanes)
            for lane in range(lanes):
                place, word = divmod(lane, beat_words)
                with m.If(position == place):
                    m.d.sync += [
                        request.payload.data[lane].eq(
                            self.beat.payload.word_select(word, WORD_BITS)
                        ),
                        request.payload.mask[lane].eq(words_left > word),
                    ]
                with m.Elif(position == 0):
                    m.d.sync += request.payload.mask[lane].eq(0)
        m.d.sync += self.done.eq(request.valid & request.ready & ends_block)
        return m
