"""Lower butterfly layers, token mixing and sequence compression to BUTTERFLY nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Axis
from ..butterfly.fixed_point import FixedFactors, fix_factors
from ..butterfly.hierarchical import HierarchicalLinear
from ..butterfly.linear import ButterflyLinear
from ..butterfly.twiddle import factor_log_stride
from ..errors import CompileError
from ..gir import Node, words
from ..gir_butterfly import WORD_NUMBERS
from .butterfly import ButterflyBuilder, Matrix


def log_points(length: int) -> int:
    """Return log2 of the points that `length` elements are padded to, at least two."""
    return max(1, (length - 1).bit_length())


class ButterflyLowering(ButterflyBuilder):
    """Lowers layers; a builder with nodes for whole operators."""

    def linear(
        self, name: str, layer: ButterflyLinear, x: Matrix, y: Matrix, *, accumulate: bool = False
    ) -> list[Node]:
        """Apply a layer of any number of inputs, outputs, stacks and blocks to every token.

        Parameters
        ----------
        name : str
            Of the product.
        layer : ButterflyLinear
        x : Matrix
        y : Matrix
            Is not `x`. If its rows have no space for all points, the result is made elsewhere and
            then copied or added.
        accumulate : bool
            Whether the result is added to what is in `y`; a layer that adds has no bias.

        Raises
        ------
        CompileError
            If the layer is complex, has a bias and adds, or has stacks that begin in a word.
        """
        twiddle = layer.twiddle
        _require_real(name, twiddle.coefficients)
        size = twiddle.size
        if twiddle.stacks > 1 and size < WORD_NUMBERS:
            raise CompileError(
                f"{name}: {layer.out_features} outputs of {layer.in_features} inputs need stacks "
                f"of at least {WORD_NUMBERS} points, not {size}"
            )
        if words(size, "int16") > y.values.pitch:
            room = self.matrix(f"{name}.wide", y.room, max(size, layer.out_features), y.fraction)
            room = replace(room, tokens=y.tokens, features=layer.out_features)
            nodes = self.linear(name, layer, x, room)
            return [*nodes, self.add(name, room, y, layer.out_features, accumulate=accumulate)]
        nodes = self._bias(name, layer.bias, y, accumulate)
        accumulate |= bool(nodes)
        for stack in range(twiddle.stacks):
            first = stack * size
            target = y.columns(first, min(size, layer.out_features - first))
            source = x
            for block in range(twiddle.blocks):
                increasing = twiddle.block_increases(block)
                factors = _block_factors(
                    _whole_words(twiddle.coefficients[stack, block]), increasing
                )
                last = block == twiddle.blocks - 1
                result = target if last else self._between(f"{name}.{stack}_{block}", x, size)
                node = self.real(name, factors, source, result, accumulate=accumulate and last)
                nodes.append(node)
                source = result
        return nodes

    def side_by_side(
        self, name: str, layer: ButterflyLinear, x: Matrix, y: Matrix, together: int
    ) -> Node:
        """Apply a square layer of one stack and block to `together` tokens in each row."""
        _require_real(name, layer.twiddle.coefficients)
        coefficients = np.tile(layer.twiddle.coefficients[0, 0], (1, together, 1, 1))
        factors = _block_factors(coefficients, layer.twiddle.block_increases(0))
        return self.real(name, factors, x, y)

    def _bias(self, name: str, bias: NDArray | None, y: Matrix, accumulate: bool) -> list[Node]:
        """Return the node that writes the bias to `y`, if there is one."""
        if bias is None:
            return []
        if accumulate:
            raise CompileError(f"{name}: a layer that adds to the residual must have no bias")
        return [self.preset(name, np.asarray(bias), y)]

    def _between(self, name: str, x: Matrix, size: int) -> Matrix:
        """Declare what lies between two blocks of a chain, with the best exponents."""
        matrix = self.matrix(f"{name}.between", x.room, size, 0).rows(0, x.tokens)
        turns = -(-x.room // self.config.butterfly.lanes)
        exponents = self.memory.scales(f"{name}.exponents", 1, turns)
        return replace(matrix, exponents=self.declare(exponents))

    def hierarchical(
        self,
        name: str,
        layer: HierarchicalLinear,
        x: Matrix,
        y: Matrix,
        *,
        accumulate: bool = False,
    ) -> list[Node]:
        """Apply a layer of one butterfly a tile; the tiles of a diagonal are one instruction.

        A row of `y` has space for whole tiles.

        Raises
        ------
        CompileError
            If the layer is complex, or has a bias and adds.
        """
        _require_real(name, layer.coefficients)
        down, across = layer.coefficients.shape[:2]
        nodes = self._bias(name, layer.bias, y, accumulate)
        accumulate |= bool(nodes)
        if not accumulate and down > across:
            # The first diagonal does not reach all of y.
            nodes.append(self.preset(name, np.zeros(layer.out_features), y))
            accumulate = True
        for shift in sorted(range(1 - down, across), key=lambda shift: (abs(shift), shift)):
            rows = range(max(0, -shift), min(down, across - shift))
            tiles = [layer.coefficients[row, row + shift] for row in rows]
            factors = _block_factors(np.concatenate(tiles, axis=1), layer.increasing_stride)
            source = _tiles(x, rows[0] + shift, len(rows), layer.tile, layer.in_features)
            target = _tiles(y, rows[0], len(rows), layer.tile, layer.out_features)
            adds = accumulate or shift != 0
            nodes.append(self.real(name, factors, source, target, accumulate=adds))
        return nodes

    def add(
        self, name: str, x: Matrix, y: Matrix, features: int, *, accumulate: bool = True
    ) -> Node:
        """Add `features` columns of `x` to `y`, or copy them: one stage of identity matrices."""
        pairs = -(-features // 4) * 2
        matrices = np.broadcast_to(np.eye(2), (1, pairs, 2, 2))
        return self.real(name, fix_factors(matrices, [0], 1), x, y, accumulate=accumulate)

    def mix(
        self, name: str, x: Matrix, y: Matrix, spectrum_fraction: int, scale: int
    ) -> list[Node]:
        """Add the real part of the 2-D transform of `x`, times 2^-`scale`, to `y`.

        Along the features first, then along the tokens; nothing is transposed. Features that are
        no power of two are padded, and as many frequencies are kept; a row of `y` has space for
        all points.

        Raises
        ------
        CompileError
            If the tokens are no power of two.
        """
        sizes = x.values.rows, x.values.columns
        if sizes[0] & (sizes[0] - 1) or sizes[0] < 2:
            raise CompileError(f"{name}: tokens must be a power of two, not {sizes[0]}")
        spectrum = self.complex_matrix(
            f"{name}.spectrum", *sizes, spectrum_fraction, y.values.pitch
        )
        across, along = (log_points(length) for length in sizes)
        return [
            self.fourier(name, x, spectrum, along, axis=Axis.HIDDEN),
            self.fourier(
                name, spectrum, y, across, axis=Axis.TOKENS, exponent=-scale, accumulate=True
            ),
        ]

    def compress(
        self, name: str, x: Matrix, y: Matrix, chunk: int, kept: int, spectrum_fraction: int
    ) -> list[Node]:
        """Make `kept` tokens of each `chunk`: `butterfly.compress.compress_sequence`.

        All chunks are transformed at once. What is kept of one lies in two pieces of its
        spectrum, which are copied together and transformed back.

        Raises
        ------
        CompileError
            If the numbers do not fit each other, or less than two tokens are kept.
        """
        tokens, features = x.values.rows, x.values.columns
        chunks, rest = divmod(tokens, chunk)
        powers = all(size >= 2 and not size & (size - 1) for size in (chunk, kept))
        if rest or not powers or kept > chunk:
            raise CompileError(
                f"{name}: cannot make {kept} tokens of each {chunk} of {tokens} tokens: all but "
                "the last must be powers of two from 2 on, and divide each other"
            )
        spectrum = self.complex_matrix(
            f"{name}.spectrum", tokens, features, spectrum_fraction, x.values.pitch
        )
        low = self.complex_matrix(
            f"{name}.low", chunks * kept, features, spectrum_fraction, y.values.pitch
        )
        nodes = [
            self.fourier(name, x, spectrum, log_points(chunk), axis=Axis.TOKENS, blocks=chunks)
        ]
        half = kept // 2
        pieces = [(0, 0, kept - half), (chunk - half, kept - half, half)]
        for number in range(chunks):
            for first, target, count in pieces:
                for plane in (0, 1):
                    old = spectrum.rows(number * chunk + first + plane * tokens, count)
                    new = low.rows(number * kept + target + plane * chunks * kept, count)
                    nodes.append(self.add(name, old, new, features, accumulate=False))
        back = self.fourier(
            name,
            low,
            y,
            log_points(kept),
            axis=Axis.TOKENS,
            blocks=chunks,
            inverse=True,
            exponent=-log_points(chunk),
        )
        return [*nodes, back]


def _require_real(name: str, coefficients: NDArray) -> None:
    if np.iscomplexobj(coefficients):
        raise CompileError(f"{name}: complex butterfly coefficients cannot be compiled")


def _whole_words(coefficients: NDArray) -> NDArray:
    """Return the factors of a block, with a second one beside it if that has but two points."""
    missing = max(0, WORD_NUMBERS // 2 - coefficients.shape[1])
    return np.pad(coefficients, ((0, 0), (0, missing), (0, 0), (0, 0)))


def _block_factors(coefficients: NDArray, increasing: bool) -> FixedFactors:
    """Return the factors of butterflies side by side, [log2 n, pairs, 2, 2]."""
    count = len(coefficients)
    strides = [factor_log_stride(factor, count, increasing) for factor in range(count)]
    return fix_factors(coefficients, strides, count)


def _tiles(matrix: Matrix, first: int, count: int, tile: int, features: int) -> Matrix:
    begin = first * tile
    return matrix.columns(begin, min(count * tile, features - begin))
