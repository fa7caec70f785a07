"""Bench of the window table: random windows around the end of the bus."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from ...hw.window import DRAM_BITS, window_layout
from ...hw.window_table import WindowTable
from ..golden.window import Window
from ..golden.window_table import admitted
from ..parameters import generator
from .unit import configuration, reset

ROUNDS = 300


def _pack(windows: list[Window]) -> int:
    width = window_layout.size
    return sum(window.pack() << index * width for index, window in enumerate(windows))


@cocotb.test()
async def closes_what_leaves_the_bus(dut: Any) -> None:
    """Every window equals the model, with ends just below, at and beyond the last address."""
    config, random = configuration(), generator("windows")
    limit = 1 << config.axi.address_width
    highest = (1 << DRAM_BITS) - 1

    def window() -> Window:
        base = min(random.choice((0, random.randrange(limit), limit - 1, limit)), highest)
        size = limit - base + random.choice((-1, 0, 1, random.randrange(limit)))
        size = min(max(size, 0), highest)
        return Window(base, size, random.random() < 0.8, random.random() < 0.8)

    dut.opened.value = 0
    await reset(dut)
    for _ in range(ROUNDS):
        windows = [window() for _ in range(config.controller.windows)]
        dut.opened.value = _pack(windows)
        for _ in range(WindowTable.LATENCY + 1):
            await RisingEdge(dut.clk)
        assert int(dut.windows.value) == _pack(admitted(config, windows)), windows
