"""Random instructions of the vector unit with their operands, for its bench."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import TABULATED_ACTIVATIONS, Activation, Norm, Opcode
from ...sw.instruction import Instruction, Value
from ..golden.activation_compressor import kept_of
from ..golden.operands import Matrix, scales
from ..golden.scratchpad import Scratchpad
from .products import Allocator

OPCODES = (Opcode.QUANTISE, Opcode.SOFTMAX, Opcode.NORMALISE, Opcode.MULTIPLY)
"""What the unit executes."""


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

    `in_place` lets NORMALISE write over X, and MULTIPLY over X or W. `x` and `w` are the rows,
    random ones by default; one row of W is used for all rows.
    """

    opcode: Opcode
    rows: int
    columns: int
    fields: dict[str, Value] = field(default_factory=dict)
    in_place: bool = False
    x: NDArray[np.int16] | None = None
    w: NDArray[np.int16] | None = None

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
        elif self.opcode == Opcode.MULTIPLY:
            y = self._multiply(allocator, scratchpad, numbers, values, x)
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

    def _multiply(
        self,
        allocator: Allocator,
        scratchpad: Scratchpad,
        numbers: np.random.Generator,
        values: dict[str, Value],
        x: Matrix,
    ) -> Matrix:
        """Place W, add its fields to `values` and return the place of Y."""
        count = int(numbers.choice((1, self.rows)))
        given = random_rows(numbers, count, self.columns) if self.w is None else self.w
        w = allocator.matrix(len(given), self.columns, "int16", skewed=False)
        w.write(scratchpad, given)
        shared = len(given) < self.rows
        values |= {"w_address": w.address, "w_pitch": 0 if shared else w.pitch}
        if not self.in_place:
            return self._result(allocator, "int16")
        return x if shared or numbers.integers(2) else w

    def _result(self, allocator: Allocator, dtype: str) -> Matrix:
        if self.fields.get("keep"):
            kept = kept_of(
                Instruction(self.opcode, {**self.fields, "columns": self.columns}), allocator.config
            )
            assert kept is not None
            words = kept.words(self.rows, self.columns)
            return allocator.matrix(1, words, "uint64", skewed=False)
        return allocator.matrix(self.rows, self.columns, dtype, skewed=False)


def random_fields(generator: random.Random, opcode: Opcode) -> dict[str, Value]:
    """Return legal values of the fields that are neither shapes nor places."""
    fraction = generator.randrange(16)
    if opcode == Opcode.QUANTISE:
        activation = generator.choice(list(Activation))
        if activation not in TABULATED_ACTIVATIONS:
            fraction = generator.randint(-64, 64)
        return {"activation": activation, "x_fraction": fraction}
    if opcode == Opcode.SOFTMAX:
        return {
            "x_fraction": fraction,
            "two_planes": generator.randrange(2),
            "causal": generator.randrange(2),
            "first_length": generator.choice((1, generator.randint(1, 40), 65535)),
        }
    if opcode == Opcode.MULTIPLY:
        return _multiply_fields(generator)
    epsilon = generator.choice((0, 1, generator.getrandbits(12), generator.getrandbits(32)))
    return {"y_fraction": fraction, "norm": generator.choice(list(Norm)), "epsilon": epsilon}


def _multiply_fields(generator: random.Random) -> dict[str, Value]:
    is_complex = generator.randrange(2)
    activation = Activation.IDENTITY if is_complex else generator.choice(list(Activation))
    tabulated = activation in TABULATED_ACTIVATIONS
    shift = generator.choice((0, 29, generator.randint(0, 29), generator.randint(8, 18)))
    x_fraction = generator.randrange(16) if tabulated else generator.randint(-48, 60)
    y_fraction = generator.randint(-50, 50)
    return {
        "activation": activation,
        "complex": is_complex,
        "x_fraction": x_fraction,
        "w_fraction": shift + y_fraction - x_fraction,
        "y_fraction": y_fraction,
    }


def random_keep(
    generator: random.Random, config: AcceleratorConfig, columns: int
) -> dict[str, Value]:
    """Return fields that keep some of every few of a row, if the machine has room for it."""
    log_group = generator.randint(1, config.largest_kept_group.bit_length() - 1)
    keep = generator.randint(1, 1 << log_group)
    slots = -(-columns >> log_group) * keep
    return {"keep": keep, "log_group": log_group} if slots <= config.vector.kept_slots else {}


def random_operation(generator: random.Random, config: AcceleratorConfig) -> RowOperation:
    """Return an instruction of any shape that is likely to find room."""
    opcode = generator.choice(OPCODES)
    lanes = config.lanes
    columns = generator.choice(
        (1, generator.randint(1, 4 * lanes), generator.randint(1, 300), lanes, 8 * lanes, 9 * lanes)
    )
    limit = max(1, min(40, config.scratchpad_words // (2 * columns)))
    rows = generator.choice((1, generator.randint(1, limit)))
    fields = random_fields(generator, opcode)
    columns += columns % 2 and int(bool(fields.get("complex")))
    plain = opcode in (Opcode.QUANTISE, Opcode.SOFTMAX) and not fields.get("two_planes")
    if plain and generator.random() < 0.5:
        fields |= random_keep(generator, config, columns)
    return RowOperation(opcode, rows, columns, fields, in_place=generator.random() < 0.5)
