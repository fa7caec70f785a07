"""The memory that holds the tables of one lane of the vector unit."""

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib import enum as hw_enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .activation import SEGMENTS, gelu_table, silu_coarse_table, silu_fine_table
from .exponential import exponential_table
from .interpolation import Segment

INDEX_BITS = 7
"""Bits of the number of a segment, below those of its table."""

ADDRESS_BITS = INDEX_BITS + 2


class Table(hw_enum.Enum, shape=2):
    """The tables; the value is the upper bits of the addresses of their segments."""

    GELU = 0
    EXPONENTIAL = 1
    SILU_COARSE = 2
    SILU_FINE = 3


def _tables() -> dict[Table, tuple[Segment, ...]]:
    return {
        Table.GELU: gelu_table(),
        Table.EXPONENTIAL: exponential_table(),
        Table.SILU_COARSE: silu_coarse_table(),
        Table.SILU_FINE: silu_fine_table(),
    }


segment_layout = data.StructLayout({"base": unsigned(17), "delta": signed(13)})
"""A `hw.interpolation.Segment`."""


class FunctionTables(wiring.Component):
    """The tables of GELU, of the powers of two and of SILU, one behind the other.

    Latency one cycle.

    Members
    -------
    address : in
        A segment, and above it its `Table`.
    segment : out
    """

    def __init__(self) -> None:
        super().__init__({"address": In(ADDRESS_BITS), "segment": Out(segment_layout)})

    def elaborate(self, platform: object) -> Module:
        """Return the read-only memory."""
        m = Module()
        width = segment_layout.size
        init = [0] * (len(Table) * SEGMENTS)
        for table, segments in _tables().items():
            for place, segment in enumerate(segments, table.value * SEGMENTS):
                init[place] = segment_layout.const(segment._asdict()).as_value().value
        m.submodules.memory = memory = Memory(shape=width, depth=len(init), init=init)
        port = memory.read_port()
        m.d.comb += [
            port.addr.eq(self.address),
            port.en.eq(1),
            self.segment.as_value().eq(port.data),
        ]
        return m
