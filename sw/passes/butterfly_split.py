"""Butterfly layers in trips through DRAM: those too large for the scratchpad, and complex ones.

`butterfly.trips` says how factors and points are cut. Tiles of points are the outer loop, so that
the coefficients of a tile are loaded once; blocks of tokens are the inner one. What is in DRAM
between two trips has one fraction, which `butterfly.bounds` chooses.

A complex factor A + iB is four instructions of one factor each: the real part is A·re - B·im, the
imaginary part B·re + A·im, added up in place. So it takes the multiplications that it has to take,
and what lies behind each factor has a fraction of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..butterfly.fixed_point import FixedFactors, fix_factors
from ..butterfly.linear import ButterflyLinear
from ..butterfly.trips import Trip, plan_trips
from ..gir import DTYPE_BYTES, SPILLED, Affine, Buffer, Node, Slice
from ..gir_butterfly import WORD_NUMBERS
from .build import load, part, store
from .butterfly import Matrix, Size
from .butterfly_layers import ButterflyLowering
from .memory import OUTPUT_WINDOW

Runs = list[tuple[int, int]]
"""Start and length of the runs of a tile."""


@dataclass(frozen=True)
class SplitTiling:
    """How a layer is cut.

    Parameters
    ----------
    log_points : int
        Log2 of the points of a tile.
    rows : int
        Tokens of a tile.
    depth : int
        Tiles that may be under way.
    """

    log_points: int
    rows: int
    depth: int


def least_bytes(layer: ButterflyLinear, tiling: SplitTiling, config: AcceleratorConfig) -> int:
    """Return bytes that the tiles under way, and the coefficients of one, take at least."""
    twiddle, points = layer.twiddle, 1 << tiling.log_points
    trips = plan_trips(twiddle.log_size, tiling.log_points, least_width(config.axi_bytes), True)
    stages = max(trip.stages for trip in trips)
    # Complex: two pairs of planes, and three tables of coefficients for each factor.
    planes, tables = (4, 3 * stages) if twiddle.is_complex else (1, stages)
    number, matrix = DTYPE_BYTES["int16"], DTYPE_BYTES["coefficient"]
    return (tiling.depth * tiling.rows * planes * number * points) + tables * matrix * points // 2


def split_linear(
    lowering: ButterflyLowering,
    name: str,
    layer: ButterflyLinear,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, Sequence[Sequence[int]]],
    tiling: SplitTiling,
) -> list[Node]:
    """Return the nodes of a layer between two matrices in DRAM.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    layer : ButterflyLinear
        A complex one has the real parts of all tokens above the imaginary parts, in source and
        target.
    source, target : Buffer
    fractions : tuple
        Fraction bits of the source, and those behind each factor of each stack; the last ones are
        those of the target.
    tiling : SplitTiling
    """
    twiddle = layer.twiddle
    nodes: list[Node] = []
    for stack in range(twiddle.stacks):
        state = _State(source, fractions[0], layer.in_features)
        left = list(fractions[1][stack])
        trips = [
            (block, trip)
            for block in range(twiddle.blocks)
            for trip in _trips(lowering, twiddle.log_size, tiling, twiddle.block_increases(block))
        ]
        for number, (block, trip) in enumerate(trips):
            label = f"{name}.{stack}_{number}"
            inner, left = left[: trip.stages], left[trip.stages :]
            increasing = twiddle.block_increases(block)
            is_last = number == len(trips) - 1
            result = target
            if not is_last:
                result = lowering.memory.dram(
                    label + SPILLED, "int16", source.rows, twiddle.size, OUTPUT_WINDOW
                )
            step = _Step(
                lowering,
                label,
                trip,
                _without(twiddle.coefficients[stack, block], state.present, increasing),
                increasing,
                tuple(inner),
                tiling,
                layer.bias if is_last else None,
                stack * twiddle.size if is_last else 0,
            )
            nodes += step.nodes(state, result)
            state = _State(result, inner[-1], step.reached(state.present))
    return nodes


@dataclass(frozen=True)
class _State:
    """A matrix between two trips: its fraction, and how many of its points are not zero."""

    buffer: Buffer
    fraction: int
    present: int


def _trips(
    lowering: ButterflyLowering, log_size: int, tiling: SplitTiling, increasing: bool
) -> list[Trip]:
    return plan_trips(
        log_size, tiling.log_points, least_width(lowering.config.axi_bytes), increasing
    )


def least_width(axi_bytes: int) -> int:
    """Return log2 of the points of the shortest run: a beat of the bus, and a word."""
    return max(WORD_NUMBERS, axi_bytes // 2).bit_length() - 1


def _without(coefficients: NDArray[Any], present: int, increasing: bool) -> NDArray[Any]:
    """Return the factors of a block whose inputs from `present` on count as zero."""
    pairs = coefficients.shape[1]
    if present == 2 * pairs:
        return coefficients
    result = coefficients.copy()
    stride = 1 if increasing else pairs
    numbers = np.arange(pairs)
    first = 2 * numbers - numbers % stride
    for column, points in enumerate((first, first + stride)):
        result[0, points >= present, :, column] = 0
    return result


@dataclass(frozen=True)
class _Step:
    """One trip: how its tiles become nodes."""

    lowering: ButterflyLowering
    name: str
    trip: Trip
    coefficients: NDArray[Any]
    increasing: bool
    fractions: tuple[int, ...]
    tiling: SplitTiling
    bias: NDArray[Any] | None
    first_output: int

    @property
    def planes(self) -> int:
        """Matrices of a tile: real and imaginary parts."""
        return 2 if np.iscomplexobj(self.coefficients) else 1

    @property
    def size(self) -> int:
        """Points of the butterfly."""
        return 2 * self.coefficients.shape[1]

    def reached(self, present: int) -> int:
        """Return how many points are not zero behind the trip."""
        whole = max(1 << self.trip.high, self.trip.points if not self.trip.low else 1)
        return min(self.size, -(-present // whole) * whole)

    def nodes(self, state: _State, target: Buffer) -> list[Node]:
        """Return the loops over the tokens of each tile of points."""
        wanted = min(self.size, target.columns - self.first_output)
        nodes: list[Node] = []
        for first in self.trip.firsts(self.size):
            runs_in, runs_out = (self._runs(first, present) for present in (state.present, wanted))
            if runs_in and runs_out:
                nodes += self._loop(first, state, target, runs_in, runs_out)
        return nodes

    def _runs(self, first: int, present: int) -> Runs:
        """Return start and length of the runs of a tile, as far as points are present."""
        return [
            (start, min(1 << self.trip.width, present - start))
            for start in self.trip.run_starts(first)
            if start < present
        ]

    def _loop(
        self, first: int, state: _State, target: Buffer, runs_in: Runs, runs_out: Runs
    ) -> list[Node]:
        """Return the loop over the tokens of the tile at point `first`."""
        tokens = target.rows // self.planes
        rows = min(self.tiling.rows, tokens)
        name = f"{self.name}.{first}"
        factors = self.trip.tile(self.coefficients, self.increasing, first)

        def tile(token: Affine, count: Affine) -> list[Node]:
            x = self._matrices("x", rows, state.fraction, count, runs_in)
            y, products = self._products(name, factors, x, runs_out)
            below = [plane * tokens for plane in range(self.planes)]
            return [
                *(
                    load(part(state.buffer, token + row, start, count, length), run, name)
                    for row, matrix in zip(below, x, strict=True)
                    for run, (start, length) in self._slices(matrix, runs_in)
                ),
                *products,
                *(
                    store(run, part(target, token + row, column + start, count, length), name)
                    for row, matrix in zip(below, y, strict=True)
                    for run, (start, length) in self._slices(matrix, runs_out)
                ),
            ]

        column = self.first_output
        return self.lowering.tiled(name, tokens, rows, tile, self.tiling.depth)

    def _matrices(
        self, name: str, rows: int, fraction: int, tokens: Size, runs: Runs
    ) -> list[Matrix]:
        """Return the planes of a tile."""
        points = self.trip.points
        planes = [
            self.lowering.matrix(f"{self.name}.{name}{plane}", rows, points, fraction)
            for plane in range(self.planes)
        ]
        return [replace(each, tokens=tokens, features=self._points(runs)) for each in planes]

    def _points(self, runs: Runs) -> int:
        """Return the points of a tile up to the end of the last of `runs`."""
        return (len(runs) - 1 << self.trip.width) + runs[-1][1]

    def _slices(self, matrix: Matrix, runs: Runs) -> Iterator[tuple[Slice, tuple[int, int]]]:
        """Yield where each of `runs` lies in a tile, and the run."""
        for position, run in enumerate(runs):
            yield matrix.columns(position << self.trip.width, run[1]).whole(), run

    def _products(
        self, name: str, factors: NDArray[Any], x: list[Matrix], runs: Runs
    ) -> tuple[list[Matrix], list[Node]]:
        """Return the result of a tile, of which `runs` count, and the nodes that make it."""
        if self.planes == 2:
            return self._complex(name, factors, x, runs)
        fixed = self._fixed(factors, self.trip.strides(self.increasing))
        y, nodes = [replace(x[0], features=self._points(runs)).at(self.fractions[-1])], []
        if self.bias is not None:
            matrix = x[0]
            y = self._matrices("y", matrix.room, self.fractions[-1], matrix.tokens, runs)
            nodes = self._preset(name, y, runs)
        adds = self.bias is not None
        return y, [*nodes, self.lowering.real(name, fixed, x[0], y[0], accumulate=adds)]

    def _complex(
        self, name: str, factors: NDArray[Any], x: list[Matrix], runs: Runs
    ) -> tuple[list[Matrix], list[Node]]:
        """Apply factors one by one; two pairs of planes take turns."""
        every = [(0, self.trip.points)]
        spare = self._matrices("y", x[0].room, 0, x[0].tokens, every)
        nodes: list[Node] = []
        strides = self.trip.strides(self.increasing)
        for number, (factor, stride) in enumerate(zip(factors, strides, strict=True)):
            is_last = number == len(factors) - 1
            points = self._points(runs) if is_last else self.trip.points
            y = [replace(each, features=points).at(self.fractions[number]) for each in spare]
            adds = is_last and self.bias is not None
            if adds:
                nodes += self._preset(name, y, runs)
            nodes += self._complex_factor(name, factor, stride, (x, y), adds)
            x, spare = y, x
        return x, nodes

    def _complex_factor(
        self,
        name: str,
        factor: NDArray[Any],
        log_stride: int,
        planes: tuple[list[Matrix], list[Matrix]],
        adds: bool,
    ) -> list[Node]:
        lowering, (x, y) = self.lowering, planes
        real, imaginary, opposite = (
            self._fixed(values[None], [log_stride])
            for values in (factor.real, factor.imag, -factor.imag)
        )
        real_words = lowering.coefficients(name, real)
        return [
            lowering.real(name, real, x[0], y[0], accumulate=adds, copy=real_words),
            lowering.real(name, opposite, x[1], y[0], accumulate=True),
            lowering.real(name, imaginary, x[0], y[1], accumulate=adds),
            lowering.real(name, real, x[1], y[1], accumulate=True, copy=real_words),
        ]

    def _fixed(self, factors: NDArray[Any], log_strides: Sequence[int]) -> FixedFactors:
        inside = [self.trip.inside(stride) for stride in log_strides]
        return fix_factors(factors, inside, self.trip.log_points)

    def _preset(self, name: str, y: list[Matrix], runs: Runs) -> list[Node]:
        """Write the bias to the rows of `y`."""
        assert self.bias is not None
        nodes: list[Node] = []
        for plane, (matrix, values) in enumerate(
            zip(y, (self.bias.real, self.bias.imag), strict=False)
        ):
            source = self.lowering.repeated(f"{self.name}.bias{plane}", values, matrix)
            nodes += [
                load(part(source, 0, self.first_output + start, matrix.tokens, length), run, name)
                for run, (start, length) in self._slices(matrix, runs)
            ]
        return nodes
