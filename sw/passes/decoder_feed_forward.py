"""Lower a gated feed-forward part: chunks of hidden channels, summed into the residual stream."""

from __future__ import annotations

from ...hw.isa import Activation
from ..gir import Buffer, Node, Parallel
from .build import block, load, matmul, multiply, part, quantise
from .decoder_layer import DecoderContext
from .layer import Operand


def lower_feed_forward(context: DecoderContext, x: Operand, residual: Buffer) -> list[Node]:
    """Return the nodes of ``down(silu(gate x) · up x)``, added to `residual` in place.

    Parameters
    ----------
    context : DecoderContext
    x : Operand
        The normalised input, int8 [tokens, hidden].
    residual : Buffer
        int16 [tokens, hidden].
    """
    model, tokens, memory = context.model, context.step.tokens, context.memory
    fractions, depth = context.fractions, context.tiling.depth
    chunk = min(context.tiling.chunk, model.intermediate)
    scales, load_scales = context.resident("down.scales", "scale", 1, model.hidden)
    source = context.constant("down", "int8", model.intermediate, model.hidden)
    weights = memory.operand(context.name("down.weights"), chunk, model.hidden, depth)
    gate, up = (
        memory.results(context.name(f"{kind}.wide"), tokens, chunk, depth)
        for kind in ("gate", "up")
    )
    activated = Operand(
        memory.operand(context.name("activated"), tokens, chunk, depth),
        memory.scales(context.name("activated.scales"), 1, tokens, depth),
    )
    loop = context.name("chunk")
    number, count = block(loop)
    first = number * chunk
    gate_part, up_part = part(gate, columns=count), part(up, columns=count)
    a = part(activated.values, columns=count), part(activated.scales)
    b = part(weights, rows=count), part(scales)
    y = part(residual)
    body = (
        context.product("gate", x, first, chunk, gate, fractions.gate),
        context.product("up", x, first, chunk, up, fractions.up),
        multiply(
            gate_part,
            up_part,
            gate_part,
            (fractions.gate, fractions.up, fractions.activated),
            context.label("gate"),
            Activation.SILU,
        ),
        quantise(gate_part, a, fractions.activated, context.label("gate")),
        load(part(source, first, rows=count), b[0], context.label("down")),
        matmul(a, b, y, fractions.residual, context.label("down"), y, b_transposed=True),
    )
    buffers = (weights, gate, up, activated.values, activated.scales)
    return [load_scales, Parallel(loop, 0, model.intermediate, chunk, buffers, body)]
