"""Read an ONNX file and refuse operators that no encoder needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FrontendError

REQUIREMENT = "onnx==1.23.2"

OPERATORS = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Attention",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "CumSum",
        "Div",
        "Dropout",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "IsInf",
        "IsNaN",
        "LayerNormalization",
        "Less",
        "LessOrEqual",
        "MatMul",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Sigmoid",
        "Sign",
        "Size",
        "Slice",
        "Softmax",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
"""What may stand anywhere in a graph; `docs/frontends.md` says what the machine runs of it."""

DOMAINS = ("", "ai.onnx")
LEAST_OPSET = 11


@dataclass(frozen=True)
class Node:
    """One operator of a graph.

    Parameters
    ----------
    index : int
        Its place among the nodes.
    name, operator : str
    inputs, outputs : tuple of str
        Names of values; empty for an optional one that is left out.
    attributes : mapping
    """

    index: int
    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        """Return how messages speak of it."""
        return f"node {self.index} {self.name!r} ({self.operator})"


@dataclass(frozen=True)
class Graph:
    """A graph whose operators are all known.

    Parameters
    ----------
    path : Path
        Where it was read from.
    model : onnx.ModelProto
    nodes : tuple of Node
        In an order in which each can be computed.
    constants : mapping of str to array
        Initialisers, and the outputs of Constant nodes.
    opset : int
    """

    path: Path
    model: Any
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray]
    opset: int

    def refuse(self, node: Node, why: str) -> FrontendError:
        """Return the error that says where `node` stands, and why it cannot be."""
        return FrontendError(f"{self.path}: {node}: {why}")


def read_graph(path: Path) -> Graph:
    """Read the graph in an ONNX file.

    Raises
    ------
    FrontendError
        If the file is missing, damaged or no ONNX, the package ``onnx`` is missing, or an operator
        is not one of `OPERATORS`.
    """
    if not path.is_file():
        raise FrontendError(f"{path}: no such file")
    try:
        import onnx
        from onnx.inliner import inline_local_functions
    except ImportError:
        raise FrontendError(f"{path}: an ONNX file needs pip install {REQUIREMENT}") from None
    try:
        onnx.checker.check_model(str(path))
        model = inline_local_functions(onnx.load(str(path)))
        nodes = tuple(_node(index, proto) for index, proto in enumerate(model.graph.node))
        constants = {
            item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer
        }
    except Exception as error:  # protobuf and the checker raise what they like
        raise FrontendError(f"{path}: no valid ONNX: {_short(error)}") from None
    opset = max([item.version for item in model.opset_import if item.domain in DOMAINS], default=0)
    latest = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= opset <= latest:
        raise FrontendError(f"{path}: opset must be from {LEAST_OPSET} to {latest}, not {opset}")
    graph = Graph(path, model, nodes, constants | _constant_nodes(nodes), opset)
    for node, proto in zip(nodes, model.graph.node, strict=True):
        if proto.domain not in DOMAINS:
            raise graph.refuse(node, f"domain {proto.domain} is not supported; export to opset 17")
        if node.operator not in OPERATORS:
            raise graph.refuse(
                node,
                "is not supported; an encoder is read from MatMul, Gemm, Add, LayerNormalization, "
                "Softmax, Attention, Gelu, Erf, Relu and what moves or masks their operands",
            )
    return graph


def _node(index: int, proto: Any) -> Node:
    from onnx.helper import get_attribute_value

    attributes = {item.name: get_attribute_value(item) for item in proto.attribute}
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    return Node(index, proto.name, proto.op_type, inputs, outputs, attributes)


def _constant_nodes(nodes: tuple[Node, ...]) -> dict[str, NDArray]:
    from onnx.numpy_helper import to_array

    constants = {}
    for node in nodes:
        if node.operator == "Constant" and "value" in node.attributes:
            constants[node.outputs[0]] = to_array(node.attributes["value"])
        elif node.operator == "Constant":
            constants[node.outputs[0]] = np.array(next(iter(node.attributes.values()), 0))
    return constants


def _short(error: Exception, limit: int = 200) -> str:
    """Return the first words of a message that may be long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]}..."
