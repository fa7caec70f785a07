"""Lower decoder layers to a tiled graph: prefill and decode are the same, with more tokens or one.

A step takes some tokens after others whose keys and values are in DRAM. A long prompt is a sequence
of steps, each of which finds the cache that those before it left there.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...hw.config import AcceleratorConfig
from ..decoder_quantise import QuantisedDecoderLayer
from ..gir import Buffer, Graph, Node
from .build import load, part, store
from .decoder_attention import DecoderAttention
from .decoder_feed_forward import lower_feed_forward
from .decoder_layer import DecoderContext
from .decoder_tiling import DecoderShape, DecoderTiling
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory


def lower_decoder(
    shape: DecoderShape,
    layers: Sequence[tuple[int, QuantisedDecoderLayer]],
    tiling: DecoderTiling,
    config: AcceleratorConfig,
) -> Graph:
    """Return the graph of `layers`, executed one after the other, in all steps.

    Buffers ``input`` and ``output`` in DRAM are int16 [tokens, hidden]. The weights of layer i are
    in the buffers ``i.query`` and so on and the turns of all positions in ``rotations``, which
    `sw.passes.constants` fills; its cache is in ``i.cache.keys``, ``i.cache.values`` and
    ``i.cache.scales``.
    """
    memory = Memory(config)
    hidden, width = shape.model.hidden, shape.model.head_width
    source = memory.dram("input", "int16", shape.tokens, hidden, INPUT_WINDOW)
    target = memory.dram("output", "int16", shape.tokens, hidden, OUTPUT_WINDOW)
    turns = memory.dram("rotations", "int16", shape.tokens, width)
    body: list[Node] = []
    for position, step in enumerate(shape.steps):
        residual = memory.declare(memory.results(f"residual_{position}", step.tokens, hidden))
        rotations = memory.declare(memory.results(f"rotations_{position}", step.tokens, width))
        body += [
            load(part(source, step.first, rows=step.tokens), part(residual), "input"),
            load(part(turns, step.first, rows=step.tokens), part(rotations), "rotations"),
        ]
        for number, layer in layers:
            context = DecoderContext(shape, step, tiling, memory, position, number, layer)
            body += _layer(context, residual, rotations)
        body.append(store(part(residual), part(target, step.first, rows=step.tokens), "output"))
    name = "decoder " + " ".join(str(number) for number, _ in layers)
    return Graph(name, tuple(memory.buffers), tuple(body))


def _layer(context: DecoderContext, residual: Buffer, rotations: Buffer) -> list[Node]:
    fractions = context.fractions
    x, norm = context.norm("attention_norm", residual, fractions.normed)
    attention = DecoderAttention(context, x, rotations).nodes(residual)
    hidden, second_norm = context.norm("feed_forward_norm", residual, fractions.hidden)
    return [*norm, *attention, *second_norm, *lower_feed_forward(context, hidden, residual)]
