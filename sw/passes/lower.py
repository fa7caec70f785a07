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
from ..errors import CompileError
from ..gir import SPILLED, Buffer, Graph, Node
from ..quantise import QuantisedLayer
from .attention import AttentionLowering, mask_buffer
from .build import load, part, quantise, store
from .feed_forward import FeedForwardLowering
from .layer import LayerContext, Operand
from .layer_input import LayerInput
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .tiling import Shape, Span, Tiling


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
    in DRAM for the sum after it, from which the next layer takes its input as well if there are
    several passes over the tokens.

    Raises
    ------
    CompileError
        If several passes over the tokens should share a residual stream in the scratchpad.
    """
    divided = len(tiling.passes(shape)) > 1
    if tiling.keep_residual and divided:
        raise CompileError(
            f"tiling: passes of {tiling.tokens} of {shape.sequence} tokens need keep_residual "
            "to be false"
        )
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
            name = "output" if is_last else f"{number}{SPILLED}"
            target = memory.dram(name, "int16", shape.sequence, shape.hidden, OUTPUT_WINDOW)
        whole = Span("", 0, shape.sequence)
        context = LayerContext(shape, tiling, memory, number, layer, whole)
        body += _layer(context, source, before, target)
        source, before = target, None if divided else _residual(context)
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
    x = LayerInput(context)
    attention = AttentionLowering(context, x)
    wide = before or (_residual(context) if context.tiling.keep_residual else None)
    nodes = [*_input(context, None if before else source, wide, x), *attention.heads()]
    for step in context.passes():
        nodes += _after_attention(step, attention, source, target)
    return nodes


def _after_attention(
    context: LayerContext,
    attention: AttentionLowering,
    source: Buffer | None,
    target: Buffer | None,
) -> list[Node]:
    """Lower what follows attention for the tokens of one pass."""
    residual = _residual(context)
    hidden = _operand(context, "hidden")
    nodes: list[Node] = []
    if not context.tiling.keep_residual and source is not None:
        nodes.append(_reload(context, source, residual))
    nodes += attention.projection(context, residual)
    nodes += _hidden(context, residual, hidden)
    nodes += FeedForwardLowering(context, hidden, residual).nodes()
    nodes += _output(context, residual, target)
    return nodes


def _residual(context: LayerContext) -> Buffer:
    name = "residual" if context.tiling.keep_residual else context.name("residual")
    memory = context.memory
    return memory.declare(memory.results(name, context.span.length, context.shape.hidden))


def _operand(context: LayerContext, name: str) -> Operand:
    memory, name, tokens = context.memory, context.name(name), context.span.length
    return Operand(
        memory.declare(memory.operand(name, tokens, context.shape.hidden)),
        memory.declare(memory.scales(f"{name}.scales", 1, tokens)),
    )


def _staging(context: LayerContext, name: str) -> Buffer:
    """Return room for the int16 rows of a block of tokens."""
    rows, depth = context.block_rows(), context.tiling.depth
    return context.memory.results(context.name(name), rows, context.shape.hidden, depth)


def _input(
    context: LayerContext, source: Buffer | None, residual: Buffer | None, x: LayerInput
) -> list[Node]:
    """Load the input, unless it is there, and quantise it, normalised if norms come first."""
    layer, product = context.layer, context.product("input")
    first, count = context.tokens("input_rows")
    buffers: list[Buffer] = []
    if residual is None:
        buffers.append(_staging(context, "input.wide"))
        wide = part(buffers[0], rows=count)
    else:
        wide = part(residual, first, rows=count)
    body: list[Node] = []
    if source is not None:
        body.append(load(part(source, first, rows=count), wide, product))
    before: list[Node] = []
    if context.shape.norm_first:
        norm, before = context.norm("attention_norm")
        if residual is not None:
            buffers.append(_staging(context, "normed.wide"))
        normed = part(buffers[-1], rows=count)
        fraction, epsilon = layer.fractions.normed, layer.attention_epsilon
        body.append(context.normalise(wide, norm, normed, fraction, epsilon, "attention_norm"))
        wide = normed
    y, blocks, stores = x.written(context.block_rows(), first, count)
    body += [quantise(wide, y, layer.fractions.normed, product), *stores]
    return [*before, context.token_blocks("input_rows", (*buffers, *blocks), body)]


def _reload(context: LayerContext, source: Buffer, residual: Buffer) -> Node:
    first, count = context.tokens("reload_rows")
    rows = part(source, first + context.span.offset, rows=count)
    node = load(rows, part(residual, first, rows=count), context.product("residual"))
    return context.token_blocks("reload_rows", (), [node])


def _hidden(context: LayerContext, residual: Buffer, hidden: Operand) -> list[Node]:
    """Normalise the sum after attention, in place unless norms come first, and quantise it."""
    layer, first_of_all = context.layer, context.shape.norm_first
    product = "output_norm" if first_of_all else "attention_norm"
    norm, load_norm = context.norm(product)
    first, count = context.tokens("hidden_rows")
    rows = part(residual, first, rows=count)
    buffers = (_staging(context, "hidden.wide"),) if first_of_all else ()
    normed = part(buffers[0], rows=count) if buffers else rows
    epsilon = layer.output_epsilon if first_of_all else layer.attention_epsilon
    fraction = layer.fractions.hidden
    body: list[Node] = [
        context.normalise(rows, norm, normed, fraction, epsilon, product),
        quantise(normed, hidden.rows(first, count), fraction, context.product(product)),
    ]
    return [*load_norm, context.token_blocks("hidden_rows", buffers, body)]


def _output(context: LayerContext, residual: Buffer, target: Buffer | None) -> list[Node]:
    """Normalise the sum after the feed-forward part in place, if norms come last, and store it."""
    layer, product = context.layer, "output_norm"
    first, count = context.tokens("output_rows")
    rows = part(residual, first, rows=count)
    nodes: list[Node] = []
    body: list[Node] = []
    if not context.shape.norm_first:
        norm, nodes = context.norm(product)
        fraction, epsilon = layer.fractions.output, layer.output_epsilon
        body.append(context.normalise(rows, norm, rows, fraction, epsilon, product))
    if target is not None:
        place = part(target, first + context.span.offset, rows=count)
        body.append(store(rows, place, context.product("output")))
    if body:
        nodes.append(context.token_blocks("output_rows", (), body))
    return nodes
