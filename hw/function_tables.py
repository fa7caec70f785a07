"""The memory that holds the tables of one lane of the vector unit."""

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from . import activation, exponential

ADDRESS_BITS = 8

EXPONENTIAL_BASE = activation.SEGMENTS
"""Address of the first segment of the powers of two; those of GELU begin at 0."""

segment_layout = data.StructLayout({"base": unsigned(17), "delta": signed(13)})
"""A `hw.interpolation.Segment`."""


class FunctionTables(wiring.Component):
    """The tables of GELU and of the powers of two, one behind the other.

    Latency one cycle.

    Members
    -------
    address : in
        A segment of GELU, or `EXPONENTIAL_BASE` plus a segment of the powers of two.
    segment : out
    """

    def __init__(self) -> None:
        super().__init__({"address": In(ADDRESS_BITS), "segment": Out(segment_layout)})

    def elaborate(self, platform: object) -> Module:
        """Return the read-only memory."""
        m = Module()
        segments = activation.gelu_table() + exponential.exponential_table()
        width = segment_layout.size
        init = [segment_layout.const(segment._asdict()).as_value().value for segment in segments]
        m.submodules.memory = memory = Memory(shape=width, depth=len(init), init=init)
        port = memory.read_port()
        m.d.comb += [
            port.addr.eq(self.address),
            port.en.eq(1),
            self.segment.as_value().eq(port.data),
        ]
        return m
