"""Bench of the grid: random tiles, pauses and a drain that starts when it likes."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, Timer

from ...hw.grid import CLOSING_ROWS, stream_latency
from ..golden.grid import chain, select
from ..golden.matmul import from_planes
from ..golden.softmax import PLANE_BITS
from ..parameters import generator, parameters
from .requantise import pack
from .unit import configuration, reset

STATIONARY = ("stationary", "load", "stream", "swap")


class Bench:
    """A grid between a source of steps and a drain."""

    def __init__(self, dut, name):
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.expected: deque[tuple[int, np.ndarray]] = deque()
        self.rows_left = 0
        self.patience = 0.0

    async def start(self):
        """Reset the grid; nothing is offered and nothing is taken."""
        strobes = ("step", "first", "last", "shift", "release", "closing", "wide", *STATIONARY)
        for name in strobes:
            if hasattr(self.dut, name):
                getattr(self.dut, name).value = 0
        await reset(self.dut)
        await FallingEdge(self.dut.clk)

    async def cycle(self, step=None):
        """Play one cycle; return whether `step`, the values of the inputs, was accepted.

        Once the drain has begun a tile, it takes a row every cycle.
        """
        dut = self.dut
        started = self.rows_left and self.rows_left < self.expected[0][0]
        if not self.rows_left and int(dut.full.value):
            self.rows_left = self.expected[0][0]
        shift = bool(self.rows_left) and (started or self.random.random() >= self.patience)
        dut.shift.value = shift
        dut.release.value = shift and self.rows_left == 1
        dut.closing.value = shift and self.rows_left <= CLOSING_ROWS
        if shift:
            rows, sums = self.expected[0]
            assert int(dut.full.value)
            width = self.config.array.accumulator_width
            assert int(dut.row.value) == pack(sums[rows - self.rows_left], width)
            self.rows_left -= 1
            if not self.rows_left:
                self.expected.popleft()
        # `ready` depends on what the drain does in the same cycle.
        await Timer(1, "ns")
        accepted = step is not None and (not step["first"] or bool(int(dut.ready.value)))
        dut.step.value = accepted
        for name, value in (step or {}).items():
            getattr(dut, name).value = value
        await FallingEdge(dut.clk)
        return accepted

    async def tile(self, steps, rows, pause):
        """Give the steps of a tile, `rows` of which will be taken."""
        array = self.config.array
        random_numbers = np.random.default_rng(self.random.getrandbits(32))
        shape = (steps, array.rows, array.block)
        a = random_numbers.integers(-128, 128, shape).astype(np.int8)
        b = random_numbers.integers(-128, 128, (steps, array.columns)).astype(np.int8)
        indices = random_numbers.integers(0, array.block, (steps, array.columns))
        lows = random_numbers.integers(0, 1 << PLANE_BITS, shape[:2])
        wide = (random_numbers.random(steps) < 0.5) & array.wide_rows
        indices[wide] = 0
        for step in range(steps):
            inputs = {
                "first": step == 0,
                "last": step == steps - 1,
                "activations": pack(a[step].reshape(-1), 8),
                "weights": pack(b[step], 8),
            }
            if array.block > 1:
                inputs["indices"] = pack(indices[step], (array.block - 1).bit_length())
            if array.wide_rows:
                inputs |= {"wide": int(wide[step]), "lows": pack(lows[step], PLANE_BITS)}
            while self.random.random() < pause:
                await self.cycle()
            for _ in range(1000):
                if await self.cycle(inputs):
                    break
            else:
                raise AssertionError("the grid does not take another tile")
        multiplied = a.astype(np.int16)
        multiplied[wide, :, 0] = from_planes(a[wide, :, 0], lows[wide].astype(np.int8))
        self.expected.append((rows, select(multiplied, b, indices, array.accumulator_width)))

    async def finish(self):
        """Take what is left."""
        for _ in range(1000):
            if not self.expected:
                break
            await self.cycle()
        await self.cycle()
        assert not self.expected and int(self.dut.idle.value)


@cocotb.test()
async def accumulates(dut):
    """Tiles of any length give the sums of the golden model, whenever they are taken."""
    bench = Bench(dut, "accumulates")
    await bench.start()
    rows = bench.config.array.rows
    for _ in range(parameters()["tiles"]):
        steps = bench.random.choice((1, 1, 2, 3, rows, bench.random.randint(1, 40)))
        bench.patience = bench.random.choice((0.0, 0.5, 0.95))
        await bench.tile(steps, bench.random.randint(1, rows), bench.random.choice((0, 0, 0.5)))
    await bench.finish()


class Stream:
    """Stationary tiles that vectors pass, each loaded while vectors pass the one before.

    With a `delay` nothing pauses: R vectors pass a tile, and the first row of the next one is
    loaded that many cycles after the first vector, so that the last may come R - 1 later than it.
    """

    def __init__(self, bench, delay=None):
        self.bench = bench
        self.dut = bench.dut
        self.config = bench.config
        self.numbers = np.random.default_rng(bench.random.getrandbits(32))
        self.delay = delay
        self.to_load: deque[tuple[int, np.ndarray] | tuple[None, None]] = deque()
        self.given: deque[np.ndarray | None] = deque([None] * (stream_latency(self.config) - 1))

    async def cycle(self, vector=None, swap=False):
        """Give a vector, or none, load a row, and look at the sums that leave."""
        array, dut = self.config.array, self.dut
        row = None
        if self.to_load and (self.delay is not None or self.bench.random.random() < 0.8):
            row, weights = self.to_load.popleft()
        dut.load.value = row is not None
        if row is not None:
            dut.load_row.value = row
            dut.weights.value = pack(weights, 8)
        dut.stream.value = vector is not None
        dut.swap.value = swap
        activations = np.zeros((array.rows, array.block), dtype=np.int8)
        if vector is not None:
            activations[:, 0] = vector
        dut.activations.value = pack(activations.reshape(-1), 8)
        expected = None
        if vector is not None:
            expected = chain(vector, self.weights, array.accumulator_width)
        self.given.append(expected)
        await FallingEdge(dut.clk)
        expected = self.given.popleft()
        if expected is not None:
            # Sums are shown in the cycle that this edge lies in.
            assert int(dut.sums.value) == pack(expected, array.accumulator_width)

    def load(self, delay=0):
        """Queue the rows of the next tile, after a delay in cycles; return its weights."""
        array = self.config.array
        weights = self.numbers.integers(-128, 128, (array.rows, array.columns)).astype(np.int8)
        self.to_load.extend([(None, None)] * delay)
        self.to_load.extend(enumerate(weights))
        return weights

    async def run(self, tiles):
        """Let vectors pass so many tiles."""
        random, rows = self.bench.random, self.config.array.rows
        hurry = self.delay is not None
        following = self.load()
        while self.to_load:
            await self.cycle()
        for _ in range(tiles):
            while self.to_load and not hurry:
                await self.cycle()
            count = rows if hurry else random.choice((1, 2, rows, random.randint(1, 30)))
            for place in range(count):
                while not hurry and random.random() < 0.2:
                    await self.cycle()
                if place == 0:
                    self.weights = following
                    following = self.load(self.delay - len(self.to_load) if hurry else 0)
                vector = self.numbers.integers(-128, 128, rows).astype(np.int8)
                await self.cycle(vector, swap=place == 0)
                assert not int(self.dut.idle.value)
        for _ in range(stream_latency(self.config) + 1):
            await self.cycle()
        assert int(self.dut.idle.value)


@cocotb.test()
async def streams(dut):
    """Vectors that pass a stationary tile leave as its sums, between output stationary tiles."""
    bench = Bench(dut, "streams")
    await bench.start()
    rows = bench.config.array.rows
    for delay in (None, 0, None, rows - 1, bench.random.randrange(rows)):
        await bench.tile(bench.random.randint(1, 20), rows, 0.2)
        await bench.finish()
        dut.stationary.value = 1
        if bench.config.array.wide_rows:
            dut.wide.value = 0
        if bench.config.array.block > 1:
            dut.indices.value = 0
        await bench.cycle()
        await Stream(bench, delay).run(parameters()["tiles"] // 8)
        dut.stationary.value = 0
        await bench.cycle()
