"""A queue in distributed memory that says from registers whether it has something and has room."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import ConfigError
from .tally import tally


class Queue(wiring.Component):
    """First in, first out, cycle for cycle as `amaranth.lib.fifo.SyncFIFO`.

    That one compares its level in the cycle in which it answers; here both answers are registers,
    and what a client decides late only counts.

    Parameters
    ----------
    width : int
        Bits of an entry, at least 1.
    depth : int
        Entries, at least 2.

    Members
    -------
    w_data, w_en : in
        An entry to be taken, where `w_rdy`.
    w_rdy : out
        There is room.
    r_data, r_rdy : out
        The oldest entry, and whether there is one: the cycle after it was written or later.
    r_en : in
        It is taken, where `r_rdy`.
    level : out
        Entries in the queue.
    """

    def __init__(self, width: int, depth: int) -> None:
        if width < 1:
            raise ConfigError(f"width must be at least 1, not {width}")
        if depth < 2:
            raise ConfigError(f"depth must be at least 2, not {depth}")
        self._width = width
        self._depth = depth
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
                "level": Out(range(depth + 1)),
            }
        )

    @property
    def width(self) -> int:
        """Bits of an entry."""
        return self._width

    @property
    def depth(self) -> int:
        """Entries there is room for."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        """Return the memory, its two places and the count of entries."""
        m = Module()
        m.submodules.storage = storage = Memory(shape=self.width, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        written, taken = Signal(), Signal()
        entries = tally(m, "entries", self.depth, written, taken)
        m.d.comb += [
            self.w_rdy.eq(~entries.full),
            self.r_rdy.eq(entries.some),
            self.level.eq(entries.count),
            written.eq(self.w_en & self.w_rdy),
            taken.eq(self.r_en & self.r_rdy),
            write.en.eq(written),
            write.data.eq(self.w_data),
            self.r_data.eq(read.data),
        ]
        for port, moves in ((write, written), (read, taken)):
            with m.If(moves):
                m.d.sync += port.addr.eq(Mux(port.addr == self.depth - 1, 0, port.addr + 1))
        return m
