"""Reads the lines of both operands from the scratchpad, chunk by chunk."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .operand import CHUNKS, Operand, lines_in_chunk
from .ports import ReadPortSignature, address_width
from .processing_element import OPERAND_BITS
from .response_tags import ResponseTags


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The lines of one operand that hold a chunk.

    Line i begins at ``address + i``, or, where a chunk takes more steps than there are lanes,
    at ``address + i·lanes·pitch`` if transposed.
    """
    shortest = min(config.array.rows, config.array.columns)
    return data.StructLayout(
        {
            "address": address_width(config),
            "pitch": 16,
            "transposed": 1,
            "part": range(max(1, WORD_BYTES // shortest)),
            "lines": range(lines_in_chunk(config) + 1),
        }
    )


def burst_pair_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The lines of both operands that hold a chunk."""
    return data.StructLayout({"a": burst_layout(config), "b": burst_layout(config)})


def _tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    burst = burst_layout(config)
    return data.StructLayout(
        {
            "is_b": 1,
            "index": range(lines_in_chunk(config)),
            "part": burst["part"].shape,
            "transposed": 1,
            "last": 1,
        }
    )


class OperandReader(wiring.Component):
    """Asks for lines and keeps the two operand buffers filled.

    A chunk is asked for as soon as there will be room for it, first A, then B, one line a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    bursts : stream of `burst_pair_layout`, in
    read : read port of the scratchpad
    available : out; a chunk of both operands waits.
    take, step : in; see `Operand`.
    take_early : in; high only with `take`. Where it is, room is found a cycle earlier.
    activations, weights : signed(8) [rows], [columns], out

    Latency: a chunk of n lines, A and B together, that waits for room and is not refused is
    available n + `Scratchpad.READ_LATENCY` + 2 cycles after the `take_early` that gives it room.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._rows = Operand(config, config.array.rows)
        self._columns = Operand(config, config.array.columns)
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_pair_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "available": Out(1),
                "take": In(1),
                "take_early": In(1),
                "step": In(1),
                "activations": Out(data.ArrayLayout(unsigned(OPERAND_BITS), config.array.rows)),
                "weights": Out(data.ArrayLayout(unsigned(OPERAND_BITS), config.array.columns)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the request registers and the buffers."""
        m = Module()
        m.submodules.a = a = self._rows
        m.submodules.b = b = self._columns
        m.d.comb += [
            self.available.eq(a.available & b.available),
            self.activations.eq(a.elements),
            self.weights.eq(b.elements),
        ]
        for operand in (a, b):
            m.d.comb += [operand.take.eq(self.take), operand.step.eq(self.step)]

        m.submodules.tags = tags = ResponseTags(_tag_layout(self.config))
        self._request(m, tags)
        place = tags.response
        for is_b, operand in enumerate((a, b)):
            m.d.comb += [
                operand.line.eq(self.read.response.payload),
                operand.write.eq(tags.valid & (place.is_b == is_b)),
                operand.place.index.eq(place.index),
                operand.place.part.eq(place.part),
                operand.place.transposed.eq(place.transposed),
                operand.place.last.eq(place.last),
            ]
        return m

    def _request(self, m: Module, tags: ResponseTags) -> None:
        """Walk the lines of a burst; the next pair waits meanwhile."""
        pair = Signal.like(self.bursts.payload)
        current = Signal(burst_layout(self.config))
        waiting, requesting, is_b, next_is_b = Signal(), Signal(), Signal(), Signal()
        index = Signal(range(lines_in_chunk(self.config)))
        load = Signal()

        request = self.read.request
        accepted = request.valid & request.ready
        last = current.lines == index + 1
        m.d.comb += [
            request.valid.eq(requesting),
            request.payload.address.eq(current.address),
            request.payload.pitch.eq(current.pitch),
            tags.accepted.eq(accepted),
            tags.request.is_b.eq(is_b),
            tags.request.index.eq(index),
            tags.request.part.eq(current.part),
            tags.request.transposed.eq(current.transposed),
            tags.request.last.eq(last),
        ]
        stride = 1
        if self.config.lanes < self.config.chunk:
            stride = Mux(current.transposed, current.pitch * self.config.lanes, 1)
        with m.If(accepted):
            m.d.sync += [current.address.eq(current.address + stride), index.eq(index + 1)]

        # Chunks asked for and not yet taken.
        chunks = Signal(range(CHUNKS + 1))
        permitted = next_is_b | (chunks < CHUNKS) | self.take_early
        m.d.comb += load.eq(waiting & permitted & (~requesting | (accepted & last)))
        m.d.sync += chunks.eq(chunks + (load & ~next_is_b) - self.take)
        with m.If(load):
            m.d.sync += [index.eq(0), requesting.eq(1), is_b.eq(next_is_b)]
            m.d.sync += [current.eq(Mux(next_is_b, pair.b, pair.a)), next_is_b.eq(~next_is_b)]
            m.d.sync += waiting.eq(~next_is_b)
        with m.Elif(accepted & last):
            m.d.sync += requesting.eq(0)
        m.d.comb += self.bursts.ready.eq(~waiting)
        with m.If(self.bursts.valid & ~waiting):
            m.d.sync += [pair.eq(self.bursts.payload), waiting.eq(1)]
