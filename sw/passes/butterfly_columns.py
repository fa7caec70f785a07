"""Fourier transforms along the tokens in two trips through DRAM, where a column does not fit.

Cooley and Tukey's n = n1 · n2: token ``t1 · n2 + t2`` is transformed along t1 for each t2, by
loading every n2-th row; turned by the root of unity to the power of ``k1 · t2``; and transformed
along t2 for each k1, which gives the frequency ``k1 + n1 · k2``. Rows are what LOAD and STORE move,
so nothing else is rearranged. To turn is one REAL factor whose pairs are real and imaginary parts;
its result takes the best exponent of each block of columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class SplitColumns:
    """The real part of a transform along the tokens, times 2^-scale, added to a matrix.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    spectrum, source, target : Buffer
        In DRAM: the complex operand, its imaginary parts below; what is added; the result.
    fractions : tuple of int
        Fraction bits of the spectrum, and of source and target.
    scale : int
    log_first : int
        Log2 of n1.
    columns : int
        Features of a tile.
    depth, edge : int
        As in `ButterflyBuilder.tiled`.
    """

    lowering: ButterflyLowering
    name: str
    spectrum: Buffer
    source: Buffer
    target: Buffer
    fractions: tuple[int, int]
    scale: int
    log_first: int
    columns: int
    depth: int
    edge: int

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

    def nodes(self) -> list[Node]:
        """Return the nodes of both trips."""
        between = self.lowering.memory.dram(
            f"{self.name}.columns{SPILLED}",
            "int16",
            2 * self.tokens,
            self.source.columns,
            OUTPUT_WINDOW,
        )
        # No sum of n1 numbers, whose parts fill 16 bits, saturates, nor does it when it is turned.
        fraction = self.fractions[0] - self.log_first - MAGNITUDE_BITS
        nodes = [node for row in range(self.second) for node in self._first(row, between, fraction)]
        nodes += [
            node for row in range(self.first) for node in self._second(row, between, fraction)
        ]
        return nodes

    def _first(self, row: int, between: Buffer, fraction: int) -> list[Node]:
        """Transform every n2-th row from `row` on."""

        def tile(column: Affine, count: Affine) -> list[Node]:
            x, y = (
                self._matrix(name, self.first, bits, count)
                for name, bits in (("strided", self.fractions[0]), ("sums", fraction))
            )
            planes = [(plane * self.tokens + row, plane * self.first) for plane in (0, 1)]
            node = self.lowering.fourier(self.name, x, y, self.log_first, axis=Axis.TOKENS)
            sizes = column, self.first, count, self.second
            return [
                *(
                    load(part(self.spectrum, begin, *sizes), x.whole(below), self.name)
                    for begin, below in planes
                ),
                node,
                *(
                    store(y.whole(below), part(between, begin, *sizes), self.name)
                    for begin, below in planes
                ),
            ]

        return self._loop(f"first_{row}", tile)

    def _second(self, row: int, between: Buffer, fraction: int) -> list[Node]:
        """Turn and transform the sums of frequency `row`, and add them to every n1-th row."""
        points, factors = self.second, self._turn(row)

        def tile(column: Affine, count: Affine) -> list[Node]:
            x = self._matrix("turned", points, fraction, count)
            y = self.lowering.matrix(
                f"{self.name}.sum", points, self.columns, self.fractions[1], tight=True
            )
            y = replace(y, features=count)
            planes = replace(x, tokens=2 * points, imaginary=None)
            exponents = self._exponents()
            turned = replace(x.at(0), exponents=exponents)
            lowering, size = self.lowering, (column, points, count)
            return [
                load(part(between, row * points, *size), x.whole(), self.name),
                load(part(between, self.tokens + row * points, *size), x.whole(points), self.name),
                load(part(self.source, row, *size, self.first), y.whole(), self.name),
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
                    points.bit_length() - 1,
                    axis=Axis.TOKENS,
                    exponent=-self.scale,
                    accumulate=True,
                ),
                store(y.whole(), part(self.target, row, *size, self.first), self.name),
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
        """Return the factor that turns the sums of frequency `row`."""
        angles = -2 * np.pi * row * np.arange(self.second) / self.tokens
        cosine, sine = np.cos(angles), np.sin(angles)
        matrices: NDArray[np.float64] = np.stack(
            [np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2
        )
        log_points = self.second.bit_length()
        return fix_factors(matrices[None], [log_points - 1], log_points)
