"""Bench of the compressed operand: random matrices, right and wrong, in a scratchpad of noise."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from ...hw.compressed_operand import matrix_layout, vector_layout
from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode
from ...hw.ports import fault_layout
from ...sw.sparsity import bitmap, prune, slots
from ..golden.compressed_operand import Vectors, WrongPieceError, read_vectors
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .line_memory import LineMemory, noise
from .unit import CYCLE_LIMIT, configuration

SLOTS, COLUMNS, ROWS = "slots", "columns", "rows"
"""Formats: slots, bitmaps whose vectors are as long as the array has columns, or rows."""


@dataclass
class Compressed:
    """A compressed matrix and where it lies."""

    words: np.ndarray
    form: str
    pieces: int
    length: int
    passes: int = 1
    address: int = 0
    index: int = 0

    def bits(self, config: AcceleratorConfig) -> int:
        """Return the payload of `matrix`."""
        fields = {
            "address": self.address,
            "words": len(self.words),
            "bitmap": self.form != SLOTS,
            "pieces": self.pieces,
            "passes": self.passes,
            "length": self.length,
            "rows": self.form == ROWS,
            "index": self.index,
        }
        return matrix_layout(config).const(fields).as_bits()

    def read(self, config: AcceleratorConfig) -> list[Vectors]:
        """Return the pieces of one pass; errors as `read_vectors`."""
        array = config.array
        vector = array.rows if self.form == ROWS else array.columns
        is_bitmap = self.form != SLOTS
        return read_vectors(self.words, is_bitmap, self.pieces, self.length, vector, array.block)


def compress(weights: np.ndarray, form: str, config: AcceleratorConfig) -> Compressed:
    """Compress int8 `weights` [n, k]."""
    array = config.array
    if form == SLOTS:
        tiles = slots.encode(weights, array.columns, array.block)
        return Compressed(tiles.pack(), form, len(tiles.tiles), tiles.blocks)
    axis: bitmap.Axis = "k" if form == ROWS else "n"
    strips = bitmap.encode(weights, array.rows if form == ROWS else array.columns, axis)
    return Compressed(strips.pack(), form, len(strips.strips), strips.length)


def expected(pieces: list[Vectors], config: AcceleratorConfig) -> list[tuple]:
    """Return what the block gives for these pieces: (elements, indices, place, last, empty)."""
    columns = config.array.columns
    longest = max(config.array.rows, columns)
    vectors = []
    for places, indices, elements in pieces:
        count = len(places)
        if not count:
            vectors.append(((0,) * longest, (0,) * columns, 0, 1, 1))
        for number in range(count):
            padded = np.zeros(longest, dtype=np.int64)
            padded[: elements.shape[1]] = elements[number]
            # Bitmaps have no indices, whatever the length of a vector.
            own = indices[number] if elements.shape[1] == columns else np.zeros(columns, np.int64)
            last = int(number == count - 1)
            vectors.append((tuple(padded), tuple(own), int(places[number]), last, 0))
    return vectors


class Bench:
    """A compressed operand between a source of matrices, a memory and a consumer."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.numbers = np.random.default_rng(self.random.getrandbits(32))
        self.scratchpad = Scratchpad(self.config)
        self.matrices: deque[Compressed] = deque()
        self.given: list[tuple] = []
        self.times: list[int] = []
        self.cycle = 0
        self.refusal = 0.0
        self.patience = 1.0
        self._layout = vector_layout(self.config)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.memory = LineMemory(
            dut, self.scratchpad, ("read",), (), lambda: self.random.random() < self.refusal
        )
        dut.matrix_valid.value = 0
        dut.vectors_ready.value = 0
        cocotb.start_soon(self._offer())
        cocotb.start_soon(self._take())

    async def reset(self) -> None:
        """Reset the block and forget everything; the scratchpad is full of noise."""
        self.matrices.clear()
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        noise(self.scratchpad, self.random)
        self.refusal = self.random.choice((0.0, 0.0, 0.2, 0.7))
        self.patience = self.random.choice((1.0, 1.0, 0.7, 0.2))
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.given.clear()
        self.times.clear()

    @property
    def fault(self) -> tuple | None:
        """Code, instruction and address of the fault, if there is one."""
        fields = fault_layout.from_bits(int(self.dut.fault.value))
        return (ErrorCode(fields.code), fields.index, fields.address) if fields.valid else None

    def place(self, matrix: Compressed, start: int) -> int:
        """Put `matrix` into the scratchpad at `start`; return its end."""
        matrix.address = start
        matrix.index = self.random.getrandbits(16)
        end = start + len(matrix.words)
        self.scratchpad.words[start:end] = matrix.words
        self.matrices.append(matrix)
        return end

    def weights(self, longest: int) -> np.ndarray:
        """Return random weights, up to `longest` one way and a quarter of it the other."""
        random = self.random
        shape = [random.choice((1, 4, random.randint(1, size))) for size in (longest, longest // 4)]
        random.shuffle(shape)
        density = random.choice((0.0, 0.02, 0.1, 0.3, 0.6, 1.0))
        weights = self.numbers.integers(-128, 128, shape)
        return (weights * (self.numbers.random(shape) < density)).astype(np.int8)

    async def finish(self, count: int = CYCLE_LIMIT) -> None:
        """Wait for `count` vectors or a fault, `CYCLE_LIMIT` cycles at most."""
        for _ in range(CYCLE_LIMIT):
            await RisingEdge(self.dut.clk)
            if len(self.given) >= count or self.fault is not None:
                return
        raise AssertionError(f"nothing happened; {len(self.given)} vectors, fault {self.fault}")

    async def _offer(self) -> None:
        while True:
            offered = bool(self.matrices)
            if offered:
                self.dut.matrix_payload.value = self.matrices[0].bits(self.config)
            self.dut.matrix_valid.value = offered
            await RisingEdge(self.dut.clk)
            if offered and self.matrices and int(self.dut.matrix_ready.value):
                self.matrices.popleft()

    async def _take(self) -> None:
        while True:
            ready = self.random.random() < self.patience
            self.dut.vectors_ready.value = ready
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            if ready and int(self.dut.vectors_valid.value):
                vector = self._layout.from_bits(int(self.dut.vectors_payload.value))
                columns = range(self.config.array.columns)
                longest = range(max(self.config.array.rows, len(columns)))
                self.given.append(
                    (
                        tuple(vector.elements[element] for element in longest),
                        tuple(vector.indices[column] for column in columns),
                        vector.place,
                        vector.last,
                        vector.empty,
                    )
                )
                self.times.append(self.cycle)


@cocotb.test()
async def gives_the_vectors(dut: Any) -> None:
    """Matrices of every format, one after another, give the vectors of the golden model."""
    bench = Bench(dut, "vectors")
    for _ in range(parameters()["rounds"]):
        await bench.reset()
        vectors: list[tuple] = []
        end = 0
        for _ in range(bench.random.randint(1, 4)):
            weights = bench.weights(parameters()["longest"])
            matrix = compress(weights, bench.random.choice(parameters()["forms"]), bench.config)
            highest = bench.config.scratchpad_words - len(matrix.words)
            if highest < end:
                break
            matrix.passes = bench.random.choice((1, 1, 2, 3))
            start = bench.random.choice((end, min(end + bench.random.randrange(9), highest)))
            end = bench.place(matrix, bench.random.choice((start, start, start, highest)))
            vectors += expected(matrix.read(bench.config), bench.config) * matrix.passes
        await bench.finish(len(vectors))
        assert bench.given == vectors
        for _ in range(20):
            await RisingEdge(dut.clk)
        assert len(bench.given) == len(vectors) and bench.fault is None


def spoil(words: np.ndarray, bench: Bench) -> np.ndarray:
    """Return words with something wrong in them, probably."""
    random = bench.random
    words = words.copy()
    match random.randrange(5):
        case 0:
            return bench.numbers.integers(0, 1 << 64, len(words), dtype=np.uint64)
        case 1:
            return words[: random.randint(1, len(words))]
        case 2:
            return np.append(words, np.uint64(random.choice((0, random.getrandbits(64)))))
        case 3:
            words[random.randrange(len(words))] = random.choice((0, 1, (1 << 64) - 1, 1 << 32))
    for _ in range(random.choice((1, 1, 1, 5))):
        words[random.randrange(len(words))] ^= np.uint64(1 << random.randrange(64))
    return words


def right_vectors(matrix: Compressed, error: WrongPieceError, config: AcceleratorConfig):
    """Return the vectors of the pieces before the wrong one."""
    if not error.piece:
        return []
    before = replace(matrix, words=matrix.words[: error.offset], pieces=error.piece)
    return expected(before.read(config), config)


@cocotb.test()
async def refuses_what_is_wrong(dut: Any) -> None:
    """Words with errors give a fault at the first wrong piece, and all vectors before that."""
    bench = Bench(dut, "errors")
    refused = 0
    for _ in range(parameters()["spoilt"]):
        await bench.reset()
        form = bench.random.choice(parameters()["forms"])
        first = compress(bench.weights(20), form, bench.config)
        vectors = expected(first.read(bench.config), bench.config)
        matrix = compress(bench.weights(160), form, bench.config)
        matrix.words = spoil(matrix.words, bench)
        bench.place(matrix, bench.place(first, bench.random.randrange(100)))
        try:
            vectors += expected(matrix.read(bench.config), bench.config)
        except WrongPieceError as error:
            refused += 1
            await bench.finish()
            address = matrix.address + error.offset
            assert bench.fault == (ErrorCode.COMPRESSED_OPERAND, matrix.index, address)
            for _ in range(100):
                await RisingEdge(dut.clk)
            vectors += right_vectors(matrix, error, bench.config)
            assert bench.given[: len(vectors)] == vectors
            # Of the wrong piece nothing may look like its end.
            assert not any(last for *_, last, _ in bench.given[len(vectors) :])
        else:
            await bench.finish(len(vectors))
            assert bench.given == vectors and bench.fault is None
    assert refused


@cocotb.test()
async def a_reset_forgets_everything(dut: Any) -> None:
    """After a reset at any time, while lines are on their way, the next matrix is right."""
    bench = Bench(dut, "reset")
    for _ in range(parameters()["rounds"]):
        await bench.reset()
        forms = parameters()["forms"]
        bench.place(compress(bench.weights(100), bench.random.choice(forms), bench.config), 0)
        for _ in range(bench.random.randrange(60)):
            await RisingEdge(dut.clk)
        await bench.reset()
        matrix = compress(bench.weights(20), bench.random.choice(forms), bench.config)
        bench.place(matrix, 0)
        vectors = expected(matrix.read(bench.config), bench.config)
        await bench.finish(len(vectors))
        assert bench.given == vectors and bench.fault is None


def utilisation(bench: Bench) -> float:
    """Return vectors a cycle from the first to the last."""
    return len(bench.times) / (bench.times[-1] - bench.times[0] + 1)


@cocotb.test()
async def gives_a_vector_a_cycle(dut: Any) -> None:
    """Without refusals, only the ends of small pieces cost cycles."""
    bench = Bench(dut, "throughput")
    for name, limit in parameters()["throughput"].items():
        n, k, form, kept = name.split()
        weights = bench.numbers.integers(1, 128, (int(n), int(k))).astype(np.int8)
        if ":" in kept:
            weights = prune.prune_n_of_m(weights, *map(int, kept.split(":")))
        else:
            weights = prune.prune_unstructured(weights, float(kept))
        await bench.reset()
        bench.refusal, bench.patience = 0.0, 1.0
        matrix = compress(weights, form, bench.config)
        bench.place(matrix, 0)
        vectors = expected(matrix.read(bench.config), bench.config)
        await bench.finish(len(vectors))
        assert bench.given == vectors
        dut._log.info(f"{name}: {len(vectors)} vectors, {utilisation(bench):.3f} a cycle")
        assert utilisation(bench) >= limit, f"{name}: {utilisation(bench)}"
