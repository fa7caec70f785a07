"""Linear layers, layer norms and activations in a graph that ran."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bert import LayerNorm, Linear
from .graph import Node
from .trace import Trace

DEFAULT_EPSILON = 1e-5
"""Of the operator LayerNormalization."""

ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "CastLike",
        "Clip",
        "Div",
        "Erf",
        "Exp",
        "Gelu",
        "Identity",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sqrt",
        "Sub",
        "Tanh",
        "Where",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
    ]
)
"""What an activation may be made of."""

GRID = np.linspace(-8, 8, 1025, dtype=np.float32)
TOLERANCES = {"gelu": 1e-3, "relu": 1e-6}
"""How far an activation may lie from what the machine computes; GELU's form with tanh is 0.0005 off
the exact one."""


@dataclass(frozen=True)
class LinearMatch:
    """A linear layer in a graph: the value that it reads, and its node for messages."""

    source: str
    layer: Linear
    node: Node


@dataclass(frozen=True)
class NormMatch:
    """A layer norm in a graph: the value that it reads."""

    source: str
    norm: LayerNorm
    epsilon: float


def linear_at(trace: Trace, name: str) -> LinearMatch | None:
    """Return the linear layer whose result `name` is, with its bias and a scale of its channels."""
    node = trace.producer(name, "MatMul", "Gemm", "Add", "Mul")
    if node is None:
        return None
    if node.operator == "Gemm":
        return _gemm(trace, node)
    split = trace.operands(node)
    if split is None:
        return None
    given, constant = split
    if node.operator == "MatMul":
        if constant.ndim != 2 or given != node.inputs[0]:
            return None
        weight = np.asarray(constant.T, dtype=np.float32)
        return LinearMatch(given, Linear(weight, np.zeros(len(weight), np.float32)), node)
    inner = linear_at(trace, given)
    if inner is None:
        return None
    outputs = len(inner.layer.bias)
    if constant.size not in (1, outputs) or constant.shape[-1:] not in ((), (constant.size,)):
        return None
    values = np.broadcast_to(constant.reshape(-1), outputs).astype(np.float32)
    weight, bias = inner.layer.weight, inner.layer.bias
    if node.operator == "Add":
        return LinearMatch(inner.source, Linear(weight, bias + values), inner.node)
    return LinearMatch(inner.source, Linear(weight * values[:, None], bias * values), inner.node)


def _gemm(trace: Trace, node: Node) -> LinearMatch | None:
    given, *constants = node.inputs
    flags = node.attributes
    if flags.get("transA", 0) or given not in trace.variable:
        return None
    if any(name in trace.variable for name in constants):
        return None
    weight = trace.values[constants[0]]
    if flags.get("alpha", 1.0) != 1:
        weight = weight * flags["alpha"]
    weight = np.asarray(weight if flags.get("transB", 0) else weight.T, dtype=np.float32)
    bias = np.zeros(len(weight), np.float32)
    if len(constants) > 1 and constants[1]:
        added = np.asarray(trace.values[constants[1]], dtype=np.float32).reshape(-1)
        if added.size not in (1, len(weight)):
            return None
        bias = bias + added * np.float32(flags.get("beta", 1.0))
    return LinearMatch(given, Linear(weight, bias), node)


def norm_at(trace: Trace, name: str) -> NormMatch | None:
    """Return the layer norm whose result `name` is: one operator, or its decomposition."""
    node = trace.producer(name, "LayerNormalization")
    if node is None:
        return _decomposed(trace, name)
    source, *constants = node.inputs
    axes = trace.values[source].ndim
    if node.attributes.get("axis", -1) not in (-1, axes - 1):
        return None
    if source not in trace.variable or any(item in trace.variable for item in constants):
        return None
    gain = np.asarray(trace.values[constants[0]], dtype=np.float32)
    given = len(constants) > 1 and constants[1] != ""
    bias = np.asarray(trace.values[constants[1]], np.float32) if given else np.zeros_like(gain)
    epsilon = _shortest(node.attributes.get("epsilon", DEFAULT_EPSILON))
    return NormMatch(source, LayerNorm(gain, bias), epsilon)


def _shortest(number: float) -> float:
    """Return the number of fewest digits that is `number` in float32, in which it was stored."""
    return float(str(np.float32(number)))


def _decomposed(trace: Trace, name: str) -> NormMatch | None:
    """Return a layer norm made of ReduceMean, Sub, Pow, Sqrt and Div."""
    width = trace.values[name].shape[-1] if trace.values[name].ndim else 0
    name, bias = _with_constant(trace, name, "Add", width, 0.0)
    name, gain = _with_constant(trace, name, "Mul", width, 1.0)
    node = trace.producer(name, "Div", "Mul")
    if node is None or len(node.inputs) != 2:
        return None
    centred, root = node.inputs
    if node.operator == "Mul":
        reciprocal = trace.producer(root, "Reciprocal")
        if reciprocal is None:
            return None
        root = reciprocal.inputs[0]
    source = _centred(trace, centred)
    epsilon = _variance(trace, root, source) if source is not None else None
    if source is None or epsilon is None:
        return None
    return NormMatch(source, LayerNorm(gain, bias), epsilon)


def _with_constant(
    trace: Trace, name: str, operator: str, width: int, default: float
) -> tuple[str, NDArray[np.float32]]:
    """Return what `name` adds to or multiplies by a constant a channel, and the constant."""
    node = trace.producer(name, operator)
    split = trace.operands(node) if node is not None else None
    if split is None or split[1].size not in (1, width):
        return name, np.full(width, default, np.float32)
    return split[0], np.broadcast_to(split[1].reshape(-1), width).astype(np.float32)


def _centred(trace: Trace, name: str) -> str | None:
    """Return what `name` is without its mean over the channels."""
    node = trace.producer(name, "Sub")
    mean = trace.producer(node.inputs[1], "ReduceMean") if node is not None else None
    if node is None or mean is None or mean.inputs[0] != node.inputs[0]:
        return None
    return node.inputs[0]


def _variance(trace: Trace, name: str, source: str) -> float | None:
    """Return the epsilon if `name` is the square root of it and the variance of `source`."""
    root = trace.producer(name, "Sqrt")
    added = trace.producer(root.inputs[0], "Add") if root is not None else None
    split = trace.operands(added) if added is not None else None
    if split is None or split[1].size != 1:
        return None
    mean = trace.producer(split[0], "ReduceMean")
    square = trace.producer(mean.inputs[0], "Pow", "Mul") if mean is not None else None
    if square is None or _centred(trace, square.inputs[0]) != source:
        return None
    if square.operator == "Mul":
        is_square = square.inputs[0] == square.inputs[1]
    else:
        is_square = bool(np.all(trace.values[square.inputs[1]] == 2))
    return _shortest(split[1].reshape(-1)[0]) if is_square else None


def activation_at(trace: Trace, name: str) -> tuple[str, LinearMatch] | None:
    """Return activation and linear layer whose activated result `name` is.

    None if no linear layer is found behind elementwise operators.

    Raises
    ------
    FrontendError
        If the activation is not supported.
    """
    from ...reference import ACTIVATIONS

    region: dict[int, Node] = {}
    entries: set[str] = set()
    waiting = [trace.source(name)]
    while waiting:
        given = waiting.pop()
        if given not in trace.variable:
            continue
        kept = trace.source(given)
        if trace.producer(kept, "Mul") is None and linear_at(trace, kept) is not None:
            entries.add(kept)
            continue
        node = trace.producers.get(given)
        if node is None or not (node.operator in ELEMENTWISE or kept != given):
            return None
        if node.index not in region:
            region[node.index] = node
            waiting += [item for item in node.inputs if item]
    match = linear_at(trace, next(iter(entries))) if len(entries) == 1 else None
    if match is None:
        return None
    found = _on_grid(trace, name, next(iter(entries)), region)
    for kind, tolerance in TOLERANCES.items():
        if found is not None and np.abs(found - ACTIVATIONS[kind](GRID)).max() <= tolerance:
            return kind, match
    last = region[max(region)] if region else match.node
    between = ", ".join(node.operator for _, node in sorted(region.items())) or "nothing"
    raise trace.graph.refuse(
        last,
        "the feed-forward part must have GELU, exact or with tanh, or ReLU between its linear "
        f"layers, not {between}",
    )


def _on_grid(
    trace: Trace, name: str, entry: str, region: dict[int, Node]
) -> NDArray[np.float64] | None:
    """Return what the elementwise nodes of `region` make of `GRID`; None if they cannot."""
    nodes = [node for _, node in sorted(region.items()) if node.operator in ELEMENTWISE]
    wide = any(
        np.size(trace.values[item]) != 1
        for node in nodes
        for item in node.inputs
        if item and item not in trace.variable
    )
    if wide or not nodes:
        return None
    values = {entry: GRID}
    for index, node in sorted(region.items()):
        given = next(item for item in node.inputs if item in trace.variable)
        if node.operator in ELEMENTWISE:
            values = trace.run([region[index]], values)
        else:
            values[node.outputs[0]] = values[given]
    found = values.get(trace.source(name))
    return None if found is None or found.shape != GRID.shape else found.astype(np.float64)
