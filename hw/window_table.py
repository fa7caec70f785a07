"""Windows as the units may use them: none reaches beyond the addresses of the bus."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .window import DRAM_BITS, windows_layout


class WindowTable(wiring.Component):
    """Closes windows that do not lie within the addresses of the bus; latency 2 cycles.

    Bases and sizes have more bits than addresses of the bus, so that a window could otherwise
    wrap around and open memory that the host never meant.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the number of windows and the bits of an address.

    Members
    -------
    opened : in, array of `hw.window.window_layout`
        As the registers hold them.
    windows : out, array of `hw.window.window_layout`
        The same, without permissions where the end is beyond the last address.
    """

    LATENCY = 2

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        layout = windows_layout(config)
        super().__init__({"opened": In(layout), "windows": Out(layout)})

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return an adder and a comparison a window."""
        m = Module()
        for index in range(self.config.controller.windows):
            opened, window = self.opened[index], self.windows[index]
            end = Signal(DRAM_BITS + 1, name=f"end{index}")
            fits = end <= 1 << self.config.axi.address_width
            m.d.sync += [
                end.eq(opened.base + opened.size),
                window.base.eq(opened.base),
                window.size.eq(opened.size),
                window.readable.eq(opened.readable & fits),
                window.writable.eq(opened.writable & fits),
            ]
        return m
