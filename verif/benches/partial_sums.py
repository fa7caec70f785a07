"""Bench of the partial sums: random rows, repeats, gaps, and a drain that starts when it likes."""

from __future__ import annotations

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from ...hw.grid import stream_latency
from ...hw.partial_sums import tag_layout
from ..golden.partial_sums import partial_sums
from ..parameters import generator, parameters
from .requantise import pack
from .unit import configuration, reset

CYCLE_LIMIT = 5000


class Bench:
    """Partial sums between a grid and a drain."""

    def __init__(self, dut, name):
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.numbers = np.random.default_rng(self.random.getrandbits(32))
        self.width = self.config.array.accumulator_width
        self.patience = 0.0
        self.pause = 0.0

    async def start(self, *, in_order=False):
        """Reset; what the memories held before is forgotten."""
        for name in ("stream", "begin", "shift", "release"):
            getattr(self.dut, name).value = 0
        self.dut.in_order.value = in_order
        await reset(self.dut)
        await FallingEdge(self.dut.clk)
        self._forget()

    async def restart(self):
        """Reset in the middle of whatever happens."""
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self._forget()

    async def change(self, *, in_order):
        """Give vectors in order, or in any, from now on."""
        self.dut.in_order.value = in_order
        await self.cycle()

    def _forget(self):
        self.arriving: deque[NDArray[np.int64] | None] = deque()
        self.arriving.extend([None] * stream_latency(self.config))
        self.expected: deque[NDArray[np.int64]] = deque()
        self.taken = 0

    async def cycle(self, sums=None, row=0, *, begin=False, rows=0, first=False, final=False):
        """Play one cycle; return whether the vector, if there is one, was accepted.

        `rows`: the vector is the last of its tile, and that many rows of this are to be drained.
        """
        dut = self.dut
        self._drain()
        asks = final if int(dut.in_order.value) else begin
        accepted = sums is not None and not (asks and not int(dut.ready.value))
        fields = {"row": row, "last": int(rows > 0), "rows": rows or self.random.getrandbits(4)}
        fields |= {"first": int(first), "final": int(final)}
        dut.stream.value = accepted
        dut.begin.value = begin if accepted else self.random.getrandbits(1)
        dut.tag.value = tag_layout(self.config).const(fields).as_bits()
        arrived = self.arriving.popleft()
        self.arriving.append(sums if accepted else None)
        if arrived is None:
            arrived = self._random_sums(1)[0]
        dut.sums.value = pack(arrived, self.width)
        await FallingEdge(dut.clk)
        return accepted

    def _drain(self):
        """Take a row of each cycle of a tile of the drain, once that has begun."""
        dut = self.dut
        shift = self.taken > 0
        full = bool(int(dut.full.value))
        assert full or not shift, "a row of a tile of the drain is missing"
        if full and not shift and self.random.random() >= self.patience:
            assert self.expected, "a row of a tile that is not complete"
            shift = True
        dut.shift.value = shift
        dut.release.value = shift and self.taken + 1 == len(self.expected[0])
        if not shift:
            return
        assert int(dut.row.value) == pack(self.expected[0][self.taken], self.width)
        self.taken += 1
        if self.taken == len(self.expected[0]):
            self.expected.popleft()
            self.taken = 0

    def _random_sums(self, count):
        limit = 1 << (self.width - 1)
        columns = self.config.array.columns
        return self.numbers.integers(-limit, limit, (count, columns), dtype=np.int64)

    async def tile(self, rows, count):
        """Stream a vector for each of `rows`, of a tile of `count` rows; return cycles of delay."""
        sums = self._random_sums(len(rows))
        seen: set[int] = set()
        delay = 0
        for index, row in enumerate(rows):
            last = index == len(rows) - 1
            first = int(row) not in seen and bool(self.random.getrandbits(1))
            seen.add(int(row))
            options = {"begin": index == 0, "rows": count if last else 0, "first": first}
            delay += await self._vector(sums[index], int(row), options)
        self._expect(partial_sums(np.array(rows), sums, count, self.width))
        return delay

    async def ordered_tile(self, passes, count):
        """Stream `count` rows `passes` times, in order; return cycles of delay."""
        sums = self._random_sums(passes * count)
        rows = np.tile(np.arange(count), passes)
        total = partial_sums(rows, sums, count, self.width)
        size, delay = self.config.array.rows, 0
        for index, row in enumerate(rows):
            final = index >= (passes - 1) * count
            last = index == len(rows) - 1
            options = {"begin": index == 0, "rows": count if last else 0}
            options |= {"first": index < count, "final": final}
            delay += await self._vector(sums[index], int(row), options)
            if final and (last or (row + 1) % size == 0):
                self._expect(total[row // size * size : row + 1])
        return delay

    async def _vector(self, sums, row, options):
        """Stream a vector, after a pause at random; return the cycles that it had to wait."""
        while self.random.random() < self.pause:
            await self.cycle()
        for delay in range(CYCLE_LIMIT):
            if await self.cycle(sums, row, **options):
                return delay
        raise AssertionError("no vector is taken")

    def _expect(self, rows):
        """Rows are complete: the drain may be given its tiles of them."""
        size = self.config.array.rows
        self.expected.extend(rows[first : first + size] for first in range(0, len(rows), size))

    async def finish(self):
        """Take what is left."""
        for _ in range(CYCLE_LIMIT):
            if not self.expected:
                break
            await self.cycle()
        await self.cycle()
        assert not self.expected and int(self.dut.idle.value)

    def random_rows(self):
        """Return the rows of the vectors of a tile, and how many rows are drained."""
        count = self.random.choice((1, 2, self.config.array.rows, self.config.array.partial_rows))
        count = self.random.choice((count, self.random.randint(1, 12)))
        passes = self.random.choice((1, 2, 3))
        rows = np.concatenate([np.arange(count)] * passes)
        if self.random.random() < 0.5:
            few = self.random.choice((1, 2, 3, count))
            rows = self.numbers.integers(0, min(few, count), self.random.randint(1, 40))
        return rows, count


@cocotb.test()
async def adds(dut):
    """Sums of any order of rows equal the golden model, whenever they come and are taken."""
    bench = Bench(dut, "adds")
    await bench.start()
    assert int(dut.idle.value)
    for _ in range(parameters()["tiles"]):
        bench.patience = bench.random.choice((0.0, 0.5, 0.95))
        bench.pause = bench.random.choice((0.0, 0.0, 0.5))
        await bench.tile(*bench.random_rows())
        assert not int(dut.idle.value)
    await bench.finish()


@cocotb.test()
async def adds_in_order(dut):
    """The same of rows in order, and before and after tiles in any order."""
    bench = Bench(dut, "adds in order")
    await bench.start(in_order=True)
    for _ in range(parameters()["tiles"]):
        bench.patience = bench.random.choice((0.0, 0.5, 0.95))
        bench.pause = bench.random.choice((0.0, 0.0, 0.5))
        if bench.random.random() < 0.1:
            await bench.finish()
            await bench.change(in_order=not int(dut.in_order.value))
        count = bench.random_rows()[1]
        if int(dut.in_order.value):
            await bench.ordered_tile(bench.random.randint(1, 4), count)
            assert not int(dut.idle.value)
        else:
            await bench.tile(*bench.random_rows())
    await bench.finish()


@cocotb.test()
async def follows(dut):
    """In order, a tile of the drain is there some cycles after its last vector, and none waits."""
    bench = Bench(dut, "follows")
    await bench.start(in_order=True)
    size = bench.config.array.rows
    for count in (size, 3 * size, 3 * size + 1, bench.config.array.partial_rows):
        for passes in (1, 2, 3):
            delays = [await bench.ordered_tile(passes, count) for _ in range(4)]
            assert delays == [0] * 4
            # What is left is a tile of the drain, or parts of two, and the latency of the class.
            for _ in range(stream_latency(bench.config) + 2 + size):
                assert bench.expected
                await bench.cycle()
            assert not bench.expected


@cocotb.test()
async def waits_in_order(dut):
    """Where the drain does not come, as many rows are taken as there are places, and no more."""
    bench = Bench(dut, "waits in order")
    await bench.start(in_order=True)
    bench.patience = 1.0
    room = bench.config.array.partial_rows
    sums = bench._random_sums(room + 1)
    options = {"first": True, "final": True, "begin": True}
    for row in range(room):
        assert await bench.cycle(sums[row], row % 2, rows=1 + row % 2, **options)
        bench._expect(sums[row : row + 1])
    for _ in range(20):
        assert not await bench.cycle(sums[room], 0, rows=1, **options)
    assert await bench.cycle(sums[room], 0, rows=1, first=True)
    bench.patience = 0.0
    await bench.finish()


@cocotb.test()
async def forgets(dut):
    """After a reset at any moment the sums are right."""
    bench = Bench(dut, "forgets")
    await bench.start()
    for _ in range(6):
        for _ in range(bench.random.randint(1, 4)):
            await bench.tile(*bench.random_rows())
        await bench.restart()
        if bench.random.random() < 0.5:
            await bench.change(in_order=True)
            await bench.ordered_tile(2, bench.random.randint(1, 12))
            await bench.finish()
            await bench.change(in_order=False)
    await bench.tile(*bench.random_rows())
    await bench.finish()


@cocotb.test()
async def keeps_up(dut):
    """A tile that has some vectors more than rows waits for nothing; else it waits for the sweep.

    That is over some cycles after the sums of the tile are complete, but a tile of the drain that
    has begun is not waited for.
    """
    bench = Bench(dut, "keeps up")
    await bench.start()
    size, overhead = bench.config.array.rows, stream_latency(bench.config) + 5
    for rows in (3 * size, 3 * size + 1):
        hidden = size - 2 if rows % size == 0 else 0
        for extra, allowed in ((rows, 0), (overhead, 0), (0, overhead - hidden)):
            order = np.concatenate([np.arange(extra) % rows, np.arange(rows)])
            delays = [await bench.tile(order, rows) for _ in range(8)]
            dut._log.info("%d vectors a tile of %d rows: delays %s", len(order), rows, delays)
            assert max(delays[2:]) <= allowed
            await bench.finish()
