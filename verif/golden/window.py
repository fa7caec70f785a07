"""Windows of DRAM as the host opens them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A part of DRAM that a program may use.

    Parameters
    ----------
    base : int
        Byte address of its first byte, a multiple of an AXI beat.
    size : int
        Bytes; 0 if the window is closed.
    readable, writable : bool
        What a program may do there.
    """

    base: int = 0
    size: int = 0
    readable: bool = False
    writable: bool = False

    def pack(self) -> int:
        """Return the bits of `hw.window.window_layout`."""
        return self.base | self.size << 48 | self.readable << 96 | self.writable << 97
