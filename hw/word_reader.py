"""Reads a run of instruction words over AXI4."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import NORMAL_MEMORY, AxiReadSignature, Burst
from .config import INSTRUCTION_BYTES, AcceleratorConfig
from .isa import INSTRUCTION_BITS
from .queue import Queue

PREFETCH = 4
"""Words that are in flight or wait to be taken."""

COUNT_BITS = 17
"""Bits of the number of words."""

word_layout = data.StructLayout({"word": INSTRUCTION_BITS, "response": 2})
"""A word and the worst `hw.axi.Response` that came with it."""


class WordReader(wiring.Component):
    """Reads `count` words of `INSTRUCTION_BYTES` from `address` on.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the width of the AXI bus and its longest burst.

    Members
    -------
    axi : the read channels of an AXI4 master
    start : strobe; `address`, a multiple of `INSTRUCTION_BYTES`, and `count` are taken now.
    words : stream of `word_layout`, in order
    halt : forget all words; bursts in flight are completed and their data discarded.
    busy : words are still to be asked for, or bursts are in flight.

    Latency: from the last beat of a word to `words` 3 cycles. Throughput: one burst of a word every
    other cycle while fewer than `PREFETCH` words are in flight or waiting.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(AxiReadSignature(config)),
                "start": In(1),
                "address": In(config.axi.address_width),
                "count": In(COUNT_BITS),
                "words": Out(stream.Signature(word_layout)),
                "halt": In(1),
                "busy": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def word_beats(self) -> int:
        """AXI beats of a word."""
        return INSTRUCTION_BYTES // self.config.axi_bytes

    @property
    def burst_beats(self) -> int:
        """AXI beats of a burst: a word, unless bursts must be shorter."""
        return min(self.word_beats, self.config.axi.burst_beats)

    @property
    def word_bursts(self) -> int:
        """Bursts of a word."""
        return self.word_beats // self.burst_beats

    def elaborate(self, platform: object) -> Module:
        """Return the reader."""
        m = Module()
        waiting = Queue(width=word_layout.size, depth=PREFETCH, latency=2)
        m.submodules.waiting = ResetInserter(self.halt)(waiting)
        taken = Signal()
        m.d.comb += [
            waiting.w_en.eq(self._assemble(m, waiting.w_data)),
            self.words.payload.eq(waiting.r_data),
            self.words.valid.eq(waiting.r_rdy),
            waiting.r_en.eq(self.words.ready),
            taken.eq(self.words.valid & self.words.ready),
        ]
        self._request(m, taken)
        return m

    def _request(self, m: Module, taken: Signal) -> None:
        """Ask for bursts while there is room for their words."""
        axi = self.axi
        slots = PREFETCH * self.word_bursts
        left = Signal(range(((1 << COUNT_BITS) - 1) * self.word_bursts + 1))
        room = Signal(range(slots + 1), init=slots)
        flying = Signal(range(slots + 1))
        address = Signal(self.config.axi.address_width)
        ask, came = Signal(), Signal()
        m.d.comb += [
            ask.eq(left.any() & room.any() & ~axi.arvalid & ~self.halt),
            came.eq(axi.rvalid & axi.rready & axi.rlast),
            self.busy.eq(left.any() | flying.any()),
            axi.arlen.eq(self.burst_beats - 1),
            axi.arsize.eq((self.config.axi_bytes - 1).bit_length()),
            axi.arburst.eq(Burst.INCR),
            axi.arcache.eq(NORMAL_MEMORY),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(ask):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(address),
                address.eq(address + self.burst_beats * self.config.axi_bytes),
                left.eq(left - 1),
            ]
        m.d.sync += flying.eq(flying + ask - came)
        m.d.sync += room.eq(room - ask + (taken * self.word_bursts))
        with m.If(self.halt):
            m.d.sync += [left.eq(0), room.eq(slots)]
        with m.Elif(self.start):
            m.d.sync += [left.eq(self.count * self.word_bursts), address.eq(self.address)]

    def _assemble(self, m: Module, target: Signal) -> Signal:
        """Collect the beats of a word in `target`; return the strobe of the whole word."""
        axi = self.axi
        word = Signal(word_layout)
        beat = Signal(range(self.word_beats))
        whole = Signal()
        m.d.comb += [axi.rready.eq(1), target.eq(word)]
        m.d.sync += whole.eq(0)
        with m.If(self.start):
            m.d.sync += beat.eq(0)
        with m.If(axi.rvalid):
            m.d.sync += [
                word.word.eq(Cat(word.word, axi.rdata)[self.config.axi.data_width :]),
                word.response.eq(Value.cast(axi.rresp) | Mux(beat == 0, 0, word.response)),
                beat.eq(beat + 1),
                whole.eq(beat == self.word_beats - 1),
            ]
        return whole
