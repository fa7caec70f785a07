"""Bench of the panel: row tiles written ahead, read in any order, with pauses on both sides."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, Timer

from ..parameters import generator
from .requantise import pack
from .unit import configuration, reset


class Writer:
    """Appends row tiles of random blocks as far as there is room."""

    def __init__(self, dut, config, random):
        self.dut = dut
        self.random = random
        self.shape = (config.array.rows, config.array.block)
        self.tiles: deque[list[np.ndarray]] = deque()
        self.written = 0
        self._numbers = np.random.default_rng(random.getrandbits(32))

    def plan(self, counts):
        """Draw tiles of so many blocks."""
        for count in counts:
            size = (count, *self.shape)
            self.tiles.append(list(self._numbers.integers(-128, 128, size).astype(np.int8)))
        self._next = [block for tile in self.tiles for block in tile]

    def cycle(self):
        """Write the next block, or pause."""
        write = (
            self.written < len(self._next)
            and int(self.dut.room.value)
            and self.random.random() < 0.7
        )
        self.dut.write.value = int(write)
        if write:
            self.dut.blocks.value = pack(self._next[self.written].reshape(-1), 8)
            self.written += 1


@cocotb.test()
async def gives_back(dut):
    """Every block of a row tile that is present is read as it was written, two moves later."""
    config = configuration()
    random = generator("panel")
    depth = config.array.panel_blocks
    writer = Writer(dut, config, random)
    writer.plan([random.choice((1, 2, depth // 3, depth - 1, depth)) for _ in range(12)])
    for name in ("write", "release", "enable", "block", "count"):
        getattr(dut, name).value = 0
    await reset(dut)
    await FallingEdge(dut.clk)
    under_way: deque[np.ndarray | None] = deque([None, None])
    for tile in list(writer.tiles):
        dut.count.value = len(tile)
        reads = random.randint(0, 3 * len(tile))
        while True:
            writer.cycle()
            block = random.randrange(len(tile))
            dut.block.value = block
            enable = random.random() < 0.8
            await Timer(1, "ns")
            read = enable and reads and int(dut.present.value)
            assert int(dut.present.value) or not int(dut.complete.value)
            release = not reads and enable and bool(int(dut.complete.value))
            dut.enable.value = enable
            dut.release.value = release
            if enable:
                under_way.append(tile[block] if read else None)
                reads -= bool(read)
            await FallingEdge(dut.clk)
            if enable:
                under_way.popleft()
                if under_way[0] is not None:
                    assert int(dut.activations.value) == pack(under_way[0].reshape(-1), 8)
            if release:
                break
        dut.release.value = 0
    assert writer.written == sum(map(len, writer.tiles))
