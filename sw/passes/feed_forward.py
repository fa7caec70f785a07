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
    x : Operand
        Its input, int8 [sequence, hidden].
    residual : Buffer
        int16 [sequence, hidden], to which the result is added in place.
    """

    def __init__(self, context: LayerContext, x: Operand, residual: Buffer) -> None:
        self.context, self.x, self.residual = context, x, residual
        self.chunk = min(context.tiling.chunk, context.shape.intermediate)

    def nodes(self) -> list[Node]:
        """Return the nodes of the feed-forward part; the first chunk brings the bias."""
        context, shape = self.context, self.context.shape
        self._expand_scales, load_expand = context.resident_scales(
            "expand.scales", 1, shape.intermediate
        )
        self._contract_scales, load_contract = context.resident_scales(
            "contract.scales", CONTRACT_UNBIASED + 1, shape.hidden
        )
        nodes: list[Node] = [load_expand, load_contract]
        nodes.append(self._chunks(0, self.chunk, CONTRACT))
        if self.chunk < shape.intermediate:
            nodes.append(self._chunks(self.chunk, shape.intermediate, CONTRACT_UNBIASED))
        return nodes

    def _chunks(self, start: int, stop: int, scale_row: int) -> Node:
        context, shape = self.context, self.context.shape
        memory, depth = context.memory, context.tiling.depth
        number, channels = block(context.name("chunk"))
        first = number * self.chunk
        expand = memory.operand(context.name("expand.weights"), self.chunk, shape.hidden, depth)
        contract = memory.operand(context.name("contract.weights"), shape.hidden, self.chunk, depth)
        activated = Operand(
            memory.operand(context.name("activated"), shape.sequence, self.chunk, depth),
            memory.scales(context.name("activated.scales"), 1, shape.sequence, depth),
        )
        expand_source = context.constant("expand", "int8", shape.intermediate, shape.hidden)
        contract_source = context.constant("contract", "int8", shape.hidden, shape.intermediate)
        body: tuple[Node, ...] = (
            load(
                part(expand_source, first, rows=channels),
                part(expand, rows=channels),
                context.name("expand"),
            ),
            self._expand(expand, activated),
            load(
                part(contract_source, 0, first, columns=channels),
                part(contract, columns=channels),
                context.name("contract"),
            ),
            self._contract(contract, activated, scale_row),
        )
        buffers = (expand, contract, activated.values, activated.scales)
        return Parallel(context.name("chunk"), start, stop, self.chunk, buffers, body)

    def _expand(self, weights: Buffer, activated: Operand) -> Node:
        context = self.context
        number, channels = block(context.name("chunk"))
        first, count = context.tokens("expand_rows")
        rows = min(context.tiling.rows, context.shape.sequence)
        staging = context.memory.results(
            context.name("expanded"), rows, self.chunk, context.tiling.depth
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
                context.name("expand"),
            ),
            quantise(wide, y, fraction, context.name("expand"), context.shape.activation),
        ]
        return context.token_blocks("expand_rows", (staging,), body)

    def _contract(self, weights: Buffer, activated: Operand, scale_row: int) -> Node:
        context = self.context
        _, channels = block(context.name("chunk"))
        first, count = context.tokens("contract_rows")
        y = part(self.residual, first, rows=count)
        a = (
            part(activated.values, first, 0, count, channels),
            part(activated.scales, 0, first, 1, count),
        )
        b = part(weights, columns=channels), part(self._contract_scales, scale_row, rows=1)
        fraction = context.layer.fractions.hidden
        product = matmul(a, b, y, fraction, context.name("contract"), y)
        return context.token_blocks("contract_rows", (), [product])
