"""A toy component for the tests of the simulators."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Adder(wiring.Component):
    """Adds two numbers; the registered sum is one bit wider.

    Parameters
    ----------
    width : int
        Bits of an addend.
    offset : int
        Planted error, added to every sum.
    """

    def __init__(self, width: int, offset: int = 0) -> None:
        self.offset = offset
        super().__init__({"a": In(width), "b": In(width), "sum": Out(width + 1)})

    def elaborate(self, platform: object) -> Module:
        """Return the adder."""
        m = Module()
        m.d.sync += self.sum.eq(self.a + self.b + self.offset)
        return m
