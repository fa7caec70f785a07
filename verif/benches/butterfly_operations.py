"""BUTTERFLY instructions with their operands, for tests and benches of the butterfly unit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_order import coefficient_order, pack_growths, pass_lengths, plan_passes
from ...hw.config import AcceleratorConfig
from ...hw.isa import Axis, BlockExponent, ButterflyMode, Opcode
from ...sw.instruction import Instruction, Value
from ..golden.butterfly_instruction import vectors_of_turn
from ..golden.operands import Matrix
from ..golden.scratchpad import Scratchpad
from .products import Allocator


@dataclass
class ButterflyOperation:
    """One instruction: its shape, and fields that are not places.

    Parameters
    ----------
    mode : ButterflyMode
    axis : Axis
    log_points, blocks, vectors : int
    fields : mapping
        Further fields of the instruction; factors of all strides, in increasing order, by default.
    x : int16 [vectors, points, 2], optional
        Random numbers unless given.
    coefficients : int16 [stages, points/2, 4], optional
        Of each pair over all blocks; random numbers that grow by one bit a factor unless given.
    """

    mode: ButterflyMode
    axis: Axis
    log_points: int
    blocks: int
    vectors: int
    fields: Mapping[str, Value] = field(default_factory=dict)
    x: NDArray | None = None
    coefficients: NDArray | None = None

    @property
    def points(self) -> int:
        """Points of a vector, over all blocks."""
        return self.blocks << self.log_points

    def place(self, allocator: Allocator, scratchpad: Scratchpad) -> Instruction:
        """Find room, write operands, and return the instruction.

        Raises
        ------
        ValueError
            If there is no room.
        """
        config = scratchpad.config
        values: dict[str, Value] = {
            "mode": self.mode,
            "axis": self.axis,
            "log_points": self.log_points,
            "blocks": self.blocks,
            "vectors": self.vectors,
            "stages": self.log_points,
            "x_headroom": -1,
            "bit_reversed": int(self.mode != ButterflyMode.REAL),
            **self.fields,
        }
        tokens = self.axis == Axis.TOKENS
        shape = (self.points, self.vectors) if tokens else (self.vectors, self.points)
        places = {name: self._planes(allocator, shape, not tokens) for name in "xyw"}
        # One distance for all three, as the instruction has it.
        plane = max(last for _, last in places.values())
        start = allocator.next
        for index, name in enumerate("xyw"):
            matrix, _ = places[name]
            places[name] = (
                Matrix(*shape, "int16", start + 2 * index * plane, matrix.pitch),
                plane,
            )
        allocator.next = start + 6 * plane
        x, y, work = (places[name][0] for name in "xyw")
        values |= {"plane_words": plane, "x_address": x.address, "x_pitch": x.pitch}
        values |= {"y_address": y.address, "y_pitch": y.pitch, "work_address": work.address}
        if not values.get("accumulate") and allocator.generator.random() < 0.5:
            values["work_address"] = y.address
        self._check_room(allocator, scratchpad)
        numbers = np.random.default_rng(allocator.generator.getrandbits(32))
        given = random_points(numbers, self.vectors, self.points) if self.x is None else self.x
        for part in range(2):
            matrix = Matrix(*shape, "int16", x.address + part * plane, x.pitch)
            matrix.write(scratchpad, given[..., part].T if tokens else given[..., part])
        if self.mode == ButterflyMode.REAL:
            self._place_coefficients(allocator, scratchpad, values, numbers)
        self._place_exponents(allocator, scratchpad, values, numbers, config)
        return Instruction(Opcode.BUTTERFLY, values)

    @staticmethod
    def _check_room(allocator: Allocator, scratchpad: Scratchpad) -> None:
        if allocator.next > scratchpad.config.scratchpad_words:
            raise ValueError("the operands do not fit the scratchpad")

    @staticmethod
    def _planes(allocator: Allocator, shape: tuple[int, int], skewed: bool) -> tuple[Matrix, int]:
        """Return a plane somewhere and the words that it covers."""
        trial = Allocator(allocator.config, allocator.generator)
        matrix = trial.matrix(*shape, "int16", skewed=skewed)
        return matrix, (shape[0] - 1) * matrix.pitch + matrix.words

    def _place_coefficients(
        self,
        allocator: Allocator,
        scratchpad: Scratchpad,
        values: dict[str, Value],
        numbers: np.random.Generator,
    ) -> None:
        stages = int(values["stages"])  # type: ignore[arg-type]
        table = self.coefficients
        if table is None:
            table = numbers.integers(-16384, 16385, (stages, self.points // 2, 4))
            chained = scratchpad.config.butterfly.stages
            lengths = pass_lengths(stages, chained)
            grown = [index + 1 for length in lengths for index in range(length)]
            values.setdefault("growths", pack_growths(grown))
        words = coefficient_words(values, scratchpad.config, table)
        place = Matrix(len(words), 1, "uint64", allocator.next, 1)
        allocator.next += len(words)
        self._check_room(allocator, scratchpad)
        values["coefficient_address"] = place.address
        place.write(scratchpad, words[:, np.newaxis])

    def _place_exponents(
        self,
        allocator: Allocator,
        scratchpad: Scratchpad,
        values: dict[str, Value],
        numbers: np.random.Generator,
        config: AcceleratorConfig,
    ) -> None:
        probe = {"axis": self.axis}
        turns = -(-self.vectors // vectors_of_turn(probe, config.butterfly.lanes))  # type: ignore[arg-type]
        for name in ("exponent_address", "y_exponent_address"):
            values[name] = allocator.next
            allocator.next += turns
        self._check_room(allocator, scratchpad)
        words = [
            BlockExponent.const(
                {"exponent": int(numbers.integers(-20, 20)), "headroom": -1}
            ).as_bits()
            for _ in range(turns)
        ]
        place = Matrix(turns, 1, "uint64", int(values["exponent_address"]), 1)  # type: ignore[arg-type]
        place.write(scratchpad, np.array(words, dtype=np.uint64)[:, np.newaxis])


def coefficient_words(
    values: Mapping[str, Value], config: AcceleratorConfig, table: NDArray
) -> NDArray[np.uint64]:
    """Return the words at `coefficient_address` for int16 coefficients [stages, points/2, 4]."""
    number = {name: int(values.get(name, 0)) for name in ("log_points", "log_stride", "stages")}  # type: ignore[arg-type]
    tokens = values["axis"] == Axis.TOKENS
    passes = plan_passes(
        config.butterfly.stages,
        number["log_points"],
        number["log_stride"],
        number["stages"],
        decreasing=bool(values.get("decreasing", 0)),
        tokens=tokens,
        bit_reversed=bool(values.get("bit_reversed", 0)),
    )
    points = 2 * table.shape[1]
    order = list(coefficient_order(passes, config.lanes, points, tokens=tokens))
    words = np.zeros((len(order), 4), dtype="<i2")
    for word, used in zip(words, order, strict=True):
        if used is not None:
            word[:] = table[used]
    return words.view("<u8")[:, 0]


def random_points(numbers: np.random.Generator, vectors: int, points: int) -> NDArray[np.int16]:
    """Return int16 [vectors, points, 2]: extremes, or of any magnitude."""
    limit = 1 << int(numbers.choice((2, 8, 14, 15)))
    values = numbers.integers(-limit, limit, (vectors, points, 2))
    kind = numbers.integers(4)
    if kind == 0:
        values = np.where(values < 0, -limit, limit - 1)
    elif kind == 1:
        values[:] = -limit
    return values.astype(np.int16)


def random_operation(
    generator: random.Random,
    config: AcceleratorConfig,
    *,
    modes: Sequence[ButterflyMode] = tuple(ButterflyMode),
) -> ButterflyOperation:
    """Return an instruction of any shape that is likely to find room."""
    mode, axis = generator.choice(list(modes)), generator.choice(list(Axis))
    log_points = generator.choice((1, 2, 3, 3, 4, 4, 5, 6))
    blocks = generator.choice((1, 1, 2, 3, 4))
    if axis == Axis.HIDDEN and (blocks << log_points) % 4:
        blocks *= 2
    points = blocks << log_points
    budget = max(1, config.scratchpad_words * 4 // (8 * points))
    vectors = generator.choice(
        (1, config.lanes, generator.randint(1, 3 * config.lanes), generator.randint(1, 40))
    )
    fields: dict[str, Value] = {
        "x_real": generator.randrange(2),
        "y_real": generator.randrange(2),
        "exponent": generator.randint(-3, 3),
        "y_exponent": generator.randint(-2, 2 + 2 * log_points),
        "x_blocks": int(generator.random() < 0.3),
        "x_headroom": generator.choice((-1, -1, -1, 0, 3)),
    }
    if generator.random() < 0.3:
        fields["y_blocks"] = 1
    elif generator.random() < 0.5:
        fields["accumulate"] = 1
    for name in ("x_points", "y_points"):
        if generator.random() < 0.3:
            fields[name] = generator.randint(1, points)
    if mode == ButterflyMode.REAL:
        fields["decreasing"] = generator.randrange(2)
        first = generator.randrange(log_points)
        fields["log_stride"] = first
        most = first + 1 if fields["decreasing"] else log_points - first
        fields["stages"] = generator.randint(1, most)
        if fields["stages"] == log_points and not fields["decreasing"]:
            fields["bit_reversed"] = generator.randrange(2)
    return ButterflyOperation(mode, axis, log_points, blocks, min(vectors, budget), fields)
