"""Keeps the first error of a program."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError
from .ports import fault_layout


class ErrorLatch(wiring.Component):
    """Latches the first fault; of several in one cycle, that of the first source.

    Parameters
    ----------
    sources : int
        Who may report a fault, at least 1.

    Members
    -------
    faults : array of `hw.ports.fault_layout`, one a source
    enable : faults count while high.
    clear : forgets the error.
    error : `hw.ports.fault_layout`; one cycle after the fault.
    """

    def __init__(self, sources: int) -> None:
        if sources < 1:
            raise ConfigError(f"sources must be at least 1, not {sources}")
        self._sources = sources
        super().__init__(
            {
                "faults": In(data.ArrayLayout(fault_layout, sources)),
                "enable": In(1),
                "clear": In(1),
                "error": Out(fault_layout),
            }
        )

    @property
    def sources(self) -> int:
        """How many may report a fault."""
        return self._sources

    def elaborate(self, platform: object) -> Module:
        """Return the latch."""
        m = Module()
        with m.If(self.clear):
            m.d.sync += self.error.eq(0)
        with m.Elif(self.enable & ~self.error.valid):
            for source in reversed(range(self.sources)):
                with m.If(self.faults[source].valid):
                    m.d.sync += self.error.eq(self.faults[source])
        return m
