"""Lower the feed-forward part: chunks of hidden channels, summed into the residual stream."""

from __future__ import annotations

from ..gir import Buffer, Node, Parallel
from .build import block, load, matmul, part, quantise
from .layer import LayerContext, Operand

CONTRACT, CONTRACT_UNBIASED = range(2)
"""Rows of the scale words of the second product."""


class FeedForwardLowering:
    """Lowers one layer's feed-forward part.

    Parameters
    ----------
    context : LayerContext
        Of the pass.
    x : Operand
        Its input, int8 [tokens, hidden].
    residual : Buffer
        int16 [tokens, hidden], to which the result is added in place.
    """

    def __init__(self, context: LayerContext, x: Operand, residual: Buffer) -> None:
        self.context, self.x, self.residual = context, x, residual
        self.chunk = min(context.tiling.chunk, context.shape.intermediate)
        self.step = min(context.tiling.contract or context.shape.hidden, context.shape.hidden)

    def nodes(self) -> list[Node]:
        """Return the nodes of the feed-forward part; the first chunk brings the bias."""
        context, shape = self.context, self.context.shape
        self._expand_scales, load_expand = context.resident_scales(
            "expand.scales", 1, shape.intermediate
        )
        self._contract_scales, load_contract = context.resident_scales(
            "contract.scales", CONTRACT_UNBIASED + 1, shape.hidden
        )
        nodes: list[Node] = [*load_expand, *load_contract]
        nodes.append(self._chunks(0, self.chunk, CONTRACT))
        if self.chunk < shape.intermediate:
            nodes.append(self._chunks(self.chunk, shape.intermediate, CONTRACT_UNBIASED))
        return nodes

    def _chunks(self, start: int, stop: int, scale_row: int) -> Node:
        context, shape = self.context, self.context.shape
        memory, depth = context.memory, context.tiling.depth
        number, channels = block(context.name("chunk"))
        first = number * self.chunk
        weights = context.product("expand.weights")
        expand = memory.operand(weights, self.chunk, shape.hidden, depth)
        tokens = context.span.length
        activated = Operand(
            memory.operand(context.name("activated"), tokens, self.chunk, depth),
            memory.scales(context.name("activated.scales"), 1, tokens, depth),
        )
        expand_source = context.constant("expand", "int8", shape.intermediate, shape.hidden)
        body: tuple[Node, ...] = (
            load(
                part(expand_source, first, rows=channels),
                part(expand, rows=channels),
                context.product("expand"),
            ),
            self._expand(expand, activated),
            self._contract(activated, scale_row),
        )
        buffers = (expand, activated.values, activated.scales)
        return Parallel(context.name("chunk"), start, stop, self.chunk, buffers, body)

    def _expand(self, weights: Buffer, activated: Operand) -> Node:
        context = self.context
        number, channels = block(context.name("chunk"))
        first, count = context.tokens("expand_rows")
        staging = context.memory.results(
            context.name("expanded"), context.block_rows(), self.chunk, context.tiling.depth
        )
        wide = part(staging, rows=count, columns=channels)
        scales = part(self._expand_scales, 0, number * self.chunk, 1, channels)
        fraction = context.layer.fractions.expanded
        y = (
            part(activated.values, first, 0, count, channels),
            part(activated.scales, 0, first, 1, count),
        )
        body: list[Node] = [
            matmul(
                self.x.rows(first, count),
                (part(weights, rows=channels), scales),
                wide,
                fraction,
                context.product("expand"),
            ),
            quantise(wide, y, fraction, context.product("expand"), context.shape.activation),
        ]
        return context.token_blocks("expand_rows", (staging,), body)

    def _contract(self, activated: Operand, scale_row: int) -> Node:
        """Add the product with a chunk's weights to the residual, a block of channels at a time."""
        context, shape = self.context, self.context.shape
        chunk, chunk_channels = block(context.name("chunk"))
        loop, product = context.name("contract_block"), context.product("contract")
        number, channels = block(loop)
        first, count = context.tokens("contract_rows")
        source = context.constant("contract", "int8", shape.hidden, shape.intermediate)
        weights = context.memory.operand(
            context.product("contract.weights"), self.step, self.chunk, context.tiling.depth
        )
        used = part(weights, rows=channels, columns=chunk_channels)
        rows = part(source, number * self.step, chunk * self.chunk, channels, chunk_channels)
        y = part(self.residual, first, number * self.step, count, channels)
        a = (
            part(activated.values, first, 0, count, chunk_channels),
            part(activated.scales, 0, first, 1, count),
        )
        b = used, part(self._contract_scales, scale_row, number * self.step, 1, channels)
        fraction = context.layer.fractions.summed
        body: tuple[Node, ...] = (
            load(rows, used, product),
            context.token_blocks("contract_rows", (), [matmul(a, b, y, fraction, product, y)]),
        )
        return Parallel(loop, 0, shape.hidden, self.step, (weights,), body)
