"""The int8 input of a layer, which all projections of attention multiply."""

from __future__ import annotations

from ..gir import SPILLED, Affine, Buffer, Node, Slice
from .build import load, part, store
from .layer import LayerContext
from .memory import OUTPUT_WINDOW

Rows = tuple[tuple[Slice, Slice], tuple[Buffer, ...], list[Node]]
"""Some rows with their scales, the buffers that they need, and what moves them."""


class LayerInput:
    """The input of a layer, int8 [tokens, channels] with a scale a token.

    The scales stay in the scratchpad. The values do too if `Tiling.keep_input` says so; otherwise
    they lie in DRAM, and each projection loads them block by block.

    Parameters
    ----------
    context : LayerContext
        Of the layer, all tokens.
    name : str
        Of the buffer in the scratchpad.
    """

    def __init__(self, context: LayerContext, name: str = "input") -> None:
        shape, memory = context.shape, context.memory
        self.context, self.name = context, context.name(name)
        self.scales = memory.declare(memory.scales(f"{self.name}.scales", 1, shape.sequence))
        self.values: Buffer | None = None
        if context.tiling.keep_input:
            self.values = memory.declare(memory.operand(self.name, shape.sequence, shape.hidden))
        else:
            name = f"{self.name}{SPILLED}"
            self.spilled = memory.dram(name, "int8", shape.sequence, shape.hidden, OUTPUT_WINDOW)

    def written(self, rows: int, first: Affine, count: Affine) -> Rows:
        """Return where `count` rows are to be written, at most `rows`, and what moves them on."""
        if self.values is not None:
            return self._resident(self.values, first, count), (), []
        staging, block = self._block("written", rows, first, count)
        node = store(block[0], part(self.spilled, first, rows=count), self.name)
        return block, (staging,), [node]

    def read(self, product: str, rows: int, first: Affine, count: Affine) -> Rows:
        """Return `count` rows for a product, at most `rows`, and what loads them before it."""
        if self.values is not None:
            return self._resident(self.values, first, count), (), []
        staging, block = self._block(product, rows, first, count)
        node = load(part(self.spilled, first, rows=count), block[0], self.name)
        return block, (staging,), [node]

    def value_rows(self, length: int) -> int:
        """Return the rows of `length` tokens in a block for the values, whose columns they are.

        Columns begin at words, so that blocks are whole tiles.
        """
        if self.values is not None:
            return length // self.context.blocks
        columns = self.context.memory.config.array.columns
        return min(max(self.context.tiling.rows // columns, 1) * columns, length)

    def _resident(self, values: Buffer, first: Affine, count: Affine) -> tuple[Slice, Slice]:
        return part(values, first, rows=count), part(self.scales, 0, first, 1, count)

    def _block(
        self, product: str, rows: int, first: Affine, count: Affine
    ) -> tuple[Buffer, tuple[Slice, Slice]]:
        memory, depth = self.context.memory, self.context.tiling.depth
        channels = self.context.shape.hidden
        staging = memory.operand(f"{self.name}.{product}", rows, channels, depth)
        return staging, (part(staging, rows=count), part(self.scales, 0, first, 1, count))
