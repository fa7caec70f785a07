"""Random MATMUL instructions with their operands, for the benches of the array."""

import random
from dataclasses import dataclass, field

import numpy as np

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ...hw.isa import Opcode
from ...sw.instruction import Instruction
from ...sw.scale import ScaleVector
from ..golden.operands import Matrix, scales, write_scales
from ..golden.scratchpad import Scratchpad


@dataclass
class Allocator:
    """Places matrices one after the other, with random gaps."""

    config: AcceleratorConfig
    generator: random.Random
    next: int = 0

    def matrix(self, rows: int, columns: int, dtype: str, *, skewed: bool) -> Matrix:
        """Return a free place; skewed ones have a pitch of 1 modulo the lanes."""
        lanes = self.config.lanes
        words = -(-columns * np.dtype(dtype).itemsize // WORD_BYTES)
        pitch = words + self.generator.choice((0, 0, 1, lanes))
        if skewed:
            pitch += (1 - pitch) % lanes
        address = self.next + self.generator.randrange(4)
        self.next = address + (rows - 1) * pitch + words
        if self.next > self.config.scratchpad_words:
            raise ValueError(f"{rows} x {columns} {dtype} do not fit the scratchpad")
        return Matrix(rows, columns, dtype, address, pitch)


@dataclass
class Product:
    """One product: what it multiplies and where that lies."""

    m: int
    n: int
    k: int
    a_transposed: bool = False
    b_transposed: bool = False
    fraction: int = 0
    residual: bool = False
    in_place: bool = False
    fields: dict[str, int] = field(default_factory=dict)

    def place(self, allocator: Allocator, scratchpad: Scratchpad) -> Instruction:
        """Find room, write operands and scales, and return the instruction."""
        random_numbers = np.random.default_rng(allocator.generator.getrandbits(32))
        values: dict[str, int] = {
            "m": self.m,
            "n": self.n,
            "k": self.k,
            "fraction": self.fraction,
            "a_transposed": int(self.a_transposed),
            "b_transposed": int(self.b_transposed),
            "residual_enable": int(self.residual),
        }
        for name, length, transposed in (
            ("a", self.m, self.a_transposed),
            ("b", self.n, self.b_transposed),
        ):
            shape = (self.k, length) if transposed else (length, self.k)
            place = allocator.matrix(*shape, "int8", skewed=True)
            place.write(scratchpad, random_numbers.integers(-128, 128, shape).astype(np.int8))
            values |= {f"{name}_address": place.address, f"{name}_pitch": place.pitch}
        for name, length in (("row", self.m), ("column", self.n)):
            place = allocator.matrix(length, 1, "uint64", skewed=False)
            place = scales(length, place.address)
            allocator.next = place.address + length
            write_scales(place, scratchpad, self._scales(random_numbers, length))
            values[f"{name}_scale_address"] = place.address
        y = allocator.matrix(self.m, self.n, "int16", skewed=False)
        residual = y
        if self.residual and not self.in_place:
            residual = allocator.matrix(self.m, self.n, "int16", skewed=False)
        values |= {"y_address": y.address, "y_pitch": y.pitch}
        values |= {"residual_address": residual.address, "residual_pitch": residual.pitch}
        if self.residual:
            shape = (self.m, self.n)
            residual.write(
                scratchpad, random_numbers.integers(-(1 << 15), 1 << 15, shape).astype(np.int16)
            )
        return Instruction(Opcode.MATMUL, values | self.fields)

    def _scales(self, random_numbers: np.random.Generator, length: int) -> ScaleVector:
        """Return scales with which results fill 16 bits and sometimes leave them."""
        magnitude = (12 - self.fraction - np.log2(2.0**12 * np.sqrt(self.k))) / 2
        values = 2.0 ** (magnitude + random_numbers.normal(0, 1, length))
        values[random_numbers.random(length) < 0.05] = 0
        bias = random_numbers.integers(-2000, 2000, length)
        return ScaleVector.from_float(values, bias)


def random_product(generator: random.Random, config: AcceleratorConfig) -> Product:
    """Return a product of odd shape, small enough for a few to lie side by side."""
    array = config.array
    rows, columns, chunk = array.rows, array.columns, config.chunk
    residual = generator.random() < 0.4
    return Product(
        m=generator.choice((1, rows - 1, rows, rows + 1, 2 * rows + 3, generator.randint(1, 13))),
        n=generator.choice(
            (1, columns - 1, columns, columns + 1, 2 * columns + 5, generator.randint(1, 13))
        ),
        k=generator.choice((1, 2, rows, chunk - 1, chunk, chunk + 1, 3 * chunk + 2, 17, 5)),
        a_transposed=generator.random() < 0.5,
        b_transposed=generator.random() < 0.5,
        fraction=generator.randint(-4, 4),
        residual=residual,
        in_place=residual and generator.random() < 0.5,
    )
