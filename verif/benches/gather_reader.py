"""Bench of the gather reader: random products and tiles, an operand that has room when it likes."""

from __future__ import annotations

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from ...hw.gather_reader import gather_layout, place_layout
from ...hw.operand import CHUNKS, fill_layout
from ..golden.gather_reader import gather, lines_read
from ..golden.operands import Matrix
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .line_memory import LineMemory, noise
from .unit import configuration, reset

CYCLE_LIMIT = 20_000


class Bench:
    """A gather reader between places and an operand."""

    def __init__(self, dut, name):
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.refusal = 0.0
        self.pause = 0.0
        self.patience = 0.0
        self.scratchpad = Scratchpad(self.config)
        noise(self.scratchpad, self.random)
        self.memory = LineMemory(
            dut, self.scratchpad, ("read",), (), lambda: self.random.random() < self.refusal
        )
        self.queues: dict[str, deque[int]] = {"operand": deque(), "places": deque()}
        self.expected: deque[NDArray[np.int8]] = deque()
        self.chunk: dict[tuple[int, int], NDArray[np.int8]] = {}
        # Chunks begun and not taken, and those among them that are complete.
        self.begun = 0
        self.complete = 0

    async def start(self):
        """Reset the reader; nothing is offered and there is no room."""
        for name in ("operand_valid", "places_valid", "fill_room"):
            getattr(self.dut, name).value = 0
        await reset(self.dut)

    def product(self, rows, tiles):
        """Queue a product with these tiles; return the lines that are read."""
        config, random = self.config, self.random
        k = 1 + max(max(tile) for tile in tiles)
        words = -(-k // 8)
        pitch = -(-words // config.lanes) * config.lanes + 1
        span = (rows - 1) * pitch + words
        address = random.randint(0, config.scratchpad_words - span)
        a = Matrix(rows, k, "int8", address, pitch)
        entry = {"address": address, "pitch": pitch, "rows": rows}
        self.queues["operand"].append(gather_layout(config).const(entry).as_bits())
        values = a.read(self.scratchpad)
        for number, tile in enumerate(tiles):
            self.expected.extend(gather(values, tile, config.chunk))
            for index, place in enumerate(tile):
                last = index == len(tile) - 1
                final = last and number == len(tiles) - 1
                fields = {"k": place, "last": last, "final": final}
                self.queues["places"].append(place_layout.const(fields).as_bits())
        return sum(lines_read(tile, rows, config.lanes) for tile in tiles)

    async def cycle(self):
        """Play one cycle; return whether a place was filled in."""
        dut, random = self.dut, self.random
        offered = []
        for name, queue in self.queues.items():
            valid = bool(queue) and random.random() >= self.pause
            getattr(dut, f"{name}_valid").value = valid
            if valid:
                getattr(dut, f"{name}_payload").value = queue[0]
                offered.append(name)
        if self.complete and random.random() >= self.patience:
            self.complete -= 1
            self.begun -= 1
        room = self.begun < CHUNKS
        dut.fill_room.value = room
        await RisingEdge(dut.clk)
        for name in offered:
            if int(getattr(dut, f"{name}_ready").value):
                self.queues[name].popleft()
        if int(dut.fill_begin.value):
            assert room, "a chunk was begun without room"
            self.begun += 1
        written = bool(int(dut.fill_write.value))
        if written:
            self._fill()
        return written

    def _fill(self):
        """Keep the steps of an element; a complete chunk is that of the golden model."""
        assert self.begun > self.complete, "no chunk was begun"
        place = fill_layout(self.config).from_bits(int(self.dut.fill_place.value))
        steps = int(self.dut.fill_steps.value).to_bytes(self.config.lanes, "little")
        self.chunk[place.element, place.part] = np.frombuffer(steps, dtype=np.int8)
        if not place.last:
            return
        expected = self.expected.popleft()
        elements, rows = expected.shape
        parts = -(-rows // self.config.lanes)
        assert len(self.chunk) == elements * parts
        for element in range(elements):
            values = np.concatenate([self.chunk[element, part] for part in range(parts)])
            assert (values[:rows] == expected[element]).all()
        self.chunk.clear()
        self.complete += 1

    async def finish(self):
        """Let everything be filled in; return the cycle of each place."""
        cycles = []
        for cycle in range(CYCLE_LIMIT):
            if await self.cycle():
                cycles.append(cycle)
            if not self.expected:
                break
        assert not self.expected and not any(self.queues.values())
        await self.cycle()
        assert int(self.dut.idle.value)
        return cycles


def random_tile(random, rows, k):
    """Return some places in order: close to each other, far apart, or all."""
    count = random.choice((1, rows, random.randint(1, rows)))
    span = random.choice((count, 2 * count, k))
    first = random.randint(0, max(0, k - span))
    return sorted(random.sample(range(first, first + max(span, count)), count))


@cocotb.test()
async def gathers(dut):
    """Products of any number of rows and tiles fill the operand as the golden model does."""
    bench = Bench(dut, "gathers")
    await bench.start()
    random, array = bench.random, bench.config.array
    for _ in range(parameters()["products"]):
        bench.refusal = random.choice((0.0, 0.0, 0.5))
        bench.pause = random.choice((0.0, 0.0, 0.5))
        bench.patience = random.choice((0.0, 0.5, 0.9))
        lines, reads = 0, bench.memory.reads
        for _ in range(random.randint(1, 5)):
            rows = random.choice((1, bench.config.chunk, random.randint(1, 3 * bench.config.chunk)))
            count = random.randint(1, 4)
            tiles = [random_tile(random, array.rows, 8 * array.rows) for _ in range(count)]
            lines += bench.product(rows, tiles)
        await bench.finish()
        assert bench.memory.reads - reads == lines


@cocotb.test()
async def fills_a_place_a_cycle(dut):
    """Though each place takes a line of its own, nothing pauses, neither chunks nor tiles do."""
    bench = Bench(dut, "a place a cycle")
    await bench.start()
    rows = bench.config.array.rows
    for place in (0, 7):
        tiles = [[8 * word + place for word in range(rows)]] * 4
        bench.product(3 * bench.config.chunk, tiles)
    cycles = await bench.finish()
    dut._log.info("%d places in %d cycles", len(cycles), cycles[-1] - cycles[0] + 1)
    assert cycles[-1] - cycles[0] + 1 == len(cycles)
