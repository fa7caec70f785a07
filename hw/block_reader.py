"""Reads the rows of a block from the scratchpad and cuts their lines in AXI beats."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import WORD_BITS, ReadPortSignature, read_request_layout
from .queue import Queue
from .scratchpad import read_latency
from .stream_register import stream_stage
from .transfer import block_layout


def write_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One beat and its strobes, one bit a byte."""
    return data.StructLayout({"data": config.axi.data_width, "strobe": config.axi_bytes})


class BlockReader(wiring.Component):
    """Turns blocks into beats; every row begins with a new line and a new beat.

    One beat a cycle over rows and blocks while the scratchpad accepts, but for one cycle without
    a request between blocks. The first beat comes `read_latency` + 2 cycles after the block. Words
    of the last beat of a row that lie beyond the row have no strobe.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the beat and the line.

    Members
    -------
    block : in, stream of `block_layout`
    read : `ReadPortSignature`
    hold : in
        Ask for no more lines.
    beat : out, stream of `write_beat_layout`
    quiet : out
        No response is awaited.
    idle : out
        Nothing is held.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "block": In(stream.Signature(block_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "hold": In(1),
                "beat": Out(stream.Signature(write_beat_layout(config))),
                "quiet": Out(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the walk over the rows, the queue of lines and the walk over their beats."""
        m = Module()
        lanes = self.config.lanes
        # Lines that are asked for or held: enough for a line every cycle.
        depth = read_latency(self.config) + 2
        m.submodules.lines = lines = Queue(width=lanes * WORD_BITS, depth=depth)
        m.submodules.counts = counts = Queue(width=lanes.bit_length(), depth=depth)
        m.d.comb += [
            lines.w_data.eq(self.read.response.payload),
            lines.w_en.eq(self.read.response.valid),
            self.quiet.eq(lines.level == counts.level),
        ]
        self._elaborate_requests(m, counts)
        self._elaborate_beats(m, lines, counts)
        return m

    def _elaborate_requests(self, m: Module, counts: Queue) -> None:
        lanes = self.config.lanes
        layout = read_request_layout(self.config)
        request, asked = stream_stage(m, "request", layout, self.config.scratchpad.pipelined)
        wiring.connect(m, asked, wiring.flipped(self.read.request))
        active = Signal()
        current = Signal(block_layout(self.config))
        words_left = Signal.like(current.row_words)
        line_address = Signal.like(current.address)
        # Whether a line ends its row, and what all rows begin with: registers, set with the count.
        ends_row, is_short, last_row = Signal(), Signal(), Signal()
        m.d.comb += [
            self.block.ready.eq(~active),
            self.idle.eq(~active & ~counts.r_rdy),
            request.valid.eq(active & counts.w_rdy & ~self.hold),
            request.payload.address.eq(line_address),
            request.payload.pitch.eq(1),
            counts.w_en.eq(request.valid & request.ready),
            counts.w_data.eq(Mux(ends_row, words_left, lanes)),
        ]
        next_row = Signal.like(current.address)
        m.d.comb += next_row.eq(current.address + current.pitch)
        with m.If(self.block.valid & self.block.ready):
            m.d.sync += [
                active.eq(1),
                current.eq(self.block.payload),
                line_address.eq(self.block.payload.address),
                words_left.eq(self.block.payload.row_words),
                ends_row.eq(self.block.payload.row_words <= lanes),
                is_short.eq(self.block.payload.row_words <= lanes),
                last_row.eq(self.block.payload.rows == 1),
            ]
        with m.If(counts.w_en & ends_row):
            m.d.sync += [
                active.eq(~last_row),
                last_row.eq(current.rows == 2),
                ends_row.eq(is_short),
                current.rows.eq(current.rows - 1),
                current.address.eq(next_row),
                line_address.eq(next_row),
                words_left.eq(current.row_words),
            ]
        with m.Elif(counts.w_en):
            m.d.sync += [
                line_address.eq(line_address + lanes),
                words_left.eq(words_left - lanes),
                ends_row.eq(words_left <= 2 * lanes),
            ]

    def _elaborate_beats(self, m: Module, lines: Queue, counts: Queue) -> None:
        beat_words = self.config.axi_bytes // WORD_BYTES
        place = Signal(range(self.config.lanes // beat_words))
        first_word = place * beat_words
        beat = self.beat
        strobes = [
            (first_word + word < counts.r_data).replicate(WORD_BYTES) for word in range(beat_words)
        ]
        ends_line = first_word + beat_words >= counts.r_data
        m.d.comb += [
            beat.valid.eq(lines.r_rdy),
            beat.payload.data.eq(lines.r_data.word_select(place, self.config.axi.data_width)),
            beat.payload.strobe.eq(Cat(strobes)),
        ]
        with m.If(beat.valid & beat.ready):
            m.d.sync += place.eq(Mux(ends_line, 0, place + 1))
            m.d.comb += [lines.r_en.eq(ends_line), counts.r_en.eq(ends_line)]
