"""Fourier transforms along the tokens in two trips through DRAM, where a column does not fit.

Cooley and Tukey's n = n1 · n2: token ``t1 · n2 + t2`` is transformed along t1 for each t2, by
loading every n2-th row; turned by the root of unity to the power of ``k1 · t2``; and transformed
along t2 for each k1, which gives the frequency ``k1 + n1 · k2``. Rows are what LOAD and STORE move,
so nothing else is rearranged. To turn is one REAL factor whose pairs are real and imaginary parts;
its result takes the best exponent of each block of columns.

Where whole rows of n1 tokens have room, the first trip also makes them: the transform along the
features, of which DRAM then sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_order import MAXIMUM_LOG_POINTS
from ...hw.isa import Axis
from ..butterfly.fixed_point import FixedFactors, fix_factors
from ..gir import SPILLED, Affine, Buffer, Node, words
from ..gir_butterfly import WORD_NUMBERS
from .build import load, part, store
from .butterfly import Matrix
from .butterfly_layers import ButterflyLowering
from .memory import OUTPUT_WINDOW

MAGNITUDE_BITS = 1
"""What the magnitude of a complex number may have above its parts, rounded up."""


Tile = Callable[[Affine, Affine], list[Node]]
"""Takes the first feature of a tile, and how many it has, and returns its nodes."""


def power_of_two(count: int) -> int:
    """Return the largest power of two up to `count`, at least 1."""
    return 1 << max(count, 1).bit_length() - 1


@dataclass(frozen=True)
class SplitColumns:
    """The real part of a transform along the tokens, times 2^-scale, added to a matrix.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    source, target : Buffer
        In DRAM: what is added, and the result.
    fractions : tuple of int
        Fraction bits of the complex operand, and of source and target.
    scale : int
    log_first : int
        Log2 of n1.
    columns : int
        Features of a tile.
    depth, edge : int
        As in `ButterflyBuilder.tiled`.
    together : int
        Transforms of the second trip that may lie below each other in a tile.
    """

    lowering: ButterflyLowering
    name: str
    source: Buffer
    target: Buffer
    fractions: tuple[int, int]
    scale: int
    log_first: int
    columns: int
    depth: int
    edge: int
    together: int = 1

    @property
    def tokens(self) -> int:
        """Points of the transform."""
        return self.source.rows

    @property
    def first(self) -> int:
        """Points of the transforms of the first trip."""
        return 1 << self.log_first

    @property
    def second(self) -> int:
        """Points of the transforms of the second trip."""
        return self.tokens // self.first

    @property
    def between_fraction(self) -> int:
        """Fraction bits of what is in DRAM between the trips.

        No sum of n1 numbers, whose parts fill 16 bits, saturates, nor does it when it is turned.
        """
        return self.fractions[0] - self.log_first - MAGNITUDE_BITS

    @cached_property
    def between(self) -> Buffer:
        """What is in DRAM between the trips: n2 rows of each frequency, real parts above."""
        name, rows = f"{self.name}.columns{SPILLED}", 2 * self.tokens
        return self.lowering.memory.dram(name, "int16", rows, self.source.columns, OUTPUT_WINDOW)

    def first_trip(self, spectrum: Buffer) -> list[Node]:
        """Transform every n2-th row of `spectrum`, whose imaginary part is below, for each t2."""
        return [node for row in range(self.second) for node in self._first(row, spectrum)]

    def _first(self, row: int, spectrum: Buffer) -> list[Node]:
        def tile(column: Affine, count: Affine) -> list[Node]:
            x, y = (
                self._matrix(name, self.first, bits, count)
                for name, bits in (
                    ("strided", self.fractions[0]),
                    ("sums", self.between_fraction),
                )
            )
            planes = [(plane * self.tokens + row, plane * self.first) for plane in (0, 1)]
            node = self.lowering.fourier(self.name, x, y, self.log_first, axis=Axis.TOKENS)
            sizes = column, self.first, count, self.second
            return [
                *(
                    load(part(spectrum, begin, *sizes), x.whole(below), self.name)
                    for begin, below in planes
                ),
                node,
                *(
                    store(y.whole(below), part(self.between, begin, *sizes), self.name)
                    for begin, below in planes
                ),
            ]

        return self._loop(f"first_{row}", tile)

    def first_trip_from_rows(
        self, transform: Callable[[Matrix], tuple[Matrix, Node]], together: int, depth: int
    ) -> list[Node]:
        """Transform every n2-th row of the source along the features, then along the tokens.

        Parameters
        ----------
        transform : callable
            Takes rows of the source and returns their spectrum, and the node that makes it.
        together : int
            How many t2 a tile has, one below the other.
        depth : int
            Tiles that may be under way.
        """
        count, name, features = self.first, self.name, self.source.columns
        tokens = count * together

        def tile(first: Affine, _: Affine) -> list[Node]:
            x = self.lowering.matrix(f"{name}.rows", tokens, features, self.fractions[1])
            spectrum, node = transform(x)
            pitch = spectrum.values.pitch
            y = self.lowering.complex_matrix(
                f"{name}.sums", tokens, features, self.between_fraction, pitch
            )
            numbers = range(together)
            results = [(plane, number) for plane in (0, 1) for number in numbers]
            sizes = 0, count, features, self.second
            return [
                *(
                    load(
                        part(self.source, first + number, *sizes),
                        x.rows(number * count, count).whole(),
                        name,
                    )
                    for number in numbers
                ),
                node,
                self.lowering.fourier(
                    name, spectrum, y, self.log_first, axis=Axis.TOKENS, blocks=together
                ),
                *(
                    store(
                        y.rows(plane * tokens + number * count, count).whole(),
                        part(self.between, first + (plane * self.tokens + number), *sizes),
                        name,
                    )
                    for plane, number in results
                ),
            ]

        return self.lowering.tiled(f"{name}.first", self.second, together, tile, depth)

    def second_trip(self) -> list[Node]:
        """Turn and transform the sums of each frequency, and add them to every n1-th row."""
        rows = range(0, self.first, self._together)
        return [node for row in rows for node in self._second(row)]

    @property
    def _together(self) -> int:
        """Transforms of a tile of the second trip: a factor that turns them has a limit."""
        most = (1 << MAXIMUM_LOG_POINTS) // (2 * self.second)
        return power_of_two(min(self.together, self.first, most))

    def _second(self, row: int) -> list[Node]:
        together, length = self._together, self.second
        points, factors = together * length, self._turn(row)

        def tile(column: Affine, count: Affine) -> list[Node]:
            lowering, size = self.lowering, (column, points, count)
            x = self._matrix("turned", points, self.between_fraction, count)
            y = lowering.matrix(
                f"{self.name}.sum", points, self.columns, self.fractions[1], tight=True
            )
            y = replace(y, features=count)
            planes = replace(x, tokens=2 * points, imaginary=None)
            exponents = self._exponents()
            turned = replace(x.at(0), exponents=exponents)
            pieces = [
                (y.rows(number * length, length).whole(), (row + number, column, length, count))
                for number in range(together)
            ]
            return [
                *(
                    load(
                        part(self.between, plane * self.tokens + row * length, *size),
                        x.whole(plane * points),
                        self.name,
                    )
                    for plane in (0, 1)
                ),
                *(
                    load(part(self.source, *place, self.first), piece, self.name)
                    for piece, place in pieces
                ),
                lowering.real(
                    self.name,
                    factors,
                    planes,
                    replace(planes.at(0), exponents=exponents),
                    axis=Axis.TOKENS,
                    growths=0,
                ),
                lowering.fourier(
                    self.name,
                    turned,
                    y,
                    length.bit_length() - 1,
                    axis=Axis.TOKENS,
                    blocks=together,
                    exponent=-self.scale,
                    accumulate=True,
                ),
                *(
                    store(piece, part(self.target, *place, self.first), self.name)
                    for piece, place in pieces
                ),
            ]

        return self._loop(f"second_{row}", tile)

    def _loop(self, name: str, tile: Tile) -> list[Node]:
        columns = self.source.columns
        loop = f"{self.name}.{name}"
        return self.lowering.tiled(loop, columns, self.columns, tile, self.depth, self.edge)

    def _matrix(self, name: str, rows: int, fraction: int, count: Affine) -> Matrix:
        """Return a complex matrix without space between its rows."""
        pitch = words(self.columns, "int16")
        matrix = self.lowering.complex_matrix(
            f"{self.name}.{name}", rows, self.columns, fraction, pitch
        )
        return replace(matrix, features=count)

    def _exponents(self) -> Buffer:
        turns = -(-self.columns // (WORD_NUMBERS * self.lowering.config.butterfly.lanes))
        scales = self.lowering.memory.scales(f"{self.name}.exponents", 1, turns)
        return self.lowering.declare(scales)

    def _turn(self, row: int) -> FixedFactors:
        """Return the factor that turns the sums of the frequencies of a tile from `row` on."""
        rows = np.arange(row, row + self._together)
        angles = -2 * np.pi * np.outer(rows, np.arange(self.second)).ravel() / self.tokens
        cosine, sine = np.cos(angles), np.sin(angles)
        matrices: NDArray[np.float64] = np.stack(
            [np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2
        )
        log_points = len(angles).bit_length()
        return fix_factors(matrices[None], [log_points - 1], log_points)
