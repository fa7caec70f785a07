"""Butterfly operators on matrices in DRAM, a tile at a time in the scratchpad.

Along the features tiles are blocks of tokens, along the tokens they are blocks of features, so that
a transform never leaves the scratchpad while it is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...hw.isa import Axis
from ..errors import CompileError
from ..gir import Affine, Buffer, Node, scratchpad_pitch
from .build import load, part, store
from .butterfly import Matrix
from .butterfly_layers import ButterflyLowering, log_points
from .memory import OUTPUT_WINDOW

WORD_NUMBERS = 4
"""int16 of a word."""

DEPTH = 2
"""Tiles that may be under way."""

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
    depth: int = DEPTH,
    width: int = 0,
    in_place: bool = False,
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
    depth : int
        Tiles that may be under way.
    width : int
        Tokens of a block; as many as the unit has lanes unless given. The unit fills its pipeline
        once for all of them.
    in_place : bool
        Whether Y takes the place of X, so that more blocks may be under way; `body` allows it.
    """
    rows = tile_rows(lowering, source, width)

    def tile(first: Affine, count: Affine) -> list[Node]:
        x = lowering.matrix(f"{name}.x", rows, source.columns, fractions[0])
        y = x.at(fractions[1])
        if not in_place:
            y = lowering.matrix(f"{name}.y", rows, target.columns, fractions[1], room)
        x, y = replace(x, tokens=count), replace(y, tokens=count)
        return [
            load(part(source, first, rows=count), x.whole(), name),
            *body(x, y),
            store(y.whole(), part(target, first, rows=count), name),
        ]

    return lowering.tiled(f"{name}.row_tile", source.rows, rows, tile, depth)


def stream_features(
    lowering: ButterflyLowering,
    name: str,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    body: Body,
    depth: int = DEPTH,
    width: int = 0,
) -> list[Node]:
    """Return a loop over blocks of features, `width` words each; see `stream_tokens`."""
    columns = tile_columns(lowering, source, width)

    def tile(first: Affine, count: Affine) -> list[Node]:
        x = lowering.matrix(f"{name}.x", source.rows, columns, fractions[0])
        y = lowering.matrix(f"{name}.y", target.rows, columns, fractions[1])
        x, y = replace(x, features=count), replace(y, features=count)
        return [
            load(part(source, 0, first, columns=count), x.whole(), name),
            *body(x, y),
            store(y.whole(), part(target, 0, first, columns=count), name),
        ]

    return lowering.tiled(f"{name}.column_tile", source.columns, columns, tile, depth)


def tile_rows(lowering: ButterflyLowering, matrix: Buffer, width: int) -> int:
    """Return the tokens of a block of `width`, or of one a lane if that is zero."""
    return min(width or lowering.config.butterfly.lanes, matrix.rows)


def tile_columns(lowering: ButterflyLowering, matrix: Buffer, width: int) -> int:
    """Return the features of a block of `width` words, or of one a lane if that is zero."""
    return min(WORD_NUMBERS * (width or lowering.config.butterfly.lanes), matrix.columns)


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
    depth : int
        Tiles that may be under way.
    width : int
        Tokens, or words of features, of a tile; as many as the unit has lanes unless given.
    """

    def __init__(
        self,
        lowering: ButterflyLowering,
        name: str,
        fraction: int,
        spectrum_fraction: int,
        scale: int,
        depth: int = DEPTH,
        width: int = 0,
    ) -> None:
        self.lowering, self.name, self.depth, self.width = lowering, name, depth, width
        self.fraction, self.spectrum_fraction, self.scale = fraction, spectrum_fraction, scale

    def nodes(self, source: Buffer, target: Buffer) -> list[Node]:
        """Return the nodes that write the sum of `source` and its mixing to `target`.

        Rows that are no power of two are padded, and as many frequencies as features are kept.

        Raises
        ------
        CompileError
            If the tokens are no power of two.
        """
        tokens = source.rows
        if tokens & (tokens - 1) or tokens < 2:
            raise CompileError(f"{self.name}: tokens must be a power of two, not {tokens}")
        spectrum = self.lowering.memory.dram(
            f"{self.name}.spectrum.spilled", "int16", 2 * tokens, source.columns, OUTPUT_WINDOW
        )
        return [
            *self.along_features(source, spectrum),
            *self._along_tokens(source, spectrum, target),
        ]

    def along_features(self, source: Buffer, spectrum: Buffer) -> list[Node]:
        """Return the nodes that transform the rows of `source`.

        `spectrum` is int16 [2 · tokens, features], real parts above imaginary ones.
        """
        lowering, name, features = self.lowering, self.name, source.columns
        points = log_points(features)
        rows = tile_rows(lowering, source, self.width)
        pitch = scratchpad_pitch(1 << points, "int16", lowering.config.lanes)

        def tile(first: Affine, count: Affine) -> list[Node]:
            x = lowering.matrix(f"{name}.rows", rows, features, self.fraction)
            y = lowering.complex_matrix(
                f"{name}.row_spectrum", rows, features, self.spectrum_fraction, pitch
            )
            x, y = replace(x, tokens=count), replace(y, tokens=count)
            below = part(spectrum, first + source.rows, rows=count)
            return [
                load(part(source, first, rows=count), x.whole(), name),
                lowering.fourier(name, x, y, points, axis=Axis.HIDDEN),
                store(y.whole(), part(spectrum, first, rows=count), name),
                store(y.whole(rows), below, name),
            ]

        return lowering.tiled(f"{name}.row_tile", source.rows, rows, tile, self.depth)

    def _along_tokens(self, source: Buffer, spectrum: Buffer, target: Buffer) -> list[Node]:
        lowering, name, tokens = self.lowering, self.name, source.rows
        columns = tile_columns(lowering, source, self.width)

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

        return lowering.tiled(f"{name}.column_tile", source.columns, columns, tile, self.depth)
