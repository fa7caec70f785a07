"""Bench of the array's drain: random results, both orders of tiles, refusals, pauses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.triggers import FallingEdge, RisingEdge
from numpy.typing import NDArray

from ...hw.grid import CLOSING_ROWS
from ...hw.isa import SPARSE_OUTPUT_FLOWS, Flow, Matmul, Opcode
from ...sw.instruction import Instruction
from ..golden.operands import Matrix, scales, write_scales
from ..golden.requantise import requantise
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .line_memory import LineMemory, noise
from .products import Allocator
from .requantise import pack, random_accumulator, random_scales
from .unit import configuration, reset

CYCLE_LIMIT = 20_000


@dataclass
class Result:
    """One product after its multiplication: an instruction and what the array has added up."""

    instruction: Instruction
    accumulators: NDArray[np.int64]
    y: Matrix

    def tiles(self, rows: int, columns: int) -> Iterator[NDArray[np.int64]]:
        """Yield the tiles in the order of the instruction's flow."""
        m, n = self.accumulators.shape
        places = [(i, j) for j in range(0, n, columns) for i in range(0, m, rows)]
        if self.instruction["flow"] in SPARSE_OUTPUT_FLOWS:
            places.sort()
        for i, j in places:
            tile = self.accumulators[i : i + rows, j : j + columns]
            # The columns beyond the last have sums that mean nothing.
            yield np.pad(tile, ((0, 0), (0, columns - tile.shape[1])), constant_values=-77)


class Bench:
    """A drain between an array that has finished its tiles and a scratchpad full of noise."""

    def __init__(self, dut, name):
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.actual = Scratchpad(self.config)
        noise(self.actual, self.random)
        self.expected = Scratchpad(self.config)
        self.results: list[Result] = []
        self.tiles: deque[NDArray[np.int64]] = deque()
        self.done = 0
        self.shifts: list[bool] = []

    async def start(self, refusals=0.0, pauses=0.0):
        """Reset the drain and begin to serve it; `pauses` lie between instructions and tiles."""
        dut = self.dut
        dut.full_next.value = 0
        dut.instruction_valid.value = 0
        memory = ("read",), ("write",)
        LineMemory(dut, self.actual, *memory, lambda: self.random.random() < refusals)
        await reset(dut)
        self.pauses = pauses
        cocotb.start_soon(self._show_rows())
        cocotb.start_soon(self._watch())

    def place(self, m, n, *, transposed=False, flow=Flow.DENSE_OUTPUT_STATIONARY, residual="none"):
        """Find room for a result, write its scales and residual, and compute what is expected.

        `residual`: none, other (a matrix of its own), own (Y) or before (Y of the one before).
        """
        shape = (n, m) if transposed else (m, n)
        y = self.allocator.matrix(*shape, "int16", skewed=transposed)
        values = {"m": m, "n": n, "k": 1, "y_address": y.address, "y_pitch": y.pitch}
        values |= {"flow": flow, "y_transposed": int(transposed)}
        values["fraction"] = self.random.randint(-4, 4)
        vectors = {}
        for name, length in (("row", m), ("column", n)):
            vectors[name] = random_scales(self.random, length)
            address = self.allocator.matrix(length, 1, "uint64", skewed=False).address
            self.allocator.next = address + length
            write_scales(scales(length, address), self.actual, vectors[name])
            values[f"{name}_scale_address"] = address
        width = self.config.array.accumulator_width
        drawn = [random_accumulator(self.random, width) for _ in range(m * n)]
        accumulators = np.array(drawn, dtype=np.int64).reshape(m, n)
        added = self._residual(shape, y, residual, transposed)
        if added:
            values |= {"residual_enable": 1, "residual_address": added.address}
            values["residual_pitch"] = added.pitch
        result = Result(Instruction(Opcode.MATMUL, values), accumulators, y)
        self.results.append(result)
        return result, vectors, added

    def _residual(self, shape, y, kind, transposed):
        if kind == "none":
            return None
        if kind == "before":
            return self.results[-1].y
        rows, columns = shape
        place = y
        if kind != "own":
            place = self.allocator.matrix(rows, columns, "int16", skewed=transposed)
        drawn = np.frombuffer(self.random.randbytes(2 * rows * columns), dtype=np.int16)
        place.write(self.actual, drawn.reshape(shape))
        return place

    async def run(self, wanted):
        """Drain results of the given arguments of `place`, and compare the whole memory."""
        self.allocator = Allocator(self.config, self.random)
        self.results.clear()
        self.done = 0
        placed = [self.place(*shape, **options) for shape, options in wanted]
        self.expected.bytes[:] = self.actual.bytes
        for result, vectors, added in placed:
            turned = result.instruction["y_transposed"]
            residual = None
            if added:
                read = added.read(self.expected)
                residual = read.T if turned else read
            values = requantise(
                result.accumulators,
                vectors["row"],
                vectors["column"],
                result.instruction["fraction"],
                residual,
            )
            result.y.write(self.expected, values.T if turned else values)
        for result in self.results:
            await self._issue(result.instruction)
            array = self.config.array
            self.tiles.extend(result.tiles(array.rows, array.columns))
        for _ in range(CYCLE_LIMIT):
            if self.done == len(self.results):
                break
            await RisingEdge(self.dut.clk)
        assert self.done == len(self.results) and not self.tiles
        assert np.array_equal(self.actual.bytes, self.expected.bytes)

    async def _issue(self, instruction):
        dut = self.dut
        while self.random.random() < self.pauses:
            await RisingEdge(dut.clk)
        bits = int.from_bytes(instruction.encode(), "little")
        dut.instruction_payload.value = bits & (1 << data.Layout.cast(Matmul).size) - 1
        dut.instruction_valid.value = 1
        for _ in range(CYCLE_LIMIT):
            await RisingEdge(dut.clk)
            if int(dut.instruction_ready.value):
                break
        dut.instruction_valid.value = 0

    async def _show_rows(self):
        """Play the grid: a tile is full, its rows are taken in turn, the next may be full.

        What is full in the next cycle depends on `release`, hence on the second half of a cycle.
        """
        dut = self.dut
        turns = self.config.array.drain_turns
        width = self.config.array.accumulator_width
        shown = False
        while True:
            while not shown:
                await FallingEdge(dut.clk)
                shown = bool(self.tiles) and self.random.random() >= self.pauses
                dut.full_next.value = int(shown)
                await RisingEdge(dut.clk)
                assert not int(dut.shift.value)
            tile = self.tiles.popleft()
            left, waited, closing = len(tile), 0, 0
            while left:
                dut.row.value = pack(tile[-left], width)
                await FallingEdge(dut.clk)
                if int(dut.release.value):
                    shown = bool(self.tiles) and self.random.random() >= self.pauses
                dut.full_next.value = int(shown)
                await RisingEdge(dut.clk)
                waited += 1
                shift = bool(int(dut.shift.value))
                begun = left < len(tile)
                assert not begun or shift == (waited == turns), "the drain stopped inside a tile"
                assert bool(int(dut.release.value)) == (shift and left == 1)
                closing += int(dut.closing.value)
                if shift:
                    left, waited = left - 1, 0
            assert closing == min(CLOSING_ROWS, turns * len(tile))

    async def _watch(self):
        """Check at each `done` that the whole of the oldest result is there."""
        while True:
            await RisingEdge(self.dut.clk)
            self.shifts.append(bool(int(self.dut.shift.value)))
            if int(self.dut.done.value):
                y = self.results[self.done].y
                assert np.array_equal(y.read(self.actual), y.read(self.expected))
                self.done += 1


