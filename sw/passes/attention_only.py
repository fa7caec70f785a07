"""Lower attention alone: projections, scores, softmax, context, output projection.

Input and weights are int8, the result is int16; nothing is added to it and nothing normalised. This
is the operation that accelerators of attention are measured with.
"""

from __future__ import annotations

from dataclasses import replace

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import Graph, Node
from ..quantise import QuantisedLayer
from .attention import AttentionLowering
from .build import load, part, store
from .layer import LayerContext
from .layer_input import LayerInput
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .tiling import Shape, Span, Tiling

LAYER = 0
"""The number that begins the names."""


INPUT, OUTPUT, INPUT_COPY = "input", "output", f"{LAYER}.input.copy"
KEY, KEY_COPY = f"{LAYER}.key", f"{LAYER}.key.weights.0"
"""Buffers in DRAM and in the scratchpad."""


def lower_attention(
    shape: Shape,
    layer: QuantisedLayer,
    tiling: Tiling,
    config: AcceleratorConfig,
    *,
    blocks: int = 1,
) -> Graph:
    """Return the graph of the attention of `layer`.

    Loops take a step of each of `blocks` equal parts of the tokens in turn.

    Buffer ``input`` in DRAM is int8 [sequence, hidden], ``0.input.scales`` its scale words;
    ``output`` is int16 [sequence, hidden].
    """
    memory = Memory(config)
    context = LayerContext(shape, tiling, memory, LAYER, layer, Span("", 0, shape.sequence), blocks)
    x = LayerInput(context, "input.copy")
    result = memory.declare(memory.results(context.name("result"), shape.sequence, shape.hidden))
    attention = AttentionLowering(context, x)
    body = [
        *_input(context, x),
        *attention.heads(),
        *attention.projection(context, result, is_sum=False),
    ]
    target = memory.dram(OUTPUT, "int16", shape.sequence, shape.hidden, OUTPUT_WINDOW)
    first, count = context.tokens("output_rows")
    rows = store(
        part(result, first, rows=count), part(target, first, rows=count), context.product("output")
    )
    body.append(context.token_blocks("output_rows", (), [rows]))
    return Graph("attention", tuple(memory.buffers), tuple(body))


def _input(context: LayerContext, x: LayerInput) -> list[Node]:
    shape, product = context.shape, context.product("input")
    source = context.memory.dram(INPUT, "int8", shape.sequence, shape.hidden, INPUT_WINDOW)
    scales = context.constant("input.scales", "scale", 1, shape.sequence)
    first, count = context.tokens("input_rows")
    (values, _), _, _ = x.written(context.block_rows(), first, count)
    rows = load(part(source, first, rows=count), values, product)
    # The first of all products needs the first rows and the scales.
    blocks = context.token_blocks("input_rows", (), [rows])
    return [blocks, load(part(scales), part(x.scales), product)]


def loads_first(graph: Graph) -> Graph:
    """Return a graph without parallel nodes with all LOADs before anything else.

    Those of the input, without which nothing can begin, come last.
    """
    operations = graph.operations()
    loads = [item for item in operations if item.opcode == Opcode.LOAD]
    loads.sort(key=lambda item: item.product == f"{LAYER}.input")
    others = [item for item in operations if item.opcode != Opcode.LOAD]
    return replace(graph, body=(*loads, *others))
