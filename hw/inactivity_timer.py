"""Notices when nothing has happened for a while."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError


class InactivityTimer(wiring.Component):
    """Counts cycles without a sign of activity.

    Parameters
    ----------
    width : int
        Bits of the limit, 1 to 64.

    Members
    -------
    limit : cycles without activity until it expires; 0 is never.
    enable : counts while high; the count is zero again while it is low.
    activity : a sign of activity.
    expired : the limit is reached; stays high until activity or the end of `enable`.
    """

    def __init__(self, width: int) -> None:
        if not 1 <= width <= 64:
            raise ConfigError(f"width must be an integer from 1 to 64, not {width}")
        self._width = width
        super().__init__(
            {"limit": In(width), "enable": In(1), "activity": In(1), "expired": Out(1)}
        )

    @property
    def width(self) -> int:
        """Bits of the limit."""
        return self._width

    def elaborate(self, platform: object) -> Module:
        """Return the counter."""
        m = Module()
        left = Signal(self.width)
        with m.If(~self.enable | self.activity):
            m.d.sync += [left.eq(self.limit), self.expired.eq(0)]
        with m.Elif(left == 1):
            m.d.sync += self.expired.eq(1)
        with m.Else():
            m.d.sync += left.eq(left - 1)
        return m
