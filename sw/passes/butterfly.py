"""Lower butterfly layers, token mixing and sequence compression to BUTTERFLY nodes.

Matrices are int16 with a fraction that calibration chose. Every method returns nodes on whole
matrices, and puts its constants where `constants` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_order import pass_lengths
from ...hw.config import AcceleratorConfig
from ...hw.isa import Axis, ButterflyMode, Opcode
from ..butterfly.fixed_point import FixedFactors, fix_factors
from ..butterfly.hierarchical import HierarchicalLinear
from ..butterfly.linear import ButterflyLinear
from ..butterfly.twiddle import factor_log_stride
from ..errors import CompileError
from ..gir import Buffer, Compute, Level, Node, Slice, scratchpad_pitch, words
from ..gir_butterfly import IMAGINARY, butterfly_cycles
from ..quantise import to_int16
from .build import load, part
from .memory import Memory


@dataclass(frozen=True)
class Matrix:
    """An int16 matrix [tokens, features] in the scratchpad.

    Parameters
    ----------
    values : Buffer
    fraction : int
        Fraction bits of its numbers.
    tokens, features : int
        Size of the part that counts.
    first_token, first_feature : int
        Where that part begins; features come in fours.
    imaginary : int, optional
        The row of the buffer at which the imaginary parts begin, `first_token` included in neither.
    headroom : int
        Bits that every number leaves unused.
    exponents : Buffer, optional
        Where each block of tokens has an exponent of its own; then `fraction` is 0.
    """

    values: Buffer
    fraction: int
    tokens: int
    features: int
    first_token: int = 0
    first_feature: int = 0
    imaginary: int | None = None
    headroom: int = 0
    exponents: Buffer | None = None

    def slices(self, role: str) -> dict[str, Slice]:
        """Return the slices of a role."""
        result = {role: self._slice(0)}
        if self.imaginary is not None:
            result[role + IMAGINARY] = self._slice(self.imaginary)
        return result

    def whole(self) -> Slice:
        """Return the slice of the real parts."""
        return self._slice(0)

    def _slice(self, row: int) -> Slice:
        return part(
            self.values, row + self.first_token, self.first_feature, self.tokens, self.features
        )

    def columns(self, first: int, count: int) -> Matrix:
        """Return `count` of its features."""
        return replace(self, first_feature=self.first_feature + first, features=count)

    def rows(self, first: int, count: int) -> Matrix:
        """Return `count` of its tokens."""
        return replace(self, first_token=self.first_token + first, tokens=count)


class ButterflyLowering:
    """Makes BUTTERFLY nodes.

    Parameters
    ----------
    memory : Memory
        Where buffers are declared.

    Attributes
    ----------
    constants : dict of str to array
        Contents of the DRAM buffers that it declared.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.config: AcceleratorConfig = memory.config
        self.constants: dict[str, NDArray] = {}
        self._numbers: dict[str, int] = {}

    def matrix(self, name: str, tokens: int, features: int, fraction: int, room: int = 0) -> Matrix:
        """Declare a matrix that may be transformed along either axis.

        `room` is the features that a row must have space for, if more than `features`.
        """
        pitch = scratchpad_pitch(max(features, room), "int16", self.config.lanes)
        buffer = Buffer(name, Level.SCRATCHPAD, "int16", tokens, features, pitch)
        return Matrix(self.memory.declare(buffer), fraction, tokens, features)

    def complex_matrix(
        self, name: str, tokens: int, features: int, fraction: int, pitch: int
    ) -> Matrix:
        """Declare a matrix of complex numbers: the imaginary parts lie below the real ones."""
        buffer = Buffer(name, Level.SCRATCHPAD, "int16", 2 * tokens, features, pitch)
        return Matrix(self.memory.declare(buffer), fraction, tokens, features, imaginary=tokens)

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
            Is not `x`. A row has space for all points, or is at most as long as the layer's
            outputs; then the result is made elsewhere and added.
        accumulate : bool
            Whether the result is added to what is in `y`; a layer that adds has no bias.

        Raises
        ------
        CompileError
            If the layer is complex, or has a bias and adds.
        """
        twiddle = layer.twiddle
        if twiddle.is_complex:
            raise CompileError(f"{name}: complex butterfly coefficients cannot be compiled")
        size = twiddle.size
        if words(size, "int16") > y.values.pitch:
            room = self.matrix(f"{name}.wide", y.tokens, y.features, y.fraction, size)
            nodes = self.linear(name, layer, x, room)
            return [*nodes, *self.add(name, room, y, accumulate=accumulate)]
        nodes = []
        if layer.bias is not None:
            if accumulate:
                raise CompileError(f"{name}: a layer that adds to the residual must have no bias")
            nodes.append(self.preset(name, np.asarray(layer.bias), y))
            accumulate = True
        for stack in range(twiddle.stacks):
            first = stack * size
            target = y.columns(first, min(size, y.features - first))
            source = x
            for block in range(twiddle.blocks):
                increasing = twiddle.block_increases(block)
                strides = [
                    factor_log_stride(factor, twiddle.log_size, increasing)
                    for factor in range(twiddle.log_size)
                ]
                factors = fix_factors(twiddle.coefficients[stack, block], strides, twiddle.log_size)
                last = block == twiddle.blocks - 1
                result = target if last else self._between(name, stack, block, y, size)
                nodes += self.real(name, factors, source, result, accumulate=accumulate and last)
                source = result
        return nodes

    def _between(self, name: str, stack: int, block: int, y: Matrix, size: int) -> Matrix:
        """Declare what lies between two blocks of a chain, with the best exponents."""
        matrix = self.matrix(f"{name}.between_{stack}_{block}", y.tokens, size, 0)
        turns = -(-y.tokens // self.config.lanes)
        exponents = self.memory.scales(f"{name}.exponents_{stack}_{block}", 1, turns)
        return replace(matrix, exponents=self.memory.declare(exponents))

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

        `x` and `y` have as many features as whole tiles, or fewer.

        Raises
        ------
        CompileError
            If the layer is complex, or has a bias and adds.
        """
        if np.iscomplexobj(layer.coefficients):
            raise CompileError(f"{name}: complex butterfly coefficients cannot be compiled")
        down, across, log_size = layer.coefficients.shape[:3]
        nodes: list[Node] = []
        if layer.bias is not None:
            if accumulate:
                raise CompileError(f"{name}: a layer that adds to the residual must have no bias")
            nodes.append(self.preset(name, np.asarray(layer.bias), y))
            accumulate = True
        strides = [
            factor_log_stride(factor, log_size, layer.increasing_stride)
            for factor in range(log_size)
        ]
        # The first diagonal of each tile row and column that is not added must cover all of y.
        for shift in sorted(range(1 - down, across), key=lambda shift: (abs(shift), shift)):
            rows = range(max(0, -shift), min(down, across - shift))
            tiles = [layer.coefficients[row, row + shift] for row in rows]
            factors = fix_factors(np.concatenate(tiles, axis=1), strides, log_size)
            source = self._tiles(x, rows[0] + shift, len(rows), layer.tile)
            target = self._tiles(y, rows[0], len(rows), layer.tile)
            covers = shift == 0 and not accumulate
            if covers and len(rows) < down:
                nodes.append(self.preset(name, np.zeros(y.features), y))
                covers = False
            nodes += self.real(name, factors, source, target, accumulate=not covers)
        return nodes

    def _tiles(self, matrix: Matrix, first: int, count: int, tile: int) -> Matrix:
        begin = first * tile
        return matrix.columns(begin, min(count * tile, matrix.features - begin))

    def add(self, name: str, x: Matrix, y: Matrix, *, accumulate: bool = True) -> list[Node]:
        """Add `x` to `y`, or copy it: one stage whose matrices are the identity."""
        pairs = -(-y.features // 4) * 2
        matrices = np.broadcast_to(np.eye(2), (1, pairs, 2, 2))
        return self.real(name, fix_factors(matrices, [0], 1), x, y, accumulate=accumulate)

    def preset(self, name: str, row: NDArray[np.floating], y: Matrix) -> Node:
        """Write one row to all tokens of `y`: a LOAD whose rows are at one place in DRAM."""
        buffer_name = self._unique(f"{name}.bias")
        self.constants[buffer_name] = to_int16(row, y.fraction, buffer_name)[None]
        source = Buffer(buffer_name, Level.DRAM, "int16", y.tokens, y.features, 0)
        self.memory.declare(source)
        return load(part(source), y.whole(), name)

    def real(
        self,
        name: str,
        factors: FixedFactors,
        x: Matrix,
        y: Matrix,
        *,
        accumulate: bool = False,
        axis: Axis = Axis.HIDDEN,
    ) -> list[Node]:
        """Apply factors of mode REAL; the first node loads their coefficients."""
        table = factors.words(self.config, tokens=axis == Axis.TOKENS)
        constant = self._unique(f"{name}.coefficients")
        self.constants[constant] = table[None]
        source = self.memory.dram(constant, "coefficient", 1, len(table))
        copy = Buffer(
            f"{constant}.copy", Level.SCRATCHPAD, "coefficient", 1, len(table), len(table)
        )
        self.memory.declare(copy)
        attributes = {
            "mode": ButterflyMode.REAL.value,
            "decreasing": int(factors.decreasing),
            "log_points": factors.log_points,
            "log_stride": factors.log_stride,
            "stages": factors.stages,
            "blocks": factors.blocks,
            "exponent": factors.exponent - x.fraction,
            "growths": factors.growths(self.config.butterfly.stages),
            "accumulate": int(accumulate),
        }
        reads = {**x.slices("x"), "coefficient": part(copy)}
        node = self._node(name, reads, x, y, attributes, axis)
        return [load(part(source), part(copy), name), node]

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
        return self._node(name, x.slices("x"), x, y, attributes, axis)

    def mix(
        self, name: str, x: Matrix, y: Matrix, spectrum_fraction: int, scale: int
    ) -> list[Node]:
        """Add the real part of the 2-D transform of `x`, times 2^-`scale`, to `y`.

        Along the features first, then along the tokens; nothing is transposed.

        Raises
        ------
        CompileError
            If either length is no power of two.
        """
        for axis, length in (("tokens", x.tokens), ("features", x.features)):
            if length & (length - 1) or length < 2:
                raise CompileError(f"{name}: {axis} must be a power of two, not {length}")
        pitch = y.values.pitch
        spectrum = self.complex_matrix(
            f"{name}.spectrum", x.tokens, x.features, spectrum_fraction, pitch
        )
        along = x.features.bit_length() - 1
        across = x.tokens.bit_length() - 1
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
        chunks, rest = divmod(x.tokens, chunk)
        powers = all(size >= 2 and not size & (size - 1) for size in (chunk, kept))
        if rest or not powers or kept > chunk or y.tokens != chunks * kept:
            raise CompileError(
                f"{name}: cannot make {kept} tokens of each {chunk} of {x.tokens} tokens: all but "
                "the last must be powers of two from 2 on, and divide each other"
            )
        spectrum = self.complex_matrix(
            f"{name}.spectrum", x.tokens, x.features, spectrum_fraction, x.values.pitch
        )
        low = self.complex_matrix(
            f"{name}.low", y.tokens, x.features, spectrum_fraction, y.values.pitch
        )
        log_chunk, log_kept = chunk.bit_length() - 1, kept.bit_length() - 1
        nodes: list[Node] = [
            self.fourier(name, x, spectrum, log_chunk, axis=Axis.TOKENS, blocks=chunks)
        ]
        half = kept // 2
        pieces = [(0, 0, kept - half), (chunk - half, kept - half, half)]
        for number in range(chunks):
            for source, target, count in pieces:
                for plane in (0, 1):
                    old = Matrix(
                        spectrum.values,
                        spectrum_fraction,
                        count,
                        x.features,
                        number * chunk + source + plane * x.tokens,
                    )
                    new = Matrix(
                        low.values,
                        spectrum_fraction,
                        count,
                        x.features,
                        number * kept + target + plane * y.tokens,
                    )
                    nodes += self.add(name, old, new, accumulate=False)
        nodes.append(
            self.fourier(
                name,
                low,
                y,
                log_kept,
                axis=Axis.TOKENS,
                blocks=chunks,
                inverse=True,
                exponent=-log_chunk,
            )
        )
        return nodes

    def _node(
        self,
        name: str,
        reads: Mapping[str, Slice],
        x: Matrix,
        y: Matrix,
        attributes: dict[str, int],
        axis: Axis,
    ) -> Node:
        attributes |= {
            "axis": axis.value,
            "x_headroom": x.headroom,
            "y_exponent": -y.fraction,
        }
        reads = dict(reads)
        writes = y.slices("y")
        if x.exponents is not None:
            attributes["x_blocks"] = 1
            reads["exponent"] = part(x.exponents)
        if y.exponents is not None:
            attributes["y_blocks"] = 1
            writes["y_exponent"] = part(y.exponents)
        if len(pass_lengths(attributes["stages"], self.config.butterfly.stages)) > 1:
            is_complex = attributes["mode"] != ButterflyMode.REAL.value
            writes |= self._work(name, x, y, attributes, axis, is_complex).slices("work")
        node = Compute(Opcode.BUTTERFLY, reads, writes, attributes, name)
        return replace(node, work=butterfly_cycles(node, self.config))

    def _work(
        self,
        name: str,
        x: Matrix,
        y: Matrix,
        attributes: Mapping[str, int],
        axis: Axis,
        is_complex: bool,
    ) -> Matrix:
        """Declare the work area: as many vectors as X, all points, the pitch of Y."""
        points = attributes["blocks"] << attributes["log_points"]
        tokens, features = (points, y.features) if axis == Axis.TOKENS else (x.tokens, points)
        # One distance from real to imaginary parts holds for X, Y and the work area.
        pitch = y.values.pitch
        distances = {
            item.imaginary * item.values.pitch for item in (x, y) if item.imaginary is not None
        }
        distance = max([tokens, *(value // pitch for value in distances)])
        rows = distance + tokens if is_complex else tokens
        buffer = Buffer(
            self._unique(f"{name}.work"), Level.SCRATCHPAD, "int16", rows, features, pitch
        )
        self.memory.declare(buffer)
        return Matrix(buffer, 0, tokens, features, imaginary=distance if is_complex else None)

    def _unique(self, name: str) -> str:
        number = self._numbers.get(name, 0)
        self._numbers[name] = number + 1
        # A dot before a number would make it a copy of a buffer of a parallel node.
        return f"{name}_{number}"
