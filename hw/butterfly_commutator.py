"""Delay commutator between two butterfly stages."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError


class ButterflyCommutator(wiring.Component):
    """Pairs the first values of beats that are `delay` apart, and then their second values.

    Of every ``2·delay`` beats (a, b), beat i and beat i + delay of the first half become
    (a_i, a_(i + delay)), and `delay` beats later (b_i, b_(i + delay)). Beats may come with any
    gaps. A result of `a` comes the cycle after the second of its beats; those of `b` follow each
    other without gaps. Throughput one beat a cycle.

    Parameters
    ----------
    width : int
        Bits of a value, at least 1.
    delay : int
        A power of two from 1 to 8.

    Members
    -------
    valid, first, second : in
    output_valid, output_first, output_second : out, registers
    """

    def __init__(self, width: int, delay: int) -> None:
        if width < 1:
            raise ConfigError(f"width must be at least 1, not {width}")
        if delay not in (1, 2, 4, 8):
            raise ConfigError(f"delay must be a power of two from 1 to 8, not {delay}")
        self._width = width
        self._delay = delay
        super().__init__(
            {
                "valid": In(1),
                "first": In(width),
                "second": In(width),
                "output_valid": Out(1),
                "output_first": Out(width),
                "output_second": Out(width),
            }
        )

    @property
    def width(self) -> int:
        """Bits of a value."""
        return self._width

    @property
    def delay(self) -> int:
        """Beats between those that are paired."""
        return self._delay

    def elaborate(self, platform: object) -> Module:
        """Return three small register files and the order in which they are read.

        The next beats may overwrite the first half while its second values leave, because these
        leave at least as fast.
        """
        m = Module()
        bits = self.delay.bit_length() - 1
        count = Signal(bits + 1)
        place, half = count[:bits], count[bits]
        leaving = Signal()
        leaving_place = Signal(bits)
        last = self.delay - 1
        shape = data.ArrayLayout(self.width, self.delay)
        early_first = Signal(shape, reset_less=True)
        early_second = Signal(shape, reset_less=True)
        late_second = Signal(shape, reset_less=True)

        paired = self.valid & half
        m.d.sync += count.eq(count + self.valid)
        with m.If(self.valid & ~half):
            m.d.sync += [early_first[place].eq(self.first), early_second[place].eq(self.second)]
        with m.If(paired):
            m.d.sync += late_second[place].eq(self.second)

        m.d.sync += leaving_place.eq(leaving_place + leaving)
        with m.If(paired & (place == last)):
            m.d.sync += leaving.eq(1)
        with m.Elif(leaving_place == last):
            m.d.sync += leaving.eq(0)

        first = Signal(self.width, reset_less=True)
        second = Signal(self.width, reset_less=True)
        m.d.sync += [
            self.output_valid.eq(paired | leaving),
            first.eq(Mux(paired, early_first[place], early_second[leaving_place])),
            second.eq(Mux(paired, self.first, late_second[leaving_place])),
        ]
        m.d.comb += [self.output_first.eq(first), self.output_second.eq(second)]
        return m
