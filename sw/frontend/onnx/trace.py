"""A graph with the value of everything in it on a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FrontendError
from .graph import Graph, Node

MOST_ELEMENTS = 1 << 28
"""Elements that an operator may make of a shape."""

SHAPES = ("Shape", "Size")
"""Operators whose result is the same for all samples."""

VIEWS = (
    "Identity",
    "Cast",
    "CastLike",
    "Dropout",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Expand",
)
"""Operators that keep all elements where their result is as large as their input."""


@dataclass(frozen=True)
class Trace:
    """A graph that ran.

    Parameters
    ----------
    graph : Graph
    feeds : mapping of str to array
        The sample.
    values : mapping of str to array
        All of the graph.
    variable : frozenset of str
        What depends on the sample, not only on its shape.
    operators : sequence
        What computes each node.
    """

    graph: Graph
    feeds: Mapping[str, NDArray]
    values: Mapping[str, NDArray]
    variable: frozenset[str]
    operators: tuple[Any, ...]

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The node that makes each value."""
        return {name: node for node in self.graph.nodes for name in node.outputs if name}

    def producer(self, name: str, *operators: str) -> Node | None:
        """Return the node that makes `name`, if it is one of `operators`."""
        node = self.producers.get(name)
        return node if node is not None and node.operator in operators else None

    def operands(self, node: Node) -> tuple[str, NDArray] | None:
        """Return the one variable input of a node with two inputs, and the other's value."""
        variable = [name for name in node.inputs if name in self.variable]
        constant = [name for name in node.inputs if name and name not in self.variable]
        if len(variable) != 1 or len(constant) != 1 or len(node.inputs) != 2:
            return None
        return variable[0], self.values[constant[0]]

    def source(self, name: str) -> str:
        """Return the value that `name` is, but for its shape."""
        while (given := self._kept(name)) is not None:
            name = given
        return name

    def _kept(self, name: str) -> str | None:
        """Return the input of the node that makes `name` if nothing is lost or changed there."""
        node = self.producers.get(name)
        if node is None:
            return None
        value = self.values[name]
        if node.operator in VIEWS and self.values[node.inputs[0]].size == value.size:
            return node.inputs[0]
        if node.operator == "Where":
            return self.chosen(node)
        return None

    def chosen(self, node: Node) -> str | None:
        """Return the operand of a Where whose every element is taken in the sample."""
        value = self.values[node.outputs[0]]
        for name in node.inputs[1:]:
            if name in self.variable and np.array_equal(self.values[name], value):
                return name
        return None

    def run(self, nodes: Iterable[Node], values: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Return what `nodes`, in their order, make of other `values`; the rest stays as it is.

        Raises
        ------
        FrontendError
            If a node does not take them.
        """
        found = dict(values)
        for node in nodes:
            inputs = [found.get(name, self.values.get(name)) for name in node.inputs]
            outputs = _apply(self.graph, node, self.operators[node.index], inputs)
            found |= dict(zip(node.outputs, outputs, strict=False))
        return found


def trace(graph: Graph, feeds: Mapping[str, NDArray]) -> Trace:
    """Return `graph` with the values that it has for `feeds`.

    Raises
    ------
    FrontendError
        If a node does not take its operands.
    """
    from onnx.reference import ReferenceEvaluator

    try:
        operators = tuple(ReferenceEvaluator(graph.model).rt_nodes_)
    except Exception as error:  # the evaluator raises what it likes
        text = " ".join(str(error).split())[:200]
        raise FrontendError(f"{graph.path}: cannot be evaluated: {text}") from None
    values: dict[str, Any] = {"": None, **graph.constants, **feeds}
    variable = set(feeds)
    for node, operator in zip(graph.nodes, operators, strict=True):
        for name in node.inputs:
            if name not in values:
                raise graph.refuse(node, f"its input {name!r} is made by no node before it")
        inputs = [values[name] for name in node.inputs]
        outputs = _apply(graph, node, operator, inputs)
        values |= dict(zip(node.outputs, outputs, strict=False))
        if node.operator not in SHAPES and any(name in variable for name in node.inputs):
            variable.update(node.outputs)
    return Trace(graph, feeds, values, frozenset(variable), operators)


def _apply(graph: Graph, node: Node, operator: Any, inputs: list[Any]) -> tuple[NDArray, ...]:
    try:
        size = _made(node, inputs)
        if size > MOST_ELEMENTS:
            raise ValueError(f"makes {size} elements, of at most {MOST_ELEMENTS}")
        with np.errstate(all="ignore"):
            outputs = operator.run(*inputs)
        return tuple(np.asarray(item) for item in outputs)
    except Exception as error:  # each operator raises what it likes
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise graph.refuse(node, f"does not take its operands on a sample input: {text}") from None


def _made(node: Node, inputs: list[Any]) -> int:
    """Return how many elements a node makes whose inputs say so; 0 for all others."""
    if node.operator == "ConstantOfShape":
        return math.prod(int(size) for size in np.ravel(inputs[0]))
    if node.operator == "Expand":
        return math.prod(max(1, int(size)) for size in np.ravel(inputs[1]))
    if node.operator == "Tile":
        return inputs[0].size * math.prod(int(count) for count in np.ravel(inputs[1]))
    if node.operator == "Range":
        start, limit, step = (float(np.ravel(item)[0]) for item in inputs)
        return int(abs((limit - start) / step)) if step else MOST_ELEMENTS + 1
    return 0
