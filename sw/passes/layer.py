"""What the parts of a layer's lowering share."""

from __future__ import annotations

from dataclasses import dataclass

from ..gir import Affine, Buffer, Node, Operation, Parallel, Slice
from ..quantise import QuantisedLayer
from .build import block, load, normalise, part
from .memory import Memory
from .tiling import Shape, Tiling


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
    """One layer's lowering: sizes, choices, numbers, and a prefix for its names."""

    shape: Shape
    tiling: Tiling
    memory: Memory
    number: int
    layer: QuantisedLayer

    def name(self, name: str) -> str:
        """Return `name` with the layer's number before it."""
        return f"{self.number}.{name}"

    def token_blocks(
        self, loop: str, buffers: tuple[Buffer, ...], body: list[Node], step: int | None = None
    ) -> Parallel:
        """Return a parallel node over blocks of tokens."""
        step = step or self.tiling.rows
        return Parallel(self.name(loop), 0, self.shape.sequence, step, buffers, tuple(body))

    def tokens(self, loop: str, step: int | None = None) -> tuple[Affine, Affine]:
        """Return the first token and the number of tokens of an iteration of `loop`."""
        number, extent = block(self.name(loop))
        return number * (step or self.tiling.rows), extent

    def constant(self, name: str, dtype: str, rows: int, columns: int) -> Buffer:
        """Declare a matrix of the layer's in DRAM."""
        return self.memory.dram(self.name(name), dtype, rows, columns)

    def resident_scales(self, name: str, rows: int, columns: int) -> tuple[Buffer, Operation]:
        """Return vectors of scale words in the scratchpad, and the node that loads them."""
        source = self.constant(name, "scale", rows, columns)
        target = self.memory.declare(self.memory.scales(self.name(f"{name}.copy"), rows, columns))
        return target, load(part(source), part(target), self.name(name))

    def norm(self, name: str) -> tuple[Buffer, Operation]:
        """Return gain and bias of a norm in the scratchpad, and the node that loads them."""
        source = self.constant(name, "int16", 2, self.shape.hidden)
        target = self.memory.results(self.name(f"{name}.copy"), 2, self.shape.hidden)
        return self.memory.declare(target), load(part(source), part(target), self.name(name))

    def normalise(
        self, x: Slice, parameter: Buffer, fraction: int, epsilon: int, product: str
    ) -> Operation:
        """Return the node that normalises `x` in place."""
        return normalise(x, part(parameter), x, fraction, epsilon, self.name(product))
