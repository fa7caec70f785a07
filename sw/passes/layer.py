"""What the parts of a layer's lowering share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..gir import Affine, Buffer, Node, Operation, Parallel, Slice
from ..quantise import QuantisedLayer
from .build import block, load, normalise, part
from .memory import Memory
from .tiling import Shape, Span, Tiling


@dataclass(frozen=True)
class Operand:
    """An int8 matrix in the scratchpad and its scale words.

    Parameters
    ----------
    values : Buffer
        int8 [rows, columns].
    scales : Buffer
        One vector of scale words, or one for each group of columns.
    """

    values: Buffer
    scales: Buffer

    def rows(self, row: Affine | int, rows: Affine | int) -> tuple[Slice, Slice]:
        """Return some rows with their scales."""
        return part(self.values, row, rows=rows), part(self.scales, 0, row, 1, rows)

    def all(self) -> tuple[Slice, Slice]:
        """Return all rows with their scales."""
        return self.rows(0, self.values.rows)


@dataclass(frozen=True)
class LayerContext:
    """One layer's lowering: sizes, choices, numbers, and the tokens that a pass covers.

    Parameters
    ----------
    shape : Shape
    tiling : Tiling
    memory : Memory
    number : int
        Of the layer; it begins all names.
    layer : QuantisedLayer
    span : Span
        The tokens of this pass, all of them outside `passes`.
    blocks : int
        Equal parts of the tokens of which loops take one step each in turn.
    """

    shape: Shape
    tiling: Tiling
    memory: Memory
    number: int
    layer: QuantisedLayer
    span: Span
    blocks: int = 1

    def passes(self) -> Iterator[LayerContext]:
        """Yield the context of each pass of `Tiling.tokens` tokens."""
        for span in self.tiling.passes(self.shape):
            yield replace(self, span=span)

    def name(self, name: str) -> str:
        """Return the name of what belongs to this pass."""
        return f"{self.number}.{name}{self.span.name}"

    def product(self, name: str) -> str:
        """Return the name of what all passes share: products, weights, constants."""
        return f"{self.number}.{name}"

    def token_blocks(
        self, loop: str, buffers: tuple[Buffer, ...], body: list[Node], step: int | None = None
    ) -> Parallel:
        """Return a parallel node over blocks of the tokens of this pass."""
        step = step or self.tiling.rows
        length = self.span.length // self.blocks
        if self.blocks == 1:
            return Parallel(self.name(loop), 0, length, step, buffers, tuple(body))
        inner = Parallel(self.name(f"{loop}.part"), 0, self.blocks, 1, buffers, tuple(body))
        return Parallel(self.name(loop), 0, length, step, (), (inner,))

    def tokens(self, loop: str, step: int | None = None) -> tuple[Affine, Affine]:
        """Return the first token, counted in this pass, and their number in an iteration."""
        number, extent = block(self.name(loop))
        first = number * (step or self.tiling.rows)
        if self.blocks > 1:
            part_number, _ = block(self.name(f"{loop}.part"))
            first += part_number * (self.span.length // self.blocks)
        return first, extent

    def block_rows(self) -> int:
        """Return the most tokens of a block."""
        return min(self.tiling.rows, self.span.length)

    def constant(self, name: str, dtype: str, rows: int, columns: int) -> Buffer:
        """Declare a matrix of the layer's in DRAM."""
        return self.memory.dram(self.product(name), dtype, rows, columns)

    def resident_scales(self, name: str, rows: int, columns: int) -> tuple[Buffer, list[Node]]:
        """Return vectors of scale words in the scratchpad, and what loads each of them once."""
        target = self.memory.scales(self.product(f"{name}.copy"), rows, columns)
        return self._resident(name, self.constant(name, "scale", rows, columns), target, step=1)

    def norm(self, name: str) -> tuple[Buffer, list[Node]]:
        """Return gain and bias of a norm in the scratchpad, and what loads them once."""
        source = self.constant(name, "int16", 2, self.shape.hidden)
        target = self.memory.results(self.product(f"{name}.copy"), 2, self.shape.hidden)
        return self._resident(name, source, target, step=source.rows)

    def _resident(
        self, name: str, source: Buffer, target: Buffer, step: int
    ) -> tuple[Buffer, list[Node]]:
        """Return `target`, and what fills it `step` rows at a time in the first pass."""
        copies: list[Node] = [
            load(part(source, row, rows=step), part(target, row, rows=step), self.product(name))
            for row in range(0, target.rows, step)
        ]
        return self.memory.declare(target), [] if self.span.offset else copies

    def normalise(
        self, x: Slice, parameter: Buffer, y: Slice, fraction: int, epsilon: int, product: str
    ) -> Operation:
        """Return the node that normalises `x` to `y`."""
        return normalise(x, part(parameter), y, fraction, epsilon, self.product(product))
