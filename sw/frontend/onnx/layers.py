"""Encoder layers in a graph that ran: sums with the residual stream, paired up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..bert import EncoderLayer, Linear
from .attention import AttentionMatch, attention_at
from .blocks import LinearMatch, NormMatch, activation_at, linear_at, norm_at
from .graph import Node
from .trace import Trace

ORDER = (
    "norms must come after both sums of a layer, as in BERT, or before attention and the "
    "feed-forward part, as in a ViT"
)


@dataclass(frozen=True)
class Sum:
    """A sum with the residual stream.

    Parameters
    ----------
    node : Node
    residual : str
        What is added to.
    projection : LinearMatch
        What is added.
    attention : AttentionMatch, optional
        What it projects; None in a feed-forward part.
    expand : LinearMatch, optional
        The other linear layer of a feed-forward part.
    activation : str
        Between the two.
    """

    node: Node
    residual: str
    projection: LinearMatch
    attention: AttentionMatch | None = None
    expand: LinearMatch | None = None
    activation: str = ""

    @property
    def result(self) -> str:
        """The sum's name."""
        return self.node.outputs[0]


@dataclass(frozen=True)
class LayerMatch:
    """An encoder layer in a graph.

    Parameters
    ----------
    node : Node
        For messages.
    given, result : str
        Its input and its output.
    layer : EncoderLayer
    heads, tokens : int
    activation : str
    epsilon : float
    norm_first : bool
    """

    node: Node
    given: str
    result: str
    layer: EncoderLayer
    heads: int
    tokens: int
    activation: str
    epsilon: float
    norm_first: bool


def layers_of(trace: Trace) -> list[LayerMatch]:
    """Return the encoder layers, in their order.

    Raises
    ------
    FrontendError
        If there is none, or one that cannot be run; the message names the node.
    """
    sums = list(_sums(trace))
    seen = {item.attention.node.index for item in sums if item.attention is not None}
    for node in trace.graph.nodes:
        if node.operator in ("Softmax", "Attention") and node.index not in seen:
            raise trace.graph.refuse(
                node,
                "no encoder layer was found around it: a linear layer of its context must be added "
                "to the residual stream",
            )
    norms = {item.source: name for name, item in _norms(trace)}
    layers = []
    attention: Sum | None = None
    for item in sums:
        if (attention is None) == (item.attention is None):
            raise trace.graph.refuse(
                item.node, "attention and feed-forward part must follow each other by turns"
            )
        if attention is None:
            attention = item
        else:
            layers.append(_layer(trace, attention, item, norms))
            attention = None
    if attention is not None or not layers:
        node = attention.node if attention else trace.graph.nodes[-1]
        raise trace.graph.refuse(
            node, "no feed-forward part follows" if attention else "the graph has no attention"
        )
    _check_chain(trace, layers)
    return layers


def _sums(trace: Trace) -> Iterator[Sum]:
    for node in trace.graph.nodes:
        if node.operator != "Add" or not all(name in trace.variable for name in node.inputs):
            continue
        sources = [trace.source(name) for name in node.inputs]
        for residual, added in (sources, reversed(sources)):
            found = _sum(trace, node, residual, added)
            if found is not None:
                yield found
                break


def _sum(trace: Trace, node: Node, residual: str, added: str) -> Sum | None:
    projection = linear_at(trace, added)
    if projection is None:
        return None
    attention = attention_at(trace, projection.source)
    if attention is not None:
        return Sum(node, residual, projection, attention)
    activated = activation_at(trace, projection.source)
    if activated is None:
        return None
    activation, expand = activated
    return Sum(node, residual, projection, None, expand, activation)


def _norms(trace: Trace) -> Iterator[tuple[str, NormMatch]]:
    """Yield all layer norms by the name of their result, longer decompositions last."""
    for node in trace.graph.nodes:
        for name in node.outputs:
            match = norm_at(trace, name) if name in trace.variable else None
            if match is not None:
                yield name, NormMatch(trace.source(match.source), match.norm, match.epsilon)


def _layer(trace: Trace, first: Sum, second: Sum, norms: dict[str, str]) -> LayerMatch:
    attention, expand = first.attention, second.expand
    assert attention is not None and expand is not None
    stream, wide = attention.stream, trace.source(expand.source)
    before = norm_at(trace, stream)
    norm_first = stream != first.residual
    if norm_first:
        middle, after = norm_at(trace, wide), before
        given, result = first.residual, second.result
        is_right = (
            before is not None
            and trace.source(before.source) == first.residual
            and second.residual == first.result
        )
    else:
        name = norms.get(second.result, "")
        middle, after = norm_at(trace, wide), norm_at(trace, name) if name else None
        given, result = stream, name
        is_right = after is not None and second.residual == wide
    is_right = is_right and middle is not None and trace.source(middle.source) == first.result
    if not is_right or middle is None or after is None:
        raise trace.graph.refuse(second.node, ORDER)
    if middle.epsilon != after.epsilon:
        raise trace.graph.refuse(
            second.node,
            f"norms must have one epsilon, not {middle.epsilon:g} and {after.epsilon:g}",
        )
    layer = EncoderLayer(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        projection=_reordered(first.projection.layer, attention),
        attention_norm=after.norm if norm_first else middle.norm,
        expand=expand.layer,
        contract=second.projection.layer,
        output_norm=middle.norm if norm_first else after.norm,
    )
    _check_sizes(trace, second.node, layer)
    return LayerMatch(
        attention.node,
        given,
        result,
        layer,
        attention.heads,
        attention.tokens,
        second.activation,
        after.epsilon,
        norm_first,
    )


def _reordered(projection: Linear, attention: AttentionMatch) -> Linear:
    """Return `projection` with its columns in the order of the heads."""
    weight = np.zeros_like(projection.weight)
    weight[:, attention.order] = projection.weight
    return Linear(weight, projection.bias)


def _check_sizes(trace: Trace, node: Node, layer: EncoderLayer) -> None:
    hidden = len(layer.attention_norm.gain)
    square = (hidden, hidden)
    for name in ("query", "key", "value", "projection"):
        found = getattr(layer, name).weight.shape
        if found != square:
            raise trace.graph.refuse(
                node, f"the layer's {name} must be {list(square)}, not {list(found)}"
            )


def _check_chain(trace: Trace, layers: list[LayerMatch]) -> None:
    """Check that all layers are alike, and that each reads the one before."""
    first = layers[0]

    def sizes(item: LayerMatch) -> tuple[object, ...]:
        shape = item.layer.expand.weight.shape
        return shape, item.heads, item.activation, item.epsilon, item.norm_first, item.tokens

    for before, item in zip(layers, layers[1:], strict=False):
        if sizes(item) != sizes(first):
            raise trace.graph.refuse(
                item.node,
                "its layer must have the sizes, heads, activation, epsilon and order of the first",
            )
        if item.given != trace.source(before.result):
            raise trace.graph.refuse(
                item.node, "its layer must read the result of the layer before, and nothing else"
            )
