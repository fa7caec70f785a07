"""Keeps the first error of a program."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError
from .ports import fault_layout


class ErrorLatch(wiring.Component):
    """Latches the first fault; of several in one cycle, that of the first source.

    Who reports is registered first: a source keeps its report for two cycles at least.

    Parameters
    ----------
    sources : int
        Who may report a fault, at least 1.

    Members
    -------
    faults : array of `hw.ports.fault_layout`, one a source
    enable : faults count while high.
    clear : forgets the error.
    error : `hw.ports.fault_layout`; two cycles after the fault, if it is enabled in both.
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
        reported = Signal(self.sources)
        reports = []
        for source, fault in enumerate(self.faults):
            is_first = reported[source] & ~reported[:source].any()
            reports.append(fault.as_value() & is_first.replicate(fault_layout.size))
        m.d.sync += reported.eq(0)
        with m.If(self.clear):
            m.d.sync += self.error.eq(0)
        with m.Elif(self.enable & ~self.error.valid):
            m.d.sync += reported.eq(Cat(fault.valid for fault in self.faults))
            with m.If(reported.any()):
                m.d.sync += [self.error.eq(reduce(or_, reports)), self.error.valid.eq(1)]
        return m
