"""Butterfly operators on matrices in DRAM, a tile at a time in the scratchpad.

Along the features tiles are blocks of tokens, along the tokens they are blocks of features, so that
a transform never leaves the scratchpad while it is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...hw.isa import Axis
from ..errors import CompileError
from ..gir import Affine, Buffer, Node, scratchpad_pitch
from .build import load, part, store
from .butterfly import Matrix
from .butterfly_columns import SplitColumns, power_of_two
from .butterfly_layers import ButterflyLowering, log_points
from .memory import OUTPUT_WINDOW

WORD_NUMBERS = 4
"""int16 of a word."""

DEPTH = 2
"""Tiles that may be under way, unless a tiling says otherwise."""


@dataclass(frozen=True)
class Tiling:
    """How a matrix is cut.

    Parameters
    ----------
    width : int
        Vectors of a tile: tokens, or words of features; one a lane of the unit if 0. The unit
        fills its pipeline once for all of them.
    depth : int
        Tiles that may be under way.
    edge : int
        Vectors of the first and of the last tile, which divides `width`: what nothing else can
        run beside is short. As many as of the others if 0.
    in_place : bool
        Whether Y takes the place of X, so that more tiles may be under way.
    log_first : int
        If not 0, a transform along the tokens takes two trips, the first of transforms of
        2^`log_first` points.
    resident : bool
        Whether the first of these trips also makes the transform along the features, whose result
        then stays in the scratchpad.
    parts : int
        In how many parts of equal length the tokens go, where they do not depend on each other.
    """

    width: int = 0
    depth: int = DEPTH
    edge: int = 0
    in_place: bool = False
    log_first: int = 0
    resident: bool = False
    parts: int = 1


WHOLE_LANES = Tiling()

Body = Callable[[Matrix, Matrix], list[Node]]
"""Takes X and Y of a tile in the scratchpad and returns the nodes between load and store."""


def stream_tokens(
    lowering: ButterflyLowering,
    name: str,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    room: int,
    body: Body,
    tiling: Tiling = WHOLE_LANES,
) -> list[Node]:
    """Return a loop over blocks of tokens.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    source, target : Buffer
        int16 matrices of as many tokens in DRAM.
    fractions : tuple of int
        Of source and target.
    room : int
        Features that a row of Y has space for.
    body : callable
    tiling : Tiling
        In place only if `body` allows it.
    """
    rows = tile_rows(lowering, source, tiling)

    def tile(first: Affine, count: Affine) -> list[Node]:
        x = lowering.matrix(f"{name}.x", rows, source.columns, fractions[0])
        y = x.at(fractions[1])
        if not tiling.in_place:
            y = lowering.matrix(f"{name}.y", rows, target.columns, fractions[1], room)
        x, y = replace(x, tokens=count), replace(y, tokens=count)
        return [
            load(part(source, first, rows=count), x.whole(), name),
            *body(x, y),
            store(y.whole(), part(target, first, rows=count), name),
        ]

    return lowering.tiled(f"{name}.row_tile", source.rows, rows, tile, tiling.depth, tiling.edge)


def stream_features(
    lowering: ButterflyLowering,
    name: str,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    body: Body,
    tiling: Tiling = WHOLE_LANES,
) -> list[Node]:
    """Return loops over blocks of features, one for each part; see `stream_tokens`."""
    columns = tile_columns(lowering, source, tiling)
    rows = source.rows // tiling.parts, target.rows // tiling.parts

    def loop(number: int) -> list[Node]:
        first_row, first_result = (number * count for count in rows)

        def tile(first: Affine, count: Affine) -> list[Node]:
            x = lowering.matrix(f"{name}.x", rows[0], columns, fractions[0])
            y = lowering.matrix(f"{name}.y", rows[1], columns, fractions[1])
            x, y = replace(x, features=count), replace(y, features=count)
            return [
                load(part(source, first_row, first, rows[0], count), x.whole(), name),
                *body(x, y),
                store(y.whole(), part(target, first_result, first, rows[1], count), name),
            ]

        label, edge = f"{name}.column_tile_{number}", WORD_NUMBERS * tiling.edge
        return lowering.tiled(label, source.columns, columns, tile, tiling.depth, edge)

    return [node for number in range(tiling.parts) for node in loop(number)]


def stream_spectrum(
    lowering: ButterflyLowering,
    name: str,
    source: Buffer,
    spectrum: Buffer,
    fractions: tuple[int, int],
    blocks: int = 1,
    tiling: Tiling = WHOLE_LANES,
) -> list[Node]:
    """Return a loop over blocks of rows, which are transformed.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    source : Buffer
        int16 [rows, blocks · features] in DRAM.
    spectrum : Buffer
        int16 [2 · rows, blocks · features] in DRAM: real parts above imaginary ones.
    fractions : tuple of int
        Of source and spectrum.
    blocks : int
        Transforms of a row. Features that are no power of two, only in a single one, are padded,
        and as many frequencies are kept.
    tiling : Tiling
    """
    columns = source.columns
    rows = tile_rows(lowering, source, tiling)

    def tile(first: Affine, count: Affine) -> list[Node]:
        x = lowering.matrix(f"{name}.rows", rows, columns, fractions[0])
        x = replace(x, tokens=count)
        y, node = row_spectrum(lowering, name, x, fractions[1], blocks)
        below = part(spectrum, first + source.rows, rows=count)
        return [
            load(part(source, first, rows=count), x.whole(), name),
            node,
            store(y.whole(), part(spectrum, first, rows=count), name),
            store(y.whole(rows), below, name),
        ]

    return lowering.tiled(f"{name}.row_tile", source.rows, rows, tile, tiling.depth, tiling.edge)


def row_spectrum(
    lowering: ButterflyLowering, name: str, x: Matrix, fraction: int, blocks: int = 1
) -> tuple[Matrix, Node]:
    """Return the spectrum of the rows of `x`, with space for all points, and what makes it."""
    columns = x.values.columns
    points = log_points(columns // blocks)
    pitch = scratchpad_pitch(blocks << points, "int16", lowering.config.lanes)
    y = lowering.complex_matrix(f"{name}.row_spectrum", x.room, blocks << points, fraction, pitch)
    y = replace(y, tokens=x.tokens, features=columns)
    return y, lowering.fourier(name, x, y, points, axis=Axis.HIDDEN, blocks=blocks)


def tile_rows(lowering: ButterflyLowering, matrix: Buffer, tiling: Tiling) -> int:
    """Return the tokens of a tile."""
    return min(tiling.width or lowering.config.butterfly.lanes, matrix.rows)


def tile_columns(lowering: ButterflyLowering, matrix: Buffer, tiling: Tiling) -> int:
    """Return the features of a tile."""
    return min(WORD_NUMBERS * (tiling.width or lowering.config.butterfly.lanes), matrix.columns)


class StreamedMixing:
    """Fourier mixing; the spectrum between its two transforms is in DRAM.

    Parameters
    ----------
    lowering : ButterflyLowering
    name : str
    fraction, spectrum_fraction : int
        Fraction bits of input and sum, and of the spectrum.
    scale : int
        What is added is multiplied by 2^-scale.
    rows, columns : Tiling
        Of the transform along the features, and of that along the tokens.
    """

    def __init__(
        self,
        lowering: ButterflyLowering,
        name: str,
        fraction: int,
        spectrum_fraction: int,
        scale: int,
        rows: Tiling = WHOLE_LANES,
        columns: Tiling = WHOLE_LANES,
    ) -> None:
        self.lowering, self.name, self.rows, self.columns = lowering, name, rows, columns
        self.fraction, self.spectrum_fraction, self.scale = fraction, spectrum_fraction, scale

    def steps(self, source: Buffer, target: Buffer) -> tuple[list[Node], list[Node]]:
        """Return the nodes along the features, and those along the tokens.

        They write the sum of `source` and its mixing to `target`. Rows that are no power of two
        are padded, and as many frequencies as features are kept.

        Raises
        ------
        CompileError
            If the tokens are no power of two.
        """
        tokens = source.rows
        if tokens & (tokens - 1) or tokens < 2:
            raise CompileError(f"{self.name}: tokens must be a power of two, not {tokens}")
        trips = self._trips(source, target)
        if self.columns.log_first and self.columns.resident:
            return self._first_trip(trips), trips.second_trip()
        spectrum = self.lowering.memory.dram(
            f"{self.name}.spectrum.spilled", "int16", 2 * tokens, source.columns, OUTPUT_WINDOW
        )
        fractions = self.fraction, self.spectrum_fraction
        rows = stream_spectrum(
            self.lowering, self.name, source, spectrum, fractions, tiling=self.rows
        )
        if self.columns.log_first:
            return rows, [*trips.first_trip(spectrum), *trips.second_trip()]
        return rows, self._along_tokens(source, spectrum, target)

    def _trips(self, source: Buffer, target: Buffer) -> SplitColumns:
        """Return the two trips along the tokens; rows of few features fill a tile together."""
        columns = tile_columns(self.lowering, source, self.columns)
        return SplitColumns(
            self.lowering,
            self.name,
            source,
            target,
            (self.spectrum_fraction, self.fraction),
            self.scale,
            self.columns.log_first,
            columns,
            self.columns.depth,
            WORD_NUMBERS * self.columns.edge,
            WORD_NUMBERS * self.columns.width // source.columns,
        )

    def _first_trip(self, trips: SplitColumns) -> list[Node]:
        """Return the first trip along the tokens, of rows transformed along the features."""
        together = power_of_two(min(self.rows.width // trips.first, trips.second))

        def transform(x: Matrix) -> tuple[Matrix, Node]:
            return row_spectrum(self.lowering, self.name, x, self.spectrum_fraction)

        return trips.first_trip_from_rows(transform, together, self.rows.depth)

    def _along_tokens(self, source: Buffer, spectrum: Buffer, target: Buffer) -> list[Node]:
        lowering, name, tokens = self.lowering, self.name, source.rows
        columns = tile_columns(lowering, source, self.columns)

        def tile(first: Affine, count: Affine) -> list[Node]:
            y = lowering.matrix(f"{name}.sum_columns", tokens, columns, self.fraction, tight=True)
            x = lowering.complex_matrix(
                f"{name}.columns", tokens, columns, self.spectrum_fraction, y.values.pitch
            )
            x, y = replace(x, features=count), replace(y, features=count)
            node = lowering.fourier(
                name,
                x,
                y,
                log_points(tokens),
                axis=Axis.TOKENS,
                exponent=-self.scale,
                accumulate=True,
            )
            return [
                load(part(spectrum, 0, first, tokens, count), x.whole(), name),
                load(part(spectrum, tokens, first, tokens, count), x.whole(tokens), name),
                load(part(source, 0, first, columns=count), y.whole(), name),
                node,
                store(y.whole(), part(target, 0, first, columns=count), name),
            ]

        return lowering.tiled(
            f"{name}.column_tile",
            source.columns,
            columns,
            tile,
            self.columns.depth,
            WORD_NUMBERS * self.columns.edge,
        )
