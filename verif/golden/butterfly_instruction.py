"""Model of the butterfly unit: executes BUTTERFLY on the scratchpad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_format import COEFFICIENT_BITS, DATA_BITS, Mode, clamped_scales, given_scales
from ...hw.butterfly_order import (
    MAXIMUM_LOG_POINTS,
    MAXIMUM_POINTS,
    MAXIMUM_TURNS,
    WORD_BITS,
    Pass,
    coefficient_order,
    plan_passes,
)
from ...hw.butterfly_unit import MULTIPLIERS
from ...hw.config import AcceleratorConfig
from ...hw.isa import Axis, BlockExponent, ButterflyMode, ErrorCode
from ...sw.instruction import Instruction
from .butterfly import Block, Factor, apply_pass, bit_reversal, fourier_factors
from .fault import Fault
from .operands import Matrix
from .rounding import saturate
from .scratchpad import Scratchpad

NUMBERS = 1 << WORD_BITS
HEADROOM_BITS = 5
LOWEST_HEADROOM = -1


def signed(value: int, bits: int) -> int:
    """Return the low `bits` of `value` as a signed number."""
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def is_legal(instruction: Instruction, config: AcceleratorConfig) -> bool:
    """Tell whether the fields other than addresses have values that the unit takes."""
    i = instruction
    log_points, log_stride, stages = i["log_points"], i["log_stride"], i["stages"]
    points = i["blocks"] << log_points
    lanes = config.butterfly.lanes
    is_shape = (
        1 <= log_points <= MAXIMUM_LOG_POINTS
        and 1 <= points <= MAXIMUM_POINTS
        and i["x_points"] <= points
        and i["y_points"] <= points
        and 1 <= i["vectors"] <= MAXIMUM_TURNS * vectors_of_turn(i, lanes)
    )
    last = log_stride - stages + 1 if i["decreasing"] else log_stride + stages - 1
    is_order = stages >= 1 and 0 <= last < log_points and log_stride < log_points
    if i["bit_reversed"]:
        is_order = is_order and stages == log_points and not i["decreasing"]
    is_place = True
    if i["axis"] == Axis.HIDDEN:
        pitches = (i["x_pitch"], i["y_pitch"])
        is_place = points % NUMBERS == 0 and all(pitch % config.lanes == 1 for pitch in pitches)
    is_number = LOWEST_HEADROOM <= i["x_headroom"] < DATA_BITS
    return (
        is_shape and is_order and is_place and is_number and not (i["accumulate"] & i["y_blocks"])
    )


def vectors_of_turn(instruction: Instruction, lanes: int) -> int:
    """Return how many vectors have one exponent: rows of lanes, or columns of a line of words."""
    return lanes if instruction["axis"] == Axis.HIDDEN else lanes * NUMBERS


class Execution:
    """One instruction on a scratchpad.

    Parameters
    ----------
    instruction : Instruction
    scratchpad : Scratchpad

    Raises
    ------
    Fault
        If the instruction is refused.
    """

    def __init__(self, instruction: Instruction, scratchpad: Scratchpad) -> None:
        self.i = instruction
        self.scratchpad = scratchpad
        self.config = scratchpad.config
        if not is_legal(instruction, self.config):
            raise Fault(ErrorCode.ILLEGAL_OPERAND, 0)
        self.tokens = instruction["axis"] == Axis.TOKENS
        self.is_real = instruction["mode"] == ButterflyMode.REAL
        self.points = instruction["blocks"] << instruction["log_points"]
        self.vectors = vectors_of_turn(instruction, self.config.butterfly.lanes)
        self.turns = -(-instruction["vectors"] // self.vectors)
        self.passes = plan_passes(
            self.config.butterfly.stages,
            instruction["log_points"],
            instruction["log_stride"],
            instruction["stages"],
            decreasing=bool(instruction["decreasing"]),
            tokens=self.tokens,
            bit_reversed=bool(instruction["bit_reversed"]),
        )
        self.order = list(self._order()) if self.is_real else []
        self._check()

    def run(self) -> int:
        """Execute; return the number of multiplications."""
        factors = self._factors()
        results = [self._turn(factors, turn) for turn in range(self.turns)]
        if self.i["y_blocks"]:
            place = self._exponents("y_exponent_address")
            place.write(self.scratchpad, np.array(results, dtype=np.uint64)[:, np.newaxis])
        columns = self.i["vectors"]
        if self.tokens:
            columns = -(-columns // NUMBERS) * NUMBERS
        return columns * self.points // 2 * self.i["stages"] * MULTIPLIERS

    def _order(self) -> Iterator[tuple[int, int] | None]:
        lanes = self.config.lanes
        return coefficient_order(self.passes, lanes, self.points, tokens=self.tokens)

    def _limit(self, name: str) -> int:
        """Return the points of X or Y that count: a whole word on the axis HIDDEN."""
        limit = self.i[f"{name}_points"] or self.points
        return limit if self.tokens else -(-limit // NUMBERS) * NUMBERS

    def _matrix(self, address: int, pitch: int, points: int, turn: int | None = None) -> Matrix:
        """Return `points` points of the vectors of a turn, or of all."""
        first = 0 if turn is None else turn * self.vectors
        count = self.i["vectors"] - first
        count = count if turn is None else min(count, self.vectors)
        if self.tokens:
            return Matrix(points, count, "int16", address + first // NUMBERS, pitch)
        return Matrix(count, points, "int16", address + first * pitch, pitch)

    def _exponents(self, name: str) -> Matrix:
        return Matrix(self.turns, 1, "uint64", self.i[name], 1)

    def _check(self) -> None:
        i, plane = self.i, self.i["plane_words"]
        regions = [(i["x_address"], i["x_pitch"], self._limit("x"), bool(i["x_real"]), True)]
        work = len(self.passes) > 1
        regions.append((i["work_address"], i["y_pitch"], self.points, False, work))
        regions.append((i["y_address"], i["y_pitch"], self._limit("y"), bool(i["y_real"]), True))
        for address, pitch, points, real, used in regions:
            if used:
                self._matrix(address, pitch, points).check(self.scratchpad)
            if used and not real and not self.is_real:
                self._matrix(address + plane, pitch, points).check(self.scratchpad)
        if self.is_real:
            self._coefficients().check(self.scratchpad)
        for name, flag in (("exponent_address", "x_blocks"), ("y_exponent_address", "y_blocks")):
            if i[flag]:
                self._exponents(name).check(self.scratchpad)

    def _coefficients(self) -> Matrix:
        return Matrix(len(self.order), 1, "uint64", self.i["coefficient_address"], 1)

    def _factors(self) -> list[Factor]:
        """Return the factors over all blocks; only the exponent of the instruction counts."""
        i = self.i
        strides = [bit - 2 * self.tokens for each in self.passes for bit in each.bits]
        if self.is_real:
            words = self._coefficients().read(self.scratchpad)[:, 0]
            table = np.zeros((len(strides), self.points // 2, MULTIPLIERS), dtype=np.int64)
            assert COEFFICIENT_BITS == 16
            parts = np.ascontiguousarray(words).view("<i2").reshape(-1, MULTIPLIERS)
            for used, part in zip(self.order, parts, strict=True):
                if used is not None:
                    table[used] = part
            return [Factor(s, table[k], Mode.REAL) for k, s in enumerate(strides)]
        inverse = i["mode"] == ButterflyMode.INVERSE_FOURIER
        all_factors = fourier_factors(1 << i["log_points"], inverse)
        tables = [np.tile(all_factors[s].coefficients, (i["blocks"], 1)) for s in strides]
        return [Factor(s, t, Mode.COMPLEX) for s, t in zip(strides, tables, strict=True)]

    def _read(self, address: int, pitch: int, points: int, turn: int, real: bool) -> NDArray:
        """Return vectors [vectors, self.points, 2]; what is beyond `points` is zero."""
        values: list[NDArray] = []
        for plane in range(2):
            place = self._matrix(address + plane * self.i["plane_words"], pitch, points, turn)
            if self.tokens:
                place = Matrix(
                    place.rows, place.words * NUMBERS, "int16", place.address, place.pitch
                )
            if plane and real:
                values.append(np.zeros_like(values[0]))
                continue
            matrix = place.read(self.scratchpad).astype(np.int64)
            matrix = matrix.T if self.tokens else matrix
            values.append(np.pad(matrix, ((0, 0), (0, self.points - points))))
        return np.stack(values, axis=-1)

    def _write(self, values: NDArray, address: int, points: int, turn: int, real: bool) -> None:
        """Write vectors [vectors, self.points, 2], `points` points of each."""
        for plane in range(1 if real else 2):
            place = address + plane * self.i["plane_words"]
            matrix = self._matrix(place, self.i["y_pitch"], points, turn)
            part = values[:, :points, plane]
            if self.tokens:
                words = matrix.words * NUMBERS
                matrix = Matrix(points, words, "int16", matrix.address, matrix.pitch)
            matrix.write(self.scratchpad, part.T if self.tokens else part)

    def _start(self, turn: int) -> tuple[int, int]:
        """Return exponent and headroom of X."""
        if not self.i["x_blocks"]:
            return self.i["exponent"], self.i["x_headroom"]
        word = int(self._exponents("exponent_address").read(self.scratchpad)[turn, 0])
        bits = BlockExponent.as_shape()
        exponent = signed(word >> bits["exponent"].offset, 16)
        return exponent + self.i["exponent"], signed(word >> bits["headroom"].offset, HEADROOM_BITS)

    def _turn(self, factors: Sequence[Factor], turn: int) -> int:
        """Transform the vectors of a turn; return the word of their exponent."""
        i, mode = self.i, factors[0].mode
        exponent, headroom = self._start(turn)
        limit, no_imaginary = self._limit("x"), self.is_real or bool(i["x_real"])
        points = self._read(i["x_address"], i["x_pitch"], limit, turn, no_imaginary)
        if i["bit_reversed"]:
            shape = (len(points), i["blocks"], -1, 2)
            order = bit_reversal(1 << i["log_points"])
            points = points.reshape(shape)[:, :, order].reshape(points.shape)
        block = Block(points, exponent)
        for each in self.passes[:-1]:
            block = self._pass(block, factors, each, headroom)
            headroom = block.headroom(mode)
            self._write(block.points, i["work_address"], self.points, turn, self.is_real)
        block = self._pass(block, factors, self.passes[-1], headroom)
        return self._finish(block, mode, turn)

    def _pass(self, block: Block, factors: Sequence[Factor], each: Pass, headroom: int) -> Block:
        part = slice(each.first, each.first + len(each.bits))
        growths = tuple(range(1, len(each.bits) + 1))
        if self.is_real:
            numbers = range(part.start, part.stop)
            growths = tuple(signed(self.i["growths"] >> 4 * number, 4) for number in numbers)
        scales = clamped_scales(growths, headroom)
        if each == self.passes[-1] and not self.i["y_blocks"]:
            scales = given_scales(scales, self.i["y_exponent"] - block.exponent - sum(scales))
        return apply_pass(block, factors[part], scales)

    def _finish(self, block: Block, mode: Mode, turn: int) -> int:
        i = self.i
        real, limit = self.is_real or bool(i["y_real"]), self._limit("y")
        kept = Block(block.points * np.array([1, 0 if real else 1]), block.exponent)
        values = kept.points
        if i["accumulate"]:
            before = self._read(i["y_address"], i["y_pitch"], limit, turn, real)
            values = saturate(values + before, DATA_BITS)
        self._write(values, i["y_address"], limit, turn, real)
        fields = {"exponent": signed(kept.exponent, 16), "headroom": kept.headroom(mode)}
        return BlockExponent.const(fields).as_bits()


def execute(instruction: Instruction, scratchpad: Scratchpad) -> int:
    """Execute a BUTTERFLY; return the number of multiplications.

    Raises
    ------
    Fault
        `ILLEGAL_OPERAND` with address 0, then `SCRATCHPAD_RANGE` with the last word of the first
        of X, the work area (if there is more than one pass), Y (of each first the real and then
        the imaginary parts, if used), coefficients, exponents of X and of Y that is outside.
    """
    return Execution(instruction, scratchpad).run()
