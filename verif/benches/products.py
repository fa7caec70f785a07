"""Random MATMUL instructions with their operands, for the benches of the array."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ...hw.isa import (
    COMPRESSED_A_FLOWS,
    COMPRESSED_B_FLOWS,
    SPARSE_OUTPUT_FLOWS,
    STATIONARY_FLOWS,
    Flow,
    Opcode,
)
from ...sw.instruction import Instruction
from ...sw.scale import ScaleVector
from ...sw.sparsity import bitmap, slots
from ..golden.matmul_check import is_compressed
from ..golden.operands import Matrix, scales, write_scales
from ..golden.scratchpad import Scratchpad
from ..golden.softmax import PLANE_BITS

DENSITIES = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.95, 1)
"""Shares of non-zeros in a compressed operand."""

LONGEST = 300
"""Largest m, n and k that are drawn."""

MOST_STEPS = 4000
"""Products with more multiplications than the whole array makes in so many cycles are not drawn."""

PRIMES = (2, 3, 5, 7, 13, 31, 61, 127, 251)


@dataclass
class Allocator:
    """Places matrices one after the other, with random gaps, in the words from `next` to `end`."""

    config: AcceleratorConfig
    generator: random.Random
    next: int = 0
    end: int | None = None

    def matrix(self, rows: int, columns: int, dtype: str, *, skewed: bool) -> Matrix:
        """Return a free place; skewed ones have a pitch of 1 modulo the lanes.

        Raises
        ------
        ValueError
            If there is none.
        """
        lanes = self.config.lanes
        words = -(-columns * np.dtype(dtype).itemsize // WORD_BYTES)
        pitch = words + self.generator.choice((0, 0, 1, lanes))
        if skewed:
            pitch += (1 - pitch) % lanes
        address = self.next + self.generator.randrange(4)
        self.next = address + (rows - 1) * pitch + words
        if self.next > (self.end or self.config.scratchpad_words):
            raise ValueError(f"{rows} x {columns} {dtype} do not fit the scratchpad")
        return Matrix(rows, columns, dtype, address, pitch)

    def words(self, count: int) -> int:
        """Return the address of `count` free words; errors as `matrix`."""
        return self.matrix(1, count, "uint64", skewed=False).address


@dataclass
class Product:
    """One product: what it multiplies and where that lies.

    `density` is that of the compressed operand of a sparse flow, which is zero beyond the share
    `reach` of K; dense operands have no zeros to speak of. Pitch and orientation of a compressed
    operand are noise. A of a `wide` product has two planes, the lower one with noise in the bit
    that means nothing.
    """

    m: int
    n: int
    k: int
    a_transposed: bool = False
    b_transposed: bool = False
    fraction: int = 0
    residual: bool = False
    in_place: bool = False
    flow: Flow = Flow.DENSE_OUTPUT_STATIONARY
    y_transposed: bool = False
    density: float = 1
    reach: float = 1
    wide: bool = False
    fields: dict[str, int] = field(default_factory=dict)

    def place(self, allocator: Allocator, scratchpad: Scratchpad) -> Instruction:
        """Find room, write operands and scales, and return the instruction.

        Raises
        ------
        ValueError
            If it does not fit behind what `allocator` has placed, which then is as before.
        """
        before = allocator.next
        try:
            return self._place(allocator, scratchpad)
        except ValueError:
            allocator.next = before
            raise

    def _place(self, allocator: Allocator, scratchpad: Scratchpad) -> Instruction:
        random_numbers = np.random.default_rng(allocator.generator.getrandbits(32))
        values: dict[str, int] = {
            "flow": self.flow.value,
            "m": self.m,
            "n": self.n,
            "k": self.k,
            "fraction": self.fraction,
            "a_transposed": int(self.a_transposed),
            "b_transposed": int(self.b_transposed),
            "y_transposed": int(self.y_transposed),
            "residual_enable": int(self.residual),
            "wide": int(self.wide),
        }
        for name in "ab":
            values |= self._operand(name, allocator, scratchpad, random_numbers)
        for name, length in (("row", self.m), ("column", self.n)):
            address = allocator.words(length)
            write_scales(scales(length, address), scratchpad, self._scales(random_numbers, length))
            values[f"{name}_scale_address"] = address
        shape = (self.n, self.m) if self.y_transposed else (self.m, self.n)
        y = allocator.matrix(*shape, "int16", skewed=self.y_transposed)
        residual = y
        if self.residual and not self.in_place:
            residual = allocator.matrix(*shape, "int16", skewed=self.y_transposed)
        values |= {"y_address": y.address, "y_pitch": y.pitch}
        values |= {"residual_address": residual.address, "residual_pitch": residual.pitch}
        if self.residual:
            residual.write(
                scratchpad, random_numbers.integers(-(1 << 15), 1 << 15, shape).astype(np.int16)
            )
        return Instruction(Opcode.MATMUL, values | self.fields)

    def _operand(
        self,
        name: str,
        allocator: Allocator,
        scratchpad: Scratchpad,
        random_numbers: np.random.Generator,
    ) -> dict[str, int]:
        """Write operand `name`; return the fields that say where."""
        shape = (self.m if name == "a" else self.n, self.k)
        matrix = random_numbers.integers(-128, 128, shape).astype(np.int8)
        if is_compressed(self.flow, name):
            matrix[random_numbers.random(shape) >= self.density] = 0
            matrix[:, math.ceil(self.reach * self.k) :] = 0
            words = compress(matrix, self.flow, scratchpad.config)
            address = allocator.words(len(words))
            scratchpad.words[address : address + len(words)] = words
            pitch = int(random_numbers.integers(1 << 16))
            values = {"compressed_words": len(words)}
        else:
            stored = matrix.T if getattr(self, f"{name}_transposed") else matrix
            rows, columns = stored.shape
            place = allocator.matrix(rows, columns, "int8", skewed=True)
            place.write(scratchpad, stored)
            address, pitch, values = place.address, place.pitch, {}
            if name == "a" and self.wide:
                values = self._lower_plane(place, allocator, scratchpad, random_numbers)
        return values | {f"{name}_address": address, f"{name}_pitch": pitch}

    def _lower_plane(
        self,
        upper: Matrix,
        allocator: Allocator,
        scratchpad: Scratchpad,
        random_numbers: np.random.Generator,
    ) -> dict[str, int]:
        """Write the lower plane of A behind `upper`; return the field that says where."""
        last_word = (upper.rows - 1) * upper.pitch + upper.words
        distance = allocator.words(last_word) - upper.address
        low = replace(upper, address=upper.address + distance)
        values = random_numbers.integers(-128, 128, (low.rows, low.columns)).astype(np.int8)
        low.write(scratchpad, values)
        return {"plane_words": distance}

    def _scales(self, random_numbers: np.random.Generator, length: int) -> ScaleVector:
        """Return scales with which results fill 16 bits and sometimes leave them."""
        terms = max(1, self.k * self.density)
        bits = 12 + PLANE_BITS * self.wide
        magnitude = (12 - self.fraction - np.log2(2.0**bits * np.sqrt(terms))) / 2
        values = 2.0 ** (magnitude + random_numbers.normal(0, 1, length))
        values[random_numbers.random(length) < 0.05] = 0
        bias = random_numbers.integers(-2000, 2000, length)
        return ScaleVector.from_float(values, bias)


def compress(matrix: NDArray[np.int8], flow: Flow, config: AcceleratorConfig) -> NDArray[np.uint64]:
    """Return the words of the compressed operand `matrix`, int8 [m or n, k], of a sparse flow."""
    array = config.array
    if flow == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY:
        return slots.encode(matrix, array.columns, array.block).pack()
    if flow in COMPRESSED_A_FLOWS:
        return bitmap.encode(matrix, array.rows, "k").pack()
    return bitmap.encode(matrix, array.columns, "n").pack()


def random_product(generator: random.Random, config: AcceleratorConfig, flow: Flow) -> Product:
    """Return a product of odd shape that `flow` takes.

    A side is up to `LONGEST` and as likely to be small as large, so that many products fit side
    by side; primes, 1 and what is just off a tile are frequent.
    """
    array = config.array
    is_sparse = flow in COMPRESSED_A_FLOWS or flow in COMPRESSED_B_FLOWS
    y_transposed = generator.random() < 0.4
    residual = generator.random() < 0.5
    can_be_wide = config.array.wide_rows and flow == Flow.DENSE_OUTPUT_STATIONARY
    wide = can_be_wide and generator.random() < 0.5
    m, n, k = _shape(generator, config, flow)
    while m * n * k > MOST_STEPS * array.rows * array.columns:
        m, n, k = _shape(generator, config, flow)
    can_be_transposed = flow != Flow.SPARSE_WEIGHT_STATIONARY and not wide
    return Product(
        m,
        n,
        k,
        a_transposed=can_be_transposed and generator.random() < 0.5,
        b_transposed=generator.random() < 0.5,
        fraction=generator.randint(-4, 4),
        residual=residual,
        in_place=residual and generator.random() < 0.5,
        flow=flow,
        y_transposed=y_transposed,
        density=generator.choice(DENSITIES) if is_sparse else 1,
        reach=generator.choice((1, 1, 1, 0.1)),
        wide=wide,
    )


def _shape(generator: random.Random, config: AcceleratorConfig, flow: Flow) -> tuple[int, int, int]:
    array = config.array
    most_m = array.partial_rows if flow in STATIONARY_FLOWS else LONGEST
    most_k = array.block * array.panel_blocks if flow in SPARSE_OUTPUT_FLOWS else LONGEST
    return (
        _side(generator, config, min(most_m, LONGEST)),
        _side(generator, config, LONGEST),
        _side(generator, config, min(most_k, LONGEST)),
    )


def _side(generator: random.Random, config: AcceleratorConfig, limit: int) -> int:
    array = config.array
    edge = generator.choice((array.rows, array.columns, array.block, config.chunk))
    edge = edge * generator.choice((1, 1, 2, 3)) + generator.choice((-1, 0, 1))
    spread = int(limit ** generator.random()) + generator.randrange(5)
    usual = (1, generator.choice(PRIMES), edge, spread, spread)
    side = generator.choice((*usual * 4, limit))
    return min(limit, max(1, side))


def random_products(
    generator: random.Random,
    scratchpad: Scratchpad,
    flows: Sequence[Flow],
    count: int,
) -> list[tuple[Product, Instruction]]:
    """Place up to `count` random products of `flows`, at least one, side by side."""
    allocator = Allocator(scratchpad.config, generator)
    placed: list[tuple[Product, Instruction]] = []
    failures = 0
    while len(placed) < count and (failures < 3 or not placed):
        product = random_product(generator, scratchpad.config, generator.choice(flows))
        try:
            placed.append((product, product.place(allocator, scratchpad)))
        except ValueError:
            failures += 1
    return placed
