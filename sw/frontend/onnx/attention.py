"""Attention in a graph that ran: which channels of which projections each head reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bert import Linear
from .blocks import LinearMatch, linear_at
from .graph import Node
from .trace import VIEWS, Trace

MOVES = (*VIEWS, "Split", "Slice", "Gather", "Concat")
"""Operators that only choose elements, or order them anew."""

HIDDEN_SCORE = 1e-3
"""What a mask may add to a score that counts."""

ACCEPTED = "an attention is Softmax over the last axis of MatMul of queries and keys, or Attention"


@dataclass(frozen=True)
class Core:
    """Softmax between its products, or one operator for all.

    Parameters
    ----------
    node : Node
        For messages.
    query, key, value : str
        Operands, [..., heads, tokens, width] but for `key_transposed`.
    result : str
        [..., heads, tokens, width].
    factor : float
        By which scores are multiplied.
    """

    node: Node
    query: str
    key: str
    value: str
    result: str
    factor: float
    key_transposed: bool


@dataclass(frozen=True)
class AttentionMatch:
    """An attention without its output projection.

    Parameters
    ----------
    node : Node
        For messages.
    stream : str
        What queries, keys and values are projected from.
    heads, tokens : int
    query, key, value : Linear
        In the order of the heads; the query's scale is that of 1 / sqrt(width).
    order : int [hidden]
        For each channel of what the output projection reads, its place among the heads' channels.
    """

    node: Node
    stream: str
    heads: int
    tokens: int
    query: Linear
    key: Linear
    value: Linear
    order: NDArray[np.int64]


def attention_at(trace: Trace, name: str) -> AttentionMatch | None:
    """Return the attention whose context `name` is; None if it is no product of two values.

    Raises
    ------
    FrontendError
        If it is an attention that cannot be run.
    """
    moved = _walk(trace, name, MOVES)
    core = _core(trace, moved.start)
    if core is None:
        return None
    shape = trace.values[core.query].shape
    tokens, width = shape[-2:]
    heads = math.prod(shape[:-2])
    layers, streams = {}, set()
    factor = core.factor * math.sqrt(width)
    for what in ("query", "key", "value"):
        values = getattr(core, what)
        flipped = what == "key" and core.key_transposed
        wanted = (heads, width, tokens) if flipped else (heads, tokens, width)
        if math.prod(trace.values[values].shape) != math.prod(wanted) or (
            trace.values[values].shape[-2:] != wanted[-2:]
        ):
            raise trace.graph.refuse(
                core.node,
                f"{what} is {list(trace.values[values].shape)} beside a query of {list(shape)}; "
                "queries, keys and values must have the same heads, tokens and width",
            )
        layers[what], stream, scale = _projection(trace, core.node, what, values, wanted, flipped)
        streams.add(stream)
        if what == "value" and scale != 1:
            layers[what] = _scaled(layers[what], scale)
        elif what != "value":
            factor *= scale
    if len(streams) != 1:
        raise trace.graph.refuse(
            core.node, "query, key and value must be projections of the same vectors"
        )
    order = _context_order(trace, core, moved, (heads, tokens, width))
    query = _scaled(layers["query"], factor)
    stream = streams.pop()
    return AttentionMatch(
        core.node, stream, heads, tokens, query, layers["key"], layers["value"], order
    )


@dataclass(frozen=True)
class _Walk:
    """The way back from a value: where it starts, the nodes from there on, and their factor."""

    start: str
    nodes: tuple[Node, ...]
    factor: float


def _walk(trace: Trace, name: str, operators: tuple[str, ...], *, scaled: bool = False) -> _Walk:
    """Walk back from `name` through `operators`, and multiplications by a number if `scaled`."""
    nodes: list[Node] = []
    factor = 1.0
    while (node := trace.producers.get(name)) is not None:
        if node.operator == "Where":
            given = trace.chosen(node)
        elif node.operator in operators:
            variable = [item for item in node.inputs if item in trace.variable]
            given = variable[0] if len(variable) == 1 else None
        else:
            given = None
            scale = _scale(trace, node) if scaled else None
            if scale is not None:
                given, times = scale
                factor *= times
        if given is None:
            break
        nodes.append(node)
        name = given
    return _Walk(name, tuple(reversed(nodes)), factor)


def _scale(trace: Trace, node: Node) -> tuple[str, float] | None:
    """Return operand and factor if `node` multiplies or divides by one number."""
    split = trace.operands(node) if node.operator in ("Mul", "Div") else None
    if split is None or split[1].size != 1:
        return None
    number = float(split[1].reshape(-1)[0])
    if node.operator == "Mul":
        return split[0], number
    return (split[0], 1 / number) if number and split[0] == node.inputs[0] else None


def _core(trace: Trace, name: str) -> Core | None:
    fused = trace.producer(name, "Attention")
    if fused is not None:
        return _fused(trace, fused)
    product = trace.producer(name, "MatMul")
    if product is None or not all(item in trace.variable for item in product.inputs):
        return None
    probabilities, value = product.inputs
    node = trace.producer(trace.source(probabilities), "Softmax")
    if node is None:
        raise trace.graph.refuse(product, f"multiplies two computed values; {ACCEPTED}")
    axes = trace.values[node.inputs[0]].ndim
    default = -1 if trace.graph.opset >= 13 else 1
    if node.attributes.get("axis", default) not in (-1, axes - 1):
        raise trace.graph.refuse(node, f"must go over the last axis; {ACCEPTED}")
    scores, factor = _scores(trace, node)
    if not all(item in trace.variable for item in scores.inputs):
        raise trace.graph.refuse(scores, f"scores must be a product of two values; {ACCEPTED}")
    query, key = scores.inputs
    return Core(node, query, key, value, name, factor, key_transposed=True)


def _scores(trace: Trace, softmax: Node) -> tuple[Node, float]:
    """Return the product behind `softmax`, and the number that it is multiplied by."""
    name, factor = softmax.inputs[0], 1.0
    while True:
        walk = _walk(trace, name, VIEWS, scaled=True)
        factor *= walk.factor
        node = trace.producer(walk.start, "MatMul", "Add")
        if node is None:
            last = trace.producers.get(walk.start, softmax)
            raise trace.graph.refuse(
                last, f"stands between queries, keys and Softmax; {ACCEPTED}, with a padding mask"
            )
        if node.operator == "MatMul":
            return node, factor
        name = _masked(trace, node)


def _masked(trace: Trace, node: Node) -> str:
    """Return the operand of an Add to which the other adds nothing, for all tokens count."""
    for scores, mask in (node.inputs, reversed(node.inputs)):
        walk = _walk(trace, scores, VIEWS, scaled=True)
        if trace.producer(walk.start, "MatMul", "Add") is None or scores not in trace.variable:
            continue
        if np.abs(np.asarray(trace.values[mask], np.float64)).max(initial=0.0) <= HIDDEN_SCORE:
            return scores
    raise trace.graph.refuse(
        node,
        "adds something to scores though every token counts; a padding mask is accepted, no causal "
        "mask and no bias of positions",
    )


def _fused(trace: Trace, node: Node) -> Core:
    flags: Mapping[str, Any] = node.attributes
    query, key, value = node.inputs[:3]
    shape = trace.values[query].shape
    for name, wanted in (("is_causal", 0), ("softcap", 0.0)):
        if flags.get(name, wanted) != wanted:
            raise trace.graph.refuse(node, f"{name} must be {wanted}, not {flags[name]}")
    if len(shape) != 4:
        raise trace.graph.refuse(
            node, f"operands must be [batch, heads, tokens, width], not {list(shape)}"
        )
    mask = node.inputs[3] if len(node.inputs) > 3 else ""
    hidden = np.asarray(trace.values[mask]) if mask else np.zeros(1)
    hides = not hidden.all() if hidden.dtype == np.bool_ else np.abs(hidden).max() > HIDDEN_SCORE
    if hides or any(node.inputs[4:6]):
        raise trace.graph.refuse(
            node, "takes a padding mask, but no causal mask, no bias of positions and no cache"
        )
    factor = float(flags.get("scale", 1 / math.sqrt(shape[-1])))
    return Core(node, query, key, value, node.outputs[0], factor, key_transposed=False)


def _projection(
    trace: Trace,
    core: Node,
    what: str,
    name: str,
    shape: tuple[int, int, int],
    flipped: bool,
) -> tuple[Linear, str, float]:
    """Return the linear layer in the order of the heads, what it reads, and a scale behind it."""
    walk = _walk(trace, name, MOVES, scaled=True)
    match = linear_at(trace, walk.start)
    if match is None:
        raise trace.graph.refuse(
            trace.producers.get(walk.start, core),
            f"gives the {what} of {core}, which must be a linear layer, split into heads",
        )
    places = _indices(trace, walk).get(name)
    outputs = len(match.layer.bias)
    if places is None or places.size != math.prod(shape):
        raise _disordered(trace, core, what)
    places = places.reshape(shape)
    if flipped:
        places = places.swapaxes(1, 2)
    tokens, channels = np.divmod(places, outputs)
    is_split = np.all(tokens == np.arange(tokens.shape[1])[:, None])
    if not is_split or not np.all(channels == channels[:, :1]):
        raise _disordered(trace, core, what)
    return _rows(match, channels[:, 0].reshape(-1)), trace.source(match.source), walk.factor


def _disordered(trace: Trace, core: Node, what: str) -> Exception:
    return trace.graph.refuse(
        core, f"each head's {what} must be some channels of the same token, for one sentence a run"
    )


def _rows(match: LinearMatch, channels: NDArray[np.int64]) -> Linear:
    return Linear(match.layer.weight[channels], match.layer.bias[channels])


def _scaled(layer: Linear, factor: float) -> Linear:
    return Linear(layer.weight * np.float32(factor), layer.bias * np.float32(factor))


def _indices(trace: Trace, walk: _Walk) -> dict[str, NDArray[np.int64]]:
    """Send the place of each element at the start of `walk` through its nodes."""
    start = trace.values[walk.start]
    values: dict[str, NDArray] = {walk.start: np.arange(start.size).reshape(start.shape)}
    for node in walk.nodes:
        given = next(item for item in node.inputs if item in values)
        if node.operator in MOVES and node.operator not in ("Cast", "CastLike", "Dropout"):
            values |= trace.run([node], values)
        else:
            values[node.outputs[0]] = values[given]
    return values


def _context_order(
    trace: Trace, core: Core, walk: _Walk, shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Return for each channel of the context its place among the heads' channels."""
    heads, tokens, width = shape
    end = walk.nodes[-1].outputs[0] if walk.nodes else core.result
    places = _indices(trace, walk)[end]
    if places.size != math.prod(shape):
        raise _disordered(trace, core.node, "context")
    head, rest = np.divmod(places.reshape(tokens, heads * width), tokens * width)
    token, channel = np.divmod(rest, width)
    order = head * width + channel
    if not np.all(token == np.arange(tokens)[:, None]) or not np.all(order == order[:1]):
        raise _disordered(trace, core.node, "context")
    return order[0]
