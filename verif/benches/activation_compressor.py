"""Bench of the activation compressor: random rows, pauses and refused lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.kept_shape import kept_shape_layout
from ...hw.slot_tile_memory import TILES
from ...sw.sparsity.kept import Kept
from ...sw.sparsity.tasd import Term
from ..golden.activation_compressor import compress
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .line_memory import LineMemory, noise
from .requantise import pack
from .unit import CYCLE_LIMIT, configuration, reset


def shape_bits(kept: Kept, columns: int) -> int:
    """Return the payload of `shape`."""
    advances, indices, values = kept.sections(columns)
    fields = {
        "slots": kept.slots(columns),
        "block_slots": kept.block_slots,
        "advance_words": advances,
        "index_words": indices,
        "value_words": values,
        "tile_words": 1 + advances + indices + values,
    }
    return kept_shape_layout(kept.config).const(fields).as_bits()


class Bench:
    """A compressor between a source of rows and a scratchpad of noise."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.numbers = np.random.default_rng(self.random.getrandbits(32))
        self.actual = Scratchpad(self.config)
        noise(self.actual, self.random)
        self.expected = Scratchpad(self.config)
        self.refusal = self.idle = 0.0
        self.before_row: Callable[[int], int] = lambda beats: 0
        self.rows_taken = self.tiles_written = self.stalls = 0

    async def start(self) -> None:
        """Reset the compressor and serve it."""
        for name in ("clear", "start", "valid", "first", "last", "elements"):
            getattr(self.dut, name).value = 0
        LineMemory(
            self.dut, self.actual, (), ("write",), lambda: self.random.random() < self.refusal
        )
        await reset(self.dut)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.rows_taken += int(self.dut.row_taken.value)
            self.tiles_written += int(self.dut.tile_written.value)

    def values(self, rows: int, columns: int) -> np.ndarray:
        """Return random int8 rows: with many equal magnitudes, many zeros, extremes."""
        spread = self.random.choice((1, 3, 127))
        values = self.numbers.integers(-spread, spread + 1, (rows, columns))
        return (values * (self.numbers.random((rows, columns)) < self.random.random())).astype(
            np.int8
        )

    async def run(self, kept: Kept, rows: int, columns: int) -> None:
        """Compress a block and compare the whole scratchpad."""
        values = self.values(rows, columns)
        words = kept.words(rows, columns)
        address = self.random.randrange(self.config.scratchpad_words - words + 1)
        self.expected.bytes[:] = self.actual.bytes
        self.expected.words[address : address + words] = compress(values, kept)
        dut = self.dut
        dut.keep.value, dut.log_group.value = kept.term.n, kept.log_group
        dut.shape.value = shape_bits(kept, columns)
        dut.rows.value, dut.address.value = rows, address
        await FallingEdge(dut.clk)
        dut.start.value = 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        self.rows_taken = self.tiles_written = 0
        await self._beats(values)
        tiles = -(-rows // self.config.array.columns)
        for _ in range(CYCLE_LIMIT):
            await FallingEdge(dut.clk)
            if self.tiles_written == tiles:
                break
        assert (self.rows_taken, self.tiles_written) == (rows, tiles)
        wrong = np.flatnonzero(self.actual.words != self.expected.words)
        assert not len(wrong), (
            f"{len(wrong)} wrong words, first {wrong[0] - address} of {words}: "
            f"{kept.term} of {rows} x {columns}"
        )

    async def _beats(self, values: np.ndarray) -> None:
        dut, lanes = self.dut, self.config.vector_lanes
        rows, columns = values.shape
        beats = -(-columns // lanes)
        padded = np.zeros((rows, beats * lanes), dtype=np.int8)
        padded[:, :columns] = values
        for row in range(rows):
            for _ in range(self.before_row(beats)):
                await FallingEdge(dut.clk)
            tile = row // self.config.array.columns
            while tile - self.tiles_written >= TILES:
                self.stalls += 1
                await FallingEdge(dut.clk)
            for beat in range(beats):
                while self.random.random() < self.idle:
                    await FallingEdge(dut.clk)
                dut.valid.value = 1
                dut.first.value, dut.last.value = beat == 0, beat == beats - 1
                dut.elements.value = pack(padded[row, beat * lanes :][:lanes], 8)
                await FallingEdge(dut.clk)
                dut.valid.value = 0


def terms(config: Any) -> list[Term]:
    """Return all that the compressor can keep."""
    sizes = [size for size in (2, 4, 8, 16) if size <= config.largest_kept_group]
    return [Term(n, m) for m in sizes for n in range(1, m + 1)]


@cocotb.test()
async def random_blocks(dut: Any) -> None:
    """Any N:M, any shape, pauses and refusals: the words of the golden model, and no others."""
    bench = Bench(dut, "random")
    await bench.start()
    lanes = bench.config.vector_lanes
    for _ in range(parameters()["rounds"]):
        bench.refusal = bench.random.choice((0.0, 0.3, 0.9))
        bench.idle = bench.random.choice((0.0, 0.0, 0.5))
        kept = Kept(bench.random.choice(terms(bench.config)), bench.config)
        most = bench.config.vector.kept_slots // kept.term.n * kept.term.m
        widths = (1, 2, 3, 5, 7, 13, lanes - 1, lanes, lanes + 1, 31, 8 * lanes + 1, most)
        columns = bench.random.choice([width for width in widths if width <= most])
        rows = bench.random.choice((1, 2, 3, bench.config.array.columns, 11, 37))
        if kept.words(rows, columns) <= bench.config.scratchpad_words:
            await bench.run(kept, rows, columns)


@cocotb.test()
async def every_term(dut: Any) -> None:
    """All N:M, on a shape that is a multiple of nothing."""
    bench = Bench(dut, "terms")
    await bench.start()
    for term in terms(bench.config):
        await bench.run(Kept(term, bench.config), bench.config.array.columns + 3, 53)


@cocotb.test()
async def keeps_pace(dut: Any) -> None:
    """No row waits, if each comes as fast as pass two of the vector unit has it."""
    bench = Bench(dut, "pace")
    await bench.start()
    bench.before_row = lambda beats: beats
    columns = bench.config.array.columns
    limit = bench.config.vector.kept_slots
    for term in terms(bench.config):
        width = min(12 * bench.config.vector_lanes, limit // term.n * term.m)
        await bench.run(Kept(term, bench.config), 4 * columns, width)
    assert not bench.stalls


@cocotb.test()
async def forgets(dut: Any) -> None:
    """After a clear at any moment the next block is right."""
    bench = Bench(dut, "clear")
    await bench.start()
    for _ in range(parameters()["rounds"]):
        kept = Kept(bench.random.choice(terms(bench.config)), bench.config)
        block = cocotb.start_soon(bench.run(kept, 9, 41))
        for _ in range(bench.random.randrange(1, 150)):
            await FallingEdge(dut.clk)
        block.cancel()
        dut.valid.value = dut.start.value = 0
        dut.clear.value = 1
        await FallingEdge(dut.clk)
        dut.clear.value = 0
        await bench.run(kept, 5, 23)
