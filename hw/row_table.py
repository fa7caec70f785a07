"""What pass one has found out about the rows that wait for pass two."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .vector_lane import OFFSET_WIDTH, RATIO_BITS
from .vector_plan import ROW_SLOTS

scalars_layout = data.StructLayout(
    {
        "maximum": signed(16),
        "ratio": RATIO_BITS,
        "offset": signed(OFFSET_WIDTH),
        "shift": 5,
    }
)
"""The scalars of a row as the lanes need them; SOFTMAX has only the first, the others the rest."""


class RowTable(wiring.Component):
    """A memory a scalar, written row by row and read at any slot, each scalar at its own.

    Members
    -------
    start : in
        The next row that is written is in slot 0.
    write : in
        Write `scalars` for the next row.
    scalars : in, `scalars_layout`
    slots : in, a slot a scalar
    values : out, `scalars_layout`
        The scalars of the slots, in the same cycle.
    """

    def __init__(self) -> None:
        names = [name for name, _field in scalars_layout]
        super().__init__(
            {
                "start": In(1),
                "write": In(1),
                "scalars": In(scalars_layout),
                "slots": In(data.StructLayout({name: range(ROW_SLOTS) for name in names})),
                "values": Out(scalars_layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the memories."""
        m = Module()
        place = Signal(range(ROW_SLOTS))
        with m.If(self.start):
            m.d.sync += place.eq(0)
        with m.Elif(self.write):
            m.d.sync += place.eq(place + 1)
        for name, field in scalars_layout:
            memory = Memory(shape=field.shape, depth=ROW_SLOTS, init=[])
            m.submodules[name] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(place),
                write.data.eq(self.scalars[name]),
                write.en.eq(self.write),
                read.addr.eq(self.slots[name]),
                self.values[name].eq(read.data),
            ]
        return m
