"""Reads the lines of both operands from the scratchpad, chunk by chunk."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .operand import CHUNKS, Operand, lines_in_chunk
from .ports import ReadPortSignature, address_width
from .processing_element import OPERAND_BITS
from .response_tags import ResponseTags


class Side(enum.Enum, shape=1):
    """The operands of a product."""

    A = 0
    B = 1


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The lines of a chunk of one operand.

    Line i begins at ``address + i``, or, where a chunk takes more steps than there are lanes,
    at ``address + i·lanes·pitch`` if transposed.
    """
    shortest = min(config.array.rows, config.array.columns)
    return data.StructLayout(
        {
            "side": Side,
            "address": address_width(config),
            "pitch": 16,
            "transposed": 1,
            "part": range(max(1, WORD_BYTES // shortest)),
            "lines": range(lines_in_chunk(config) + 1),
        }
    )


class OperandReader(wiring.Component):
    """Asks for lines and keeps the two operand buffers filled.

    Bursts come in pairs, A before B; a pair is a chunk. A chunk is asked for as soon as there will
    be room for it, one line a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    bursts : stream of `burst_layout`, in
    read : read port of the scratchpad
    available : out; a chunk of both operands waits.
    take, step : in; see `Operand`.
    activations, weights : signed(8) [rows], [columns], out

    Latency: a chunk of n lines that finds room and is not refused is available
    n + `Scratchpad.READ_LATENCY` + 3 cycles after its first burst was accepted.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._rows = Operand(config, config.array.rows)
        self._columns = Operand(config, config.array.columns)
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "available": Out(1),
                "take": In(1),
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

        current = Signal(burst_layout(self.config))
        index = Signal(range(lines_in_chunk(self.config)))
        last = self._request(m, current, index)

        m.submodules.tags = tags = ResponseTags(
            data.StructLayout({"side": Side, "index": index.shape(), "part": 3, "flags": 2})
        )
        m.d.comb += [
            tags.accepted.eq(self.read.request.valid & self.read.request.ready),
            tags.request.side.eq(current.side),
            tags.request.index.eq(index),
            tags.request.part.eq(current.part),
            tags.request.flags[0].eq(current.transposed),
            tags.request.flags[1].eq(last),
        ]
        for side, operand in ((Side.A, a), (Side.B, b)):
            m.d.comb += [
                operand.line.eq(self.read.response.payload),
                operand.write.eq(tags.valid & (tags.response.side == side)),
                operand.place.index.eq(tags.response.index),
                operand.place.part.eq(tags.response.part),
                operand.place.transposed.eq(tags.response.flags[0]),
                operand.place.last.eq(tags.response.flags[1]),
            ]
        return m

    def _request(self, m: Module, current: Signal, index: Signal):
        """Walk the lines of `current`; return whether `index` is its last line."""
        waiting, requesting = Signal(), Signal()
        burst = Signal.like(self.bursts.payload)
        m.d.comb += self.bursts.ready.eq(~waiting)
        with m.If(self.bursts.valid & ~waiting):
            m.d.sync += [burst.eq(self.bursts.payload), waiting.eq(1)]

        request = self.read.request
        last = current.lines == index + 1
        m.d.comb += [
            request.valid.eq(requesting),
            request.payload.address.eq(current.address),
            request.payload.pitch.eq(current.pitch),
        ]
        stride = 1
        if self.config.lanes < self.config.chunk:
            stride = Mux(current.transposed, current.pitch * self.config.lanes, 1)
        accepted = request.valid & request.ready
        with m.If(accepted):
            m.d.sync += [current.address.eq(current.address + stride), index.eq(index + 1)]

        # Chunks asked for and not yet taken.
        chunks = Signal(range(CHUNKS + 1))
        permitted = (burst.side == Side.B) | (chunks < CHUNKS)
        load = Signal()
        m.d.comb += load.eq(waiting & permitted & (~requesting | (accepted & last)))
        with m.If(load):
            m.d.sync += [current.eq(burst), index.eq(0), requesting.eq(1), waiting.eq(0)]
        with m.Elif(accepted & last):
            m.d.sync += requesting.eq(0)
        m.d.sync += chunks.eq(chunks + (load & (burst.side == Side.A)) - self.take)
        return last
