"""A queue in distributed memory that says from registers whether it has something and has room."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import ConfigError
from .tally import tally


def queue_members(width: int, depth: int) -> dict[str, Any]:
    """Return the members of a queue of `depth` entries of `width` bits.

    Raises
    ------
    ConfigError
        If an entry has no bits.
    """
    if width < 1:
        raise ConfigError(f"width must be at least 1, not {width}")
    return {
        "w_data": In(width),
        "w_en": In(1),
        "w_rdy": Out(1),
        "r_data": Out(width),
        "r_en": In(1),
        "r_rdy": Out(1),
        "level": Out(range(depth + 1)),
    }


class Queue(wiring.Component):
    """First in, first out, cycle for cycle as the queues of `amaranth.lib.fifo`.

    These compare their level in the cycle in which they answer; here both answers are registers,
    and what a client decides late only counts. No register of the width of an entry waits for it,
    as in `BufferedQueue`: the oldest entry comes out of the memory when it is used.

    Parameters
    ----------
    width : int
        Bits of an entry, at least 1.
    depth : int
        Entries, at least 2, with a latency of 2 at least 3.
    latency : int
        Cycles from a write to `r_rdy`: 1 as `SyncFIFO`, or 2 as `SyncFIFOBuffered`.

    Members
    -------
    w_data, w_en : in
        An entry to be taken, where `w_rdy`.
    w_rdy : out
        There is room.
    r_data, r_rdy : out
        The oldest entry, and whether there is one: `latency` cycles after it was written or later.
    r_en : in
        It is taken, where `r_rdy`.
    level : out
        Entries in the queue.
    """

    def __init__(self, width: int, depth: int, latency: int = 1) -> None:
        members = queue_members(width, depth)
        if latency not in (1, 2):
            raise ConfigError(f"latency must be 1 or 2, not {latency}")
        if depth <= latency:
            raise ConfigError(f"depth must be at least {latency + 1}, not {depth}")
        self._width = width
        self._depth = depth
        self._latency = latency
        super().__init__(members)

    @property
    def width(self) -> int:
        """Bits of an entry."""
        return self._width

    @property
    def depth(self) -> int:
        """Entries there is room for."""
        return self._depth

    @property
    def latency(self) -> int:
        """Cycles from a write to `r_rdy`."""
        return self._latency

    def elaborate(self, platform: object) -> Module:
        """Return the memory, its two places and the count of entries."""
        m = Module()
        m.submodules.storage = storage = Memory(shape=self.width, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        written, taken = Signal(), Signal()
        entries = tally(m, "entries", self.depth, written, taken)
        shown = entries
        if self.latency == 2:
            settled = Signal()
            m.d.sync += settled.eq(written)
            shown = tally(m, "shown", self.depth, settled, taken)
        m.d.comb += [
            self.w_rdy.eq(~entries.full),
            self.r_rdy.eq(shown.some),
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
