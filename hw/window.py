"""Windows: the parts of DRAM that the host has opened to a program."""

from typing import Literal

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError

WINDOW_BITS = 8
"""Bits of a window's number in an instruction."""

DRAM_BITS = 48
"""Bits of a window's base, of its size and of an offset in it."""

LAST_BITS = DRAM_BITS + 2
"""Bits of the offset of a transfer's last byte: an offset and all rows cannot overflow them."""

window_layout = data.StructLayout(
    {"base": DRAM_BITS, "size": DRAM_BITS, "readable": 1, "writable": 1}
)
"""One window: `base` is the address of its first byte, `size` the number of its bytes.

A closed window has a size of zero or no permission; an open one lies within the addresses of the
bus, which `hw.window_table` sees to. `readable` and `writable` say what a program may do there.
"""


def windows_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """All windows, as the registers hand them to the units."""
    return data.ArrayLayout(window_layout, config.controller.windows)


def require_permission(permission: str) -> None:
    """Check that a permission is one of those in `window_layout`.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if permission not in ("readable", "writable"):
        raise ConfigError(f"permission must be readable or writable, not {permission!r}")


class WindowCheck(wiring.Component):
    """Tells whether a window admits a transfer, and where the window begins.

    The window is looked up in one cycle; `base` and `allowed` belong to the `window` of the
    cycle before and, combinationally, to `last`.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the number of windows.
    permission : "readable" or "writable"
        What the window must be.

    Members
    -------
    windows : in, array of `window_layout`
    window : in
        Number of the window.
    last : in
        Offset of the last byte of the transfer.
    base : out
        Address of the first byte of the window.
    allowed : out
        The window exists, has the permission and holds byte `last`.

    Raises
    ------
    ConfigError
        If the permission is another word.
    """

    def __init__(
        self, config: AcceleratorConfig, permission: Literal["readable", "writable"]
    ) -> None:
        require_permission(permission)
        self._config = config
        self._permission = permission
        super().__init__(
            {
                "windows": In(windows_layout(config)),
                "window": In(WINDOW_BITS),
                "last": In(LAST_BITS),
                "base": Out(DRAM_BITS),
                "allowed": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def permission(self) -> str:
        """What the window must be, readable or writable."""
        return self._permission

    def elaborate(self, platform: object) -> Module:
        """Return the look-up and the comparison."""
        m = Module()
        chosen = Signal(window_layout)
        m.d.sync += chosen.eq(0)
        with m.Switch(self.window):
            for number in range(self.config.controller.windows):
                with m.Case(number):
                    m.d.sync += chosen.eq(self.windows[number])
        m.d.comb += [
            self.base.eq(chosen.base),
            self.allowed.eq(chosen[self.permission] & (self.last < chosen.size)),
        ]
        return m
