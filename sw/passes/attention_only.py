"""Lower attention alone: projections, scores, softmax, context, output projection.

Input and weights are int8, the result is int16; nothing is added to it and nothing normalised. This
is the operation that accelerators of attention are measured with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import index

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import Affine, Buffer, Graph, Node, Operation, Slice
from ..quantise import QuantisedLayer
from .attention import AttentionLowering
from .build import load, part, store
from .layer import LayerContext
from .layer_input import LayerInput
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .tiling import Shape, Span, Tiling

LAYER = 0
"""The number that begins the names."""


def lower_attention(
    shape: Shape, layer: QuantisedLayer, tiling: Tiling, config: AcceleratorConfig
) -> Graph:
    """Return the graph of the attention of `layer`.

    Buffer ``input`` in DRAM is int8 [sequence, hidden], ``0.input.scales`` its scale words;
    ``output`` is int16 [sequence, hidden].
    """
    memory = Memory(config)
    context = LayerContext(shape, tiling, memory, LAYER, layer, Span("", 0, shape.sequence))
    x = LayerInput(context, "input.copy")
    result = memory.declare(memory.results(context.name("result"), shape.sequence, shape.hidden))
    attention = AttentionLowering(context, x)
    body = [
        *_input(context, x),
        *attention.heads(),
        *attention.projection(context, result, is_sum=False),
    ]
    target = memory.dram("output", "int16", shape.sequence, shape.hidden, OUTPUT_WINDOW)
    first, count = context.tokens("output_rows")
    rows = store(
        part(result, first, rows=count), part(target, first, rows=count), context.product("output")
    )
    body.append(context.token_blocks("output_rows", (), [rows]))
    return Graph("attention", tuple(memory.buffers), tuple(body))


def _input(context: LayerContext, x: LayerInput) -> list[Node]:
    shape, product = context.shape, context.product("input")
    source = context.memory.dram("input", "int8", shape.sequence, shape.hidden, INPUT_WINDOW)
    scales = context.constant("input.scales", "scale", 1, shape.sequence)
    first, count = context.tokens("input_rows")
    (values, _), _, _ = x.written(context.block_rows(), first, count)
    rows = load(part(source, first, rows=count), values, product)
    # The first of all products needs the first rows and the scales.
    blocks = context.token_blocks("input_rows", (), [rows])
    return [blocks, load(part(scales), part(x.scales), product)]


def order_loads(graph: Graph, *, resident: bool) -> Graph:
    """Return a graph without parallel nodes with its LOADs where their data is first needed.

    With `resident` all of them come before anything else, and those of the input, without which
    nothing can begin, come last.
    """
    operations = graph.operations()
    buffers = graph.by_name()
    loads = [row for item in operations for row in _by_row(item, buffers)]
    if resident:
        loads.sort(key=lambda item: item.product == f"{LAYER}.input")
        others = [item for item in operations if item.opcode != Opcode.LOAD]
        return replace(graph, body=(*loads, *others))
    body: list[Operation] = []
    for operation in operations:
        if operation.opcode == Opcode.LOAD:
            continue
        needed = [item for item in loads if _feeds(item, operation)]
        body += [*needed, operation]
        loads = [item for item in loads if item not in needed]
    return replace(graph, body=tuple(body))


def _by_row(operation: Operation, buffers: Mapping[str, Buffer]) -> Iterator[Operation]:
    """Yield `operation`, if it is a LOAD, or its rows where each serves another product."""
    if operation.opcode != Opcode.LOAD:
        return
    source, target = operation.reads["source"], operation.writes["destination"]
    if buffers[target.buffer].dtype != "scale":
        yield operation
        return
    for row in range(index(target.rows)):
        yield replace(
            operation,
            reads={"source": _row(source, row)},
            writes={"destination": _row(target, row)},
        )


def _row(item: Slice, row: int) -> Slice:
    return replace(item, row=item.row + row, rows=Affine.of(1))


def _feeds(load: Operation, operation: Operation) -> bool:
    """Return whether `operation` reads rows that `load` writes."""
    target = load.writes["destination"]
    return any(
        item.buffer == target.buffer
        and index(item.row) < index(target.row) + index(target.rows)
        and index(target.row) < index(item.row) + index(item.rows)
        for item in operation.reads.values()
    )
