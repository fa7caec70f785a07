"""Coefficients of real factors: lines of the scratchpad, a word a beat."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .butterfly_plan import INDEX_BITS, most_factors, turn_layout
from .config import AcceleratorConfig
from .ports import WORD_BITS, ReadPortSignature, address_width, read_request_layout
from .response_tags import ResponseTags
from .stream_buffer import StreamBuffer
from .stream_register import stream_stage
from .tally import tally

LINES = 4
"""Lines that wait for each factor."""


class ButterflyCoefficients(wiring.Component):
    """Fetches the coefficients of a turn ahead; all lanes share each word.

    Each factor has a memory of lines, of which one is in use: a word is taken from it a beat.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : stream of `turn_layout`, in
    read : `ReadPortSignature`
    words : out; the next word of each factor
    valid : out, one bit a factor; its word is there.
    take : in; go on to the next words. Asks for `valid` of the factors in use.
    end : in, with `take`; the beat is the last one of a turn, and the rest of its lines void.
    factors : in, with `take`; how many factors are in use.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        count = most_factors(config)
        super().__init__(
            {
                "turn": In(stream.Signature(turn_layout(config, "coefficients"))),
                "read": Out(ReadPortSignature(config)),
                "words": Out(data.ArrayLayout(WORD_BITS, count)),
                "valid": Out(count),
                "take": In(1),
                "end": In(1),
                "factors": In(2),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the requests and a memory a factor."""
        m = Module()
        count = most_factors(self.config)
        m.submodules.tags = tags = ResponseTags(2)
        self._request(m, tags)
        place = Signal(range(self.config.lanes))
        last = self.end | (place == self.config.lanes - 1)
        with m.If(self.take):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        for factor in range(count):
            in_use = factor < self.factors
            arrives = tags.valid & (tags.response == factor)
            self._queue(m, factor, arrives, self.take & in_use, last, place)
        return m

    def _request(self, m: Module, tags: ResponseTags) -> None:
        """Ask for lines in order."""
        turn = self.turn.payload
        count = most_factors(self.config)
        line, factor = Signal(INDEX_BITS), Signal(2)
        offset = Signal(address_width(self.config))
        accepted, last_factor, last_line = Signal(), Signal(), Signal()
        # What is on its way or in the queue of each factor.
        self._promised = [Signal(range(LINES + 1), name=f"promised_{i}") for i in range(count)]
        room = Cat(promised != LINES for promised in self._promised)
        layout = data.StructLayout({"line": read_request_layout(self.config), "factor": 2})
        pipelined = self.config.scratchpad.pipelined
        request, asked = stream_stage(m, "request", layout, pipelined, StreamBuffer)
        m.d.comb += [
            request.valid.eq(self.turn.valid & room.bit_select(factor, 1)),
            request.payload.line.address.eq(turn.coefficients + offset),
            request.payload.line.pitch.eq(1),
            request.payload.factor.eq(factor),
            accepted.eq(request.valid & request.ready),
            last_factor.eq(factor == turn.factors - 1),
            last_line.eq(last_factor & (line == turn.lines)),
            self.turn.ready.eq(accepted & last_line),
            self.read.request.valid.eq(asked.valid),
            self.read.request.payload.eq(asked.payload.line),
            asked.ready.eq(self.read.request.ready),
            tags.accepted.eq(asked.valid & asked.ready),
            tags.request.eq(asked.payload.factor),
        ]
        with m.If(accepted):
            m.d.sync += [
                factor.eq(Mux(last_factor, 0, factor + 1)),
                line.eq(line + last_factor),
                offset.eq(offset + self.config.lanes),
            ]
            with m.If(last_line):
                m.d.sync += [line.eq(0), offset.eq(0)]
        self._asked = [accepted & (factor == index) for index in range(count)]

    def _queue(self, m: Module, factor: int, arrives, take, last, place) -> None:
        """Add the memory of a factor: the line in use, and those that wait."""
        width = WORD_BITS * self.config.lanes
        memory = Memory(shape=width, depth=LINES + 1, init=[])
        m.submodules[f"lines_{factor}"] = memory
        write, read = memory.write_port(), memory.read_port(domain="comb")
        loaded = Signal(name=f"loaded_{factor}")
        load = Signal(name=f"load_{factor}")
        waiting = tally(m, f"waiting_{factor}", LINES, arrives, load)
        in_use = Signal(range(LINES + 1), init=LINES, name=f"in_use_{factor}")
        m.d.comb += [
            write.data.eq(self.read.response.payload.as_value()),
            write.en.eq(arrives),
            read.addr.eq(in_use),
            load.eq(waiting.some & (~loaded | (take & last))),
            self.words[factor].eq(read.data.word_select(place, WORD_BITS)),
            self.valid[factor].eq(loaded),
        ]
        for pointer, moves in ((write.addr, arrives), (in_use, load)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == LINES, 0, pointer + 1))
        with m.If(load):
            m.d.sync += loaded.eq(1)
        with m.Elif(take & last):
            m.d.sync += loaded.eq(0)
        promised = self._promised[factor]
        m.d.sync += promised.eq(promised + self._asked[factor] - load)
