"""Model of the window table: windows that leave the bus are closed."""

from collections.abc import Sequence
from dataclasses import replace

from ...hw.config import AcceleratorConfig
from .window import Window


def admitted(config: AcceleratorConfig, opened: Sequence[Window]) -> list[Window]:
    """Return the windows as the units see them.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the bits of an address of the bus.
    opened : sequence of Window
        As the host has set them.
    """
    limit = 1 << config.axi.address_width
    closed = {"readable": False, "writable": False}
    return [
        window if window.base + window.size <= limit else replace(window, **closed)
        for window in opened
    ]
