"""Make BUTTERFLY nodes on int16 matrices with a fraction that calibration chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_order import pass_lengths
from ...hw.config import AcceleratorConfig
from ...hw.isa import Axis, ButterflyMode, Opcode
from ..butterfly.fixed_point import FixedFactors
from ..gir import Affine, Buffer, Compute, Level, Node, Parallel, Slice, scratchpad_pitch, words
from ..gir_butterfly import IMAGINARY
from ..quantise import to_int16
from .build import block, load, part
from .memory import Memory

Size = Affine | int


@dataclass(frozen=True)
class Matrix:
    """An int16 matrix [tokens, features] in the scratchpad.

    Parameters
    ----------
    values : Buffer
    fraction : int
        Fraction bits of its numbers.
    tokens, features : int or Affine
        Size of the part that counts.
    first_token, first_feature : int or Affine
        Where that part begins; features come in fours.
    imaginary : int, optional
        How many rows of the buffer the imaginary parts lie below the real ones.
    exponents : Buffer, optional
        Where each block of tokens has an exponent of its own; then `fraction` is 0.
    """

    values: Buffer
    fraction: int
    tokens: Size
    features: Size
    first_token: Size = 0
    first_feature: Size = 0
    imaginary: int | None = None
    exponents: Buffer | None = None

    @property
    def room(self) -> int:
        """Tokens that the buffer has room for."""
        return self.values.rows if self.imaginary is None else self.values.rows - self.imaginary

    def slices(self, role: str) -> dict[str, Slice]:
        """Return the slices of a role."""
        result = {role: self.whole()}
        if self.imaginary is not None:
            result[role + IMAGINARY] = self.whole(self.imaginary)
        return result

    def whole(self, below: int = 0) -> Slice:
        """Return the slice of the real parts, or of what lies `below` them."""
        row = self.first_token + below
        return part(self.values, row, self.first_feature, self.tokens, self.features)

    def columns(self, first: int, count: Size) -> Matrix:
        """Return `count` of its features."""
        return replace(self, first_feature=self.first_feature + first, features=count)

    def rows(self, first: int, count: Size) -> Matrix:
        """Return `count` of its tokens, the real parts."""
        return replace(self, first_token=self.first_token + first, tokens=count, imaginary=None)

    def at(self, fraction: int) -> Matrix:
        """Return the matrix with other fraction bits."""
        return replace(self, fraction=fraction)


class ButterflyBuilder:
    """Makes nodes, their work areas, and their constants.

    Parameters
    ----------
    memory : Memory
        Where buffers that live outside parallel nodes are declared.

    Attributes
    ----------
    constants : dict of str to array
        Contents of the DRAM buffers that it declared.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.config: AcceleratorConfig = memory.config
        self.constants: dict[str, NDArray] = {}
        self._loads: list[Node] = []
        self._private: list[Buffer] | None = None
        self._numbers: dict[str, int] = {}

    def declare(self, buffer: Buffer) -> Buffer:
        """Keep `buffer`, as one private to an iteration inside `tiled`."""
        if self._private is None:
            return self.memory.declare(buffer)
        if buffer not in self._private:
            self._private.append(buffer)
        return buffer

    def with_loads(self, nodes: list[Node]) -> list[Node]:
        """Return `nodes` behind those that load the constants they use."""
        loads, self._loads = self._loads, []
        return [*loads, *nodes]

    def tiled(
        self,
        loop: str,
        stop: int,
        step: int,
        body: Callable[[Affine, Affine], list[Node]],
        depth: int = 1,
        edge: int = 0,
    ) -> list[Node]:
        """Return a loop over tiles of `step`, behind what loads its constants.

        `body` takes where a tile begins and how much it covers; what it declares is private to an
        iteration, `depth` of which may be under way. The first and the last tile are of `edge`
        unless that is 0. Constants of a loop in a loop are loaded before the outer one.
        """
        outer, self._private = self._private, []
        number, extent = block(loop)
        nodes = body(number * (edge or step), extent)
        buffers = tuple(replace(buffer, depth=depth) for buffer in self._private)
        self._private = outer
        tiles: list[Node] = [Parallel(loop, 0, stop, step, buffers, tuple(nodes), edge)]
        return tiles if outer is not None else self.with_loads(tiles)

    def constant(self, name: str, dtype: str, values: NDArray, target: Buffer) -> Buffer:
        """Keep [rows, columns] in DRAM, and load them to `target` before anything else."""
        source = self.stored(name, dtype, values)
        self.memory.declare(target)
        self._loads.append(load(part(source), part(target), name))
        return target

    def stored(self, name: str, dtype: str, values: NDArray) -> Buffer:
        """Keep [rows, columns] in DRAM."""
        self.constants[name] = values
        return self.memory.dram(name, dtype, *values.shape)

    def matrix(
        self,
        name: str,
        tokens: int,
        features: int,
        fraction: int,
        room: int = 0,
        *,
        tight: bool = False,
    ) -> Matrix:
        """Declare a matrix that may be transformed along either axis.

        `room` is the features that a row must have space for, if more than `features`. A `tight`
        one has no words between its rows, and may be transformed along the tokens alone.
        """
        pitch = scratchpad_pitch(max(features, room), "int16", self.config.lanes)
        if tight:
            pitch = words(max(features, room), "int16")
        buffer = Buffer(name, Level.SCRATCHPAD, "int16", tokens, features, pitch)
        return Matrix(self.declare(buffer), fraction, tokens, features)

    def complex_matrix(
        self, name: str, tokens: int, features: int, fraction: int, pitch: int
    ) -> Matrix:
        """Declare a matrix of complex numbers: the imaginary parts lie below the real ones."""
        buffer = Buffer(name, Level.SCRATCHPAD, "int16", 2 * tokens, features, pitch)
        return Matrix(self.declare(buffer), fraction, tokens, features, imaginary=tokens)

    def preset(self, name: str, row: NDArray[np.floating], y: Matrix) -> Node:
        """Write one row to all tokens of `y`: a LOAD whose rows are at one place in DRAM."""
        source = self.repeated(self.unique(f"{name}.bias"), row, y)
        return load(part(source, rows=y.tokens), y.whole(), name)

    def repeated(self, name: str, row: NDArray[np.floating], y: Matrix) -> Buffer:
        """Keep one row, with the fraction of `y`, that is read as if it were all rows of `y`."""
        self.constants[name] = to_int16(row, y.fraction, name)[None]
        return self.memory.declare(Buffer(name, Level.DRAM, "int16", y.room, len(row), 0))

    def coefficients(self, name: str, factors: FixedFactors, axis: Axis = Axis.HIDDEN) -> Buffer:
        """Return where the coefficients of factors lie in the scratchpad."""
        table = factors.words(self.config, tokens=axis == Axis.TOKENS)[None]
        constant = self.unique(f"{name}.coefficients")
        size = table.shape[1]
        copy = Buffer(f"{constant}.copy", Level.SCRATCHPAD, "coefficient", 1, size, size)
        return self.constant(constant, "coefficient", table, copy)

    def real(
        self,
        name: str,
        factors: FixedFactors,
        x: Matrix,
        y: Matrix,
        *,
        accumulate: bool = False,
        axis: Axis = Axis.HIDDEN,
        copy: Buffer | None = None,
        growths: int | None = None,
    ) -> Node:
        """Apply factors of mode REAL.

        `copy` is what `coefficients` gave for them, if it did; `growths` are those of the
        factors unless the caller knows better.
        """
        copy = copy or self.coefficients(name, factors, axis)
        attributes = {
            "mode": ButterflyMode.REAL.value,
            "decreasing": int(factors.decreasing),
            "log_points": factors.log_points,
            "log_stride": factors.log_stride,
            "stages": factors.stages,
            "blocks": factors.blocks,
            "exponent": factors.exponent - x.fraction,
            "growths": (
                factors.growths(self.config.butterfly.stages) if growths is None else growths
            ),
            "accumulate": int(accumulate),
        }
        return self._node(name, {"coefficient": part(copy)}, x, y, attributes, axis)

    def fourier(
        self,
        name: str,
        x: Matrix,
        y: Matrix,
        log_points: int,
        *,
        axis: Axis,
        blocks: int = 1,
        inverse: bool = False,
        exponent: int = 0,
        accumulate: bool = False,
    ) -> Node:
        """Transform along an axis, times two to the power of `exponent`.

        `y` without imaginary parts gets the real part alone. The inverse is not divided by the
        number of points, but by what `exponent` says.
        """
        mode = ButterflyMode.INVERSE_FOURIER if inverse else ButterflyMode.FOURIER
        attributes = {
            "mode": mode.value,
            "bit_reversed": 1,
            "x_real": int(x.imaginary is None),
            "y_real": int(y.imaginary is None),
            "log_points": log_points,
            "stages": log_points,
            "blocks": blocks,
            "exponent": exponent - x.fraction,
            "accumulate": int(accumulate),
        }
        return self._node(name, {}, x, y, attributes, axis)

    def _node(
        self,
        name: str,
        reads: dict[str, Slice],
        x: Matrix,
        y: Matrix,
        attributes: dict[str, int],
        axis: Axis,
    ) -> Node:
        attributes |= {"axis": axis.value, "y_exponent": -y.fraction}
        reads, writes = {**x.slices("x"), **reads}, y.slices("y")
        if x.exponents is not None:
            attributes["x_blocks"] = 1
            reads["exponent"] = part(x.exponents)
        if y.exponents is not None:
            attributes["y_blocks"] = 1
            writes["y_exponent"] = part(y.exponents)
        if len(pass_lengths(attributes["stages"], self.config.butterfly.stages)) > 1:
            is_complex = attributes["mode"] != ButterflyMode.REAL.value
            writes |= self._work(name, x, y, attributes, axis, is_complex).slices("work")
        return Compute(Opcode.BUTTERFLY, reads, writes, attributes, name)

    def _work(
        self,
        name: str,
        x: Matrix,
        y: Matrix,
        attributes: Mapping[str, int],
        axis: Axis,
        is_complex: bool,
    ) -> Matrix:
        """Return the work area: as many vectors as X, all points, the pitch of Y.

        It is Y itself where nothing is added to that and it has all points: passes are in place.
        """
        points = attributes["blocks"] << attributes["log_points"]
        pitch = y.values.pitch
        if axis == Axis.TOKENS:
            has_all = y.first_token == 0 and y.room >= points
            whole = replace(y, tokens=points, exponents=None)
        else:
            has_all = y.first_feature == 0 and y.values.columns >= points
            whole = replace(y, features=points, exponents=None)
        has_planes = is_complex == (y.imaginary is not None)
        if has_all and has_planes and not attributes["accumulate"]:
            return whole
        if axis == Axis.TOKENS:
            tokens, features = points, y.values.columns
        else:
            tokens, features = x.room, points
        # One distance from real to imaginary parts holds for X, Y and the work area.
        distances = [
            item.imaginary * item.values.pitch // pitch
            for item in (x, y)
            if item.imaginary is not None
        ]
        distance = max([tokens, *distances])
        rows = distance + tokens if is_complex else tokens
        work = self.unique(f"{name}.work")
        buffer = Buffer(work, Level.SCRATCHPAD, "int16", rows, features, pitch)
        self.declare(buffer)
        return Matrix(buffer, 0, tokens, features, imaginary=distance if is_complex else None)

    def unique(self, name: str) -> str:
        """Return `name` with a number that no other has."""
        number = self._numbers.get(name, 0)
        self._numbers[name] = number + 1
        # A dot before a number would make it a copy of a buffer of a parallel node.
        return f"{name}_{number}"
