"""Bench of the grid: random tiles, pauses and a drain that starts when it likes."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, Timer

from ...hw.grid import CLOSING_ROWS
from ..golden.matmul import accumulate
from ..parameters import generator, parameters
from .requantise import pack
from .unit import configuration, reset


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
        for name in ("step", "first", "last", "shift", "release", "closing"):
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
        a = random_numbers.integers(-128, 128, (array.rows, steps)).astype(np.int8)
        b = random_numbers.integers(-128, 128, (array.columns, steps)).astype(np.int8)
        for step in range(steps):
            inputs = {
                "first": step == 0,
                "last": step == steps - 1,
                "activations": pack(a[:, step], 8),
                "weights": pack(b[:, step], 8),
            }
            while self.random.random() < pause:
                await self.cycle()
            for _ in range(1000):
                if await self.cycle(inputs):
                    break
            else:
                raise AssertionError("the grid does not take another tile")
        self.expected.append((rows, accumulate(a, b, array.accumulator_width)))

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
