"""Lower encoder layers to a tiled graph: which moves and computations, on which blocks.

Attention goes by groups of heads, and in a group by blocks of query rows. V is computed as
``Vᵀ [channel, token]`` by swapping the operands of its projection, so that nothing is transposed
and its run-time scale is one a channel. Output projection and feed-forward part accumulate into
the residual stream in place, so that a scale a row and block of K costs no pass and every weight
is loaded once.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...hw.config import AcceleratorConfig
from ..gir import Buffer, Graph, Node
from ..quantise import QuantisedLayer
from .attention import AttentionLowering, mask_buffer
from .build import load, part, quantise, store
from .feed_forward import FeedForwardLowering
from .layer import LayerContext, Operand
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .tiling import Shape, Tiling


def lower(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    tiling: Tiling,
    config: AcceleratorConfig,
) -> Graph:
    """Return the graph of `layers`, executed one after the other.

    Buffer ``input`` in DRAM is the first layer's input, int16 [sequence, hidden]; ``output`` is the
    last one's output. The weights of layer i are in the DRAM buffers ``i.query`` and so on, which
    `sw.passes.constants` fills. With a mask, ``mask`` is int16 [sentences, tokens of the longest],
    which is added to the scores of every query with the key of that token. Where the residual
    stream does not stay in the scratchpad during attention, each layer leaves a copy of its output
    in DRAM for the sum after it.
    """
    memory = Memory(config)
    source: Buffer | None = memory.dram(
        "input", "int16", shape.sequence, shape.hidden, INPUT_WINDOW
    )
    body = _masks(memory, shape, tiling)
    before: Buffer | None = None
    for position, (number, layer) in enumerate(layers):
        target = None
        is_last = position == len(layers) - 1
        if is_last or not tiling.keep_residual:
            name = "output" if is_last else f"{number}.spilled"
            target = memory.dram(name, "int16", shape.sequence, shape.hidden, OUTPUT_WINDOW)
        context = LayerContext(shape, tiling, memory, number, layer)
        body += _layer(context, source, before, target)
        source, before = target, _residual(context)
    name = "encoder " + " ".join(str(number) for number, _ in layers)
    return Graph(name, tuple(memory.buffers), tuple(body))


def _masks(memory: Memory, shape: Shape, tiling: Tiling) -> list[Node]:
    """Load what masks the keys, once for all layers."""
    if not shape.masked:
        return []
    source = memory.dram("mask", "int16", len(shape.lengths), shape.longest, INPUT_WINDOW)
    nodes: list[Node] = []
    for number, span in enumerate(shape.spans):
        target = mask_buffer(memory, shape, tiling, span)
        assert target is not None
        row = part(source, number, rows=1, columns=span.length)
        nodes.append(load(row, part(target, rows=1), "mask"))
    return nodes


def _layer(
    context: LayerContext, source: Buffer | None, before: Buffer | None, target: Buffer | None
) -> list[Node]:
    """Lower a layer: its input is in DRAM at `source`, or still in `before`, the last residual."""
    keep = context.tiling.keep_residual
    residual = _residual(context)
    x = _operand(context, "input")
    attention = AttentionLowering(context, x)
    norm, load_norm = context.norm("attention_norm")
    wide = before or (residual if keep else None)
    nodes = [_input(context, None if before else source, wide, x), *attention.heads()]
    if not keep and source is not None:
        nodes.append(_reload(context, source, residual))
    nodes += [attention.projection(residual), load_norm]
    hidden = _operand(context, "hidden")
    nodes.append(_hidden(context, residual, norm, hidden))
    nodes += FeedForwardLowering(context, hidden, residual).nodes()
    nodes += _output(context, residual, target)
    return nodes


def _residual(context: LayerContext) -> Buffer:
    name = "residual" if context.tiling.keep_residual else context.name("residual")
    shape = context.shape
    return context.memory.declare(context.memory.results(name, shape.sequence, shape.hidden))


def _operand(context: LayerContext, name: str) -> Operand:
    shape, memory, name = context.shape, context.memory, context.name(name)
    return Operand(
        memory.declare(memory.operand(name, shape.sequence, shape.hidden)),
        memory.declare(memory.scales(f"{name}.scales", 1, shape.sequence)),
    )


def _input(
    context: LayerContext, source: Buffer | None, residual: Buffer | None, x: Operand
) -> Node:
    """Load the input, unless it is there, and quantise it."""
    shape, product = context.shape, context.name("input")
    first, count = context.tokens("input_rows")
    buffers: tuple[Buffer, ...] = ()
    if residual is None:
        rows = min(context.tiling.rows, shape.sequence)
        staging = context.memory.results(
            context.name("input.wide"), rows, shape.hidden, context.tiling.depth
        )
        buffers, wide = (staging,), part(staging, rows=count)
    else:
        wide = part(residual, first, rows=count)
    body: list[Node] = (
        [] if source is None else [load(part(source, first, rows=count), wide, product)]
    )
    fraction = context.layer.fractions.input
    body.append(quantise(wide, x.rows(first, count), fraction, product))
    return context.token_blocks("input_rows", buffers, body)


def _reload(context: LayerContext, source: Buffer, residual: Buffer) -> Node:
    first, count = context.tokens("reload_rows")
    rows = part(source, first, rows=count)
    node = load(rows, part(residual, first, rows=count), context.name("residual"))
    return context.token_blocks("reload_rows", (), [node])


def _hidden(context: LayerContext, residual: Buffer, norm: Buffer, hidden: Operand) -> Node:
    """Normalise the sum after attention in place, and quantise a copy."""
    layer, product = context.layer, "attention_norm"
    first, count = context.tokens("hidden_rows")
    rows = part(residual, first, rows=count)
    fraction = layer.fractions.hidden
    body: list[Node] = [
        context.normalise(rows, norm, fraction, layer.attention_epsilon, product),
        quantise(rows, hidden.rows(first, count), fraction, context.name(product)),
    ]
    return context.token_blocks("hidden_rows", (), body)


def _output(context: LayerContext, residual: Buffer, target: Buffer | None) -> list[Node]:
    """Normalise the sum after the feed-forward part in place, and store it."""
    layer, product = context.layer, "output_norm"
    norm, load_norm = context.norm(product)
    first, count = context.tokens("output_rows")
    rows = part(residual, first, rows=count)
    body: list[Node] = [
        context.normalise(rows, norm, layer.fractions.output, layer.output_epsilon, product)
    ]
    if target is not None:
        body.append(store(rows, part(target, first, rows=count), context.name(product)))
    return [load_norm, context.token_blocks("output_rows", (), body)]
