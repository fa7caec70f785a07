"""The performance counters."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError

COUNT_BITS = 64


class Counters(wiring.Component):
    """Adds up what happened in each cycle.

    Parameters
    ----------
    widths : sequence of int
        Bits of the increment of each counter, 1 to 32.

    Members
    -------
    increments : struct with a member ``counter<i>`` for each counter
        What to add for this cycle.
    enable : counts while high.
    clear : sets all to zero.
    values : array of `COUNT_BITS` bits, one a counter; 2 cycles after the increment.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        if not widths or not all(1 <= width <= 32 for width in widths):
            raise ConfigError(f"widths must be integers from 1 to 32, not {list(widths)}")
        self._widths = tuple(widths)
        layout = {f"counter{place}": width for place, width in enumerate(widths)}
        super().__init__(
            {
                "increments": In(data.StructLayout(layout)),
                "enable": In(1),
                "clear": In(1),
                "values": Out(data.ArrayLayout(COUNT_BITS, len(widths))),
            }
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of each increment."""
        return self._widths

    def elaborate(self, platform: object) -> Module:
        """Return the adders."""
        m = Module()
        for place, width in enumerate(self.widths):
            increment = Signal(width, name=f"increment{place}")
            with m.If(self.clear):
                m.d.sync += [increment.eq(0), self.values[place].eq(0)]
            with m.Else():
                counted = self.increments[f"counter{place}"] & self.enable.replicate(width)
                m.d.sync += [
                    increment.eq(counted),
                    self.values[place].eq(self.values[place] + increment),
                ]
        return m
