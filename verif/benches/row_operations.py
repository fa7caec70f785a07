"""Random instructions of the vector unit with their operands, for its bench."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import Activation, Norm, Opcode
from ...sw.instruction import Instruction, Value
from ..golden.operands import Matrix, scales
from ..golden.scratchpad import Scratchpad
from .products import Allocator


def random_rows(generator: np.random.Generator, rows: int, columns: int) -> NDArray[np.int16]:
    """Return int16 rows, each of another kind: extremes, constants, narrow and wide noise."""
    x = np.zeros((rows, columns))
    for row in range(rows):
        kind = generator.integers(9)
        spread = 2.0 ** generator.uniform(-3, 16)
        if kind < 5:
            x[row] = generator.normal(generator.normal(0, spread), spread, columns)
        elif kind == 5:
            x[row] = generator.integers(-32768, 32768)
        elif kind == 6:
            x[row] = generator.choice((-32768, 32767, 0))
        elif kind == 7:
            x[row] = generator.choice((-32768, 32767), columns)
        else:
            x[row, generator.integers(columns)] = generator.integers(-32768, 32768)
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


@dataclass
class RowOperation:
    """One instruction: its opcode, its shape, and fields that are not places.

    `in_place` lets NORMALISE write over X. `x` are the rows, random ones by default.
    """

    opcode: Opcode
    rows: int
    columns: int
    fields: dict[str, Value] = field(default_factory=dict)
    in_place: bool = False
    x: NDArray[np.int16] | None = None

    def place(self, allocator: Allocator, scratchpad: Scratchpad) -> Instruction:
        """Find room, write operands, and return the instruction.

        Raises
        ------
        ValueError
            If there is no room.
        """
        numbers = np.random.default_rng(allocator.generator.getrandbits(32))
        x = allocator.matrix(self.rows, self.columns, "int16", skewed=False)
        given = random_rows(numbers, self.rows, self.columns) if self.x is None else self.x
        x.write(scratchpad, given)
        values: dict[str, Value] = {"rows": self.rows, "columns": self.columns, **self.fields}
        values |= {"x_address": x.address, "x_pitch": x.pitch}
        if self.opcode == Opcode.NORMALISE:
            parameters = allocator.matrix(2, self.columns, "int16", skewed=False)
            parameters.write(scratchpad, random_rows(numbers, 2, self.columns))
            values["parameter_address"] = parameters.address
            values["parameter_pitch"] = parameters.pitch
            y = x if self.in_place else self._result(allocator, "int16")
        else:
            y = self._result(allocator, "int8")
            scale = allocator.matrix(self.rows, 1, "uint64", skewed=False)
            values["scale_address"] = scales(self.rows, scale.address).address
            allocator.next = max(allocator.next, scale.address + self.rows)
        values |= {"y_address": y.address, "y_pitch": y.pitch}
        if self.fields.get("two_planes"):
            low = allocator.matrix(self.rows, self.columns, "int8", skewed=False)
            allocator.next = low.address + (self.rows - 1) * y.pitch + low.words
            if allocator.next > scratchpad.config.scratchpad_words:
                raise ValueError("the second plane does not fit the scratchpad")
            values["plane_words"] = low.address - y.address
        return Instruction(self.opcode, values)

    def _result(self, allocator: Allocator, dtype: str) -> Matrix:
        return allocator.matrix(self.rows, self.columns, dtype, skewed=False)


def random_fields(generator: random.Random, opcode: Opcode) -> dict[str, Value]:
    """Return legal values of the fields that are neither shapes nor places."""
    fraction = generator.randrange(16)
    if opcode == Opcode.QUANTISE:
        activation = generator.choice((Activation.IDENTITY, Activation.RELU, Activation.GELU))
        if activation != Activation.GELU:
            fraction = generator.randint(-64, 64)
        return {"activation": activation, "x_fraction": fraction}
    if opcode == Opcode.SOFTMAX:
        return {"x_fraction": fraction, "two_planes": generator.randrange(2)}
    epsilon = generator.choice((0, 1, generator.getrandbits(12), generator.getrandbits(32)))
    return {"y_fraction": fraction, "norm": generator.choice(list(Norm)), "epsilon": epsilon}


def random_operation(generator: random.Random, config: AcceleratorConfig) -> RowOperation:
    """Return an instruction of any shape that is likely to find room."""
    opcode = generator.choice((Opcode.QUANTISE, Opcode.SOFTMAX, Opcode.NORMALISE))
    lanes = config.lanes
    columns = generator.choice(
        (1, generator.randint(1, 4 * lanes), generator.randint(1, 300), lanes, 8 * lanes, 9 * lanes)
    )
    limit = max(1, min(40, config.scratchpad_words // (2 * columns)))
    rows = generator.choice((1, generator.randint(1, limit)))
    fields = random_fields(generator, opcode)
    return RowOperation(opcode, rows, columns, fields, in_place=generator.random() < 0.5)