def random_results(bench):
    """Return arguments of `Bench.place` for a few results of odd shapes."""
    random, array = bench.random, bench.config.array
    wanted = []
    for _ in range(6):
        m, n = (
            random.choice((1, 2, size - 1, size, size + 1, 2 * size + 3, random.randint(1, 13)))
            for size in (array.rows, array.columns)
        )
        options = {"transposed": random.random() < 0.5, "flow": random.choice(list(Flow))}
        options["residual"] = random.choice(("none", "other", "own"))
        wanted.append(((m, n), options))
    return wanted


@cocotb.test()
async def writes_results(dut):
    """Results of any shape are where they belong at `done`, and nothing else is written."""
    bench = Bench(dut, "writes")
    await bench.start(parameters()["refusals"], parameters()["refusals"])
    for _ in range(parameters()["rounds"]):
        await bench.run(random_results(bench))


@cocotb.test()
async def adds_to_results_before(dut):
    """A residual that is the result before is read once all of that is there."""
    bench = Bench(dut, "adds")
    await bench.start(parameters()["refusals"])
    rows, columns = bench.config.array.rows, bench.config.array.columns
    for flow in (Flow.DENSE_OUTPUT_STATIONARY, *SPARSE_OUTPUT_FLOWS):
        for m in (1, rows, 2 * rows + 1):
            shape = (m, columns + 3)
            options = {"flow": flow}
            for transposed in (False, True):
                turned = options | {"transposed": transposed}
                wanted = [(shape, turned), (shape, turned | {"residual": "before"})]
                wanted.append((shape, options | {"transposed": not transposed}))
                await bench.run(wanted)


@cocotb.test()
async def takes_a_row_a_cycle(dut):
    """Rows, tiles and instructions follow each other, without a pause if nothing is refused.

    Of products with a residual, each waits for the one before: there it is one product, whose
    tiles may take two cycles more.
    """
    bench = Bench(dut, "takes")
    await bench.start()
    rows, columns = bench.config.array.rows, bench.config.array.columns
    for flow in (Flow.DENSE_OUTPUT_STATIONARY, Flow.SPARSE_OUTPUT_STATIONARY):
        for transposed, residual in ((False, "none"), (True, "none"), (True, "other")):
            bench.shifts.clear()
            options = {"flow": flow, "transposed": transposed, "residual": residual}
            wanted = [((4 * rows, 3 * columns), options), ((5 * rows, 2 * columns), options)]
            wanted = wanted[: 2 if residual == "none" else 1]
            await bench.run(wanted)
            count = sum(shape[0] * shape[1] // columns for shape, _ in wanted)
            first = bench.shifts.index(True)
            last = len(bench.shifts) - bench.shifts[::-1].index(True)
            assert sum(bench.shifts) == count
            pauses = last - first - 1 - bench.config.array.drain_turns * (count - 1)
            allowed = 0 if residual == "none" else 2 * count // rows
            assert pauses <= allowed, f"{pauses} pauses, {options}"
