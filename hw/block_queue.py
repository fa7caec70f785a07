"""A queue of wide words in block RAM."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import ConfigError
from .tally import tally

BLOCK_MEMORY = {"ram_style": "block", "no_rw_check": 1}
"""Attributes of a memory in block RAM that is not read where it is written."""


class BlockQueue(wiring.Component):
    """First in, first out, in a memory that is read with a clock.

    No word is read in the cycle in which its place is written, which block RAM may not do: a place
    is read only if the memory holds a word, and written only if it is not full, and the places of
    the next word in and of the next word out are the same in no other case.

    Parameters
    ----------
    width : int
        Bits of a word, at least 1.
    depth : int
        Words, at least 2; one of them is in the register behind the memory.

    Members
    -------
    input, output : streams of `width` bits
    level : out; words in the queue.
    clear : in; forgets them.

    Latency 2 cycles, throughput a word a cycle.
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
                "input": In(stream.Signature(width)),
                "output": Out(stream.Signature(width)),
                "level": Out(range(depth + 1)),
                "clear": In(1),
            }
        )

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self._width

    @property
    def depth(self) -> int:
        """Words there is room for."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        """Return the memory and its two places."""
        m = Module()
        places = self.depth - 1
        m.submodules.memory = memory = Memory(
            shape=self.width, depth=places, init=[], attrs=BLOCK_MEMORY
        )
        write, read = memory.write_port(), memory.read_port()
        stored = tally(m, "stored", places, write.en, read.en)
        m.d.comb += [
            self.input.ready.eq(~stored.full),
            write.en.eq(self.input.valid & self.input.ready),
            write.data.eq(self.input.payload),
            read.en.eq(stored.some & (self.output.ready | ~self.output.valid)),
            self.output.payload.eq(read.data),
            self.level.eq(stored.count + self.output.valid),
        ]
        for port in (write, read):
            with m.If(port.en):
                m.d.sync += port.addr.eq(Mux(port.addr == places - 1, 0, port.addr + 1))
        with m.If(self.clear):
            m.d.sync += [write.addr.eq(0), read.addr.eq(0), self.output.valid.eq(0)]
            m.d.sync += [stored.count.eq(0), stored.some.eq(0), stored.full.eq(0)]
        with m.Else():
            m.d.sync += self.output.valid.eq(read.en | (self.output.valid & ~self.output.ready))
        return m
