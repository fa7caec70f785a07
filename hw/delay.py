"""A delay of many cycles for wide values, in memory instead of flip-flops."""

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import ConfigError


class DelayLine(wiring.Component):
    """`output` is `input` of `cycles` cycles before.

    Parameters
    ----------
    width : int
        Bits of a value.
    cycles : int
        2 to 16.
    """

    def __init__(self, width: int, cycles: int) -> None:
        if not 2 <= cycles <= 16:
            raise ConfigError(f"cycles must be 2 to 16, not {cycles}")
        self._width = width
        self._cycles = cycles
        super().__init__({"input": In(width), "output": Out(width)})

    @property
    def width(self) -> int:
        """Bits of a value."""
        return self._width

    @property
    def cycles(self) -> int:
        """The delay."""
        return self._cycles

    def elaborate(self, platform: object) -> Module:
        """Return a memory that is written and read in circles."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=Shape(self.width), depth=16, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        place = Signal(4)
        output = Signal(self.width, reset_less=True)
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(self.input),
            write.en.eq(1),
            read.addr.eq(place - (self.cycles - 1)),
            self.output.eq(output),
        ]
        m.d.sync += [place.eq(place + 1), output.eq(read.data)]
        return m
