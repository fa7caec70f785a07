"""A queue with registers behind its memory that answers from registers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from .config import ConfigError
from .queue import queue_members
from .tally import tally


class BufferedQueue(wiring.Component):
    """First in, first out, cycle for cycle as `amaranth.lib.fifo.SyncFIFOBuffered`.

    The oldest entry is in a register, so that the others may lie in block RAM. That one compares
    its level in the cycle in which an entry is taken; here `r_en` passes through one level of
    logic only.

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
        There is room besides the register of the oldest entry.
    r_data, r_rdy : out
        The oldest entry, and whether there is one: two cycles after it was written or later.
    r_en : in
        It is taken, where `r_rdy`.
    level : out
        Entries in the queue.
    """

    def __init__(self, width: int, depth: int) -> None:
        members = queue_members(width, depth)
        if depth < 2:
            raise ConfigError(f"depth must be at least 2, not {depth}")
        self._width = width
        self._depth = depth
        super().__init__(members)

    @property
    def width(self) -> int:
        """Bits of an entry."""
        return self._width

    @property
    def depth(self) -> int:
        """Entries there is room for."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        """Return the memory, its two places and the count of entries in it."""
        m = Module()
        depth = self.depth - 1
        m.submodules.storage = storage = Memory(shape=self.width, depth=depth, init=[])
        write, read = storage.write_port(), storage.read_port()
        written, moved = Signal(), Signal()
        entries = tally(m, "entries", depth, written, moved)
        m.d.comb += [
            self.w_rdy.eq(~entries.full),
            self.level.eq(entries.count + self.r_rdy),
            written.eq(self.w_en & self.w_rdy),
            moved.eq(entries.some & (~self.r_rdy | self.r_en)),
            write.en.eq(written),
            write.data.eq(self.w_data),
            read.en.eq(moved),
            self.r_data.eq(read.data),
        ]
        m.d.sync += self.r_rdy.eq(entries.some | (self.r_rdy & ~self.r_en))
        for port, moves in ((write, written), (read, moved)):
            place = Signal(range(depth), name="place")
            m.d.comb += port.addr.eq(place)
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == depth - 1, 0, place + 1))
        return m
