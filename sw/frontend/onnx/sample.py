"""Sample inputs of a graph: as many words, pixels or vectors as its inputs take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FrontendError
from .graph import Graph, Node

TOKENS = 6
"""Tokens of a sample where the graph does not fix their number."""

MOST_ELEMENTS = 1 << 26
"""Elements of an input that a sample is made of."""

THROUGH = ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape")
IMAGE_AXES = 4
ROWS, COLUMNS = 2, 3


@dataclass(frozen=True)
class Sampler:
    """How a sample is made, where the graph leaves it open.

    Parameters
    ----------
    tokens_first : bool
        Whether the axis of the tokens comes before that of the batch.
    counts : bool
        The value of a mask where a token counts.
    """

    tokens_first: bool
    counts: bool

    def feeds(self, graph: Graph, seed: int) -> dict[str, NDArray]:
        """Return a value for each input of `graph`.

        Raises
        ------
        FrontendError
            If an input is too large, or of a type that no encoder takes.
        """
        generator = np.random.default_rng(seed)
        sizes: dict[str, int] = {}
        feeds = {}
        for item in _inputs(graph):
            shape = self._shape(graph, item, sizes)
            feeds[item.name] = self._values(graph, item, shape, generator)
        return feeds

    def _shape(self, graph: Graph, item: Any, sizes: dict[str, int]) -> tuple[int, ...]:
        dimensions = item.type.tensor_type.shape.dim
        shape = []
        for axis, dimension in enumerate(dimensions):
            size = dimension.dim_value
            if size < 1:
                guess = self._guess(graph, item.name, axis, len(dimensions))
                size = sizes.setdefault(dimension.dim_param or f"{item.name}.{axis}", guess)
            shape.append(size)
        if math.prod(shape) > MOST_ELEMENTS:
            raise FrontendError(
                f"{graph.path}: input {item.name!r} must have at most {MOST_ELEMENTS} elements, "
                f"not {shape}"
            )
        return tuple(shape)

    def _guess(self, graph: Graph, name: str, axis: int, axes: int) -> int:
        if axes == IMAGE_AXES and axis > 0:
            image = _image_shape(graph, name)
            if image is not None:
                return image[axis - 1]
        return 1 if axis == int(self.tokens_first) else TOKENS

    def _values(
        self, graph: Graph, item: Any, shape: tuple[int, ...], generator: np.random.Generator
    ) -> NDArray:
        kind = _dtype(graph, item)
        if np.issubdtype(kind, np.integer):
            rows = {other.name: _table_rows(graph, other.name) for other in _inputs(graph)}
            if rows[item.name] == 0:
                return np.full(shape, self.counts, kind)
            if "position" in item.name:
                return np.broadcast_to(np.arange(shape[-1]), shape).astype(kind)
            # Ids of words count up to the longest table; any other is a type, and all are the same.
            limit = rows[item.name] if rows[item.name] == max(rows.values()) else 1
            return generator.integers(0, limit, shape).astype(kind)
        if kind == np.bool_:
            return np.full(shape, self.counts, kind)
        if "mask" in item.name.lower():
            return np.zeros(shape, kind)
        return generator.normal(size=shape).astype(kind)


def _dtype(graph: Graph, item: Any) -> np.dtype:
    """Return the type of an input, which is a tensor of numbers."""
    from onnx.helper import tensor_dtype_to_np_dtype

    code = item.type.tensor_type.elem_type
    try:
        kind = tensor_dtype_to_np_dtype(code)
    except KeyError:
        kind = np.dtype(object)
    if kind.kind not in "biuf":
        raise FrontendError(
            f"{graph.path}: input {item.name!r} must be a tensor of integers, floats or booleans, "
            f"not of ONNX's type {code}"
        )
    return kind


def samplers() -> Iterator[Sampler]:
    """Yield the ways to make a sample, the likeliest first."""
    for tokens_first in (False, True):
        for counts in (True, False):
            yield Sampler(tokens_first, counts)


def _inputs(graph: Graph) -> list[Any]:
    return [item for item in graph.model.graph.input if item.name not in graph.constants]


def _readers(graph: Graph, name: str) -> Iterator[Node]:
    for node in graph.nodes:
        if name not in node.inputs:
            continue
        if node.operator in THROUGH and node.inputs[0] == name:
            yield from _readers(graph, node.outputs[0])
        else:
            yield node


def _table_rows(graph: Graph, name: str) -> int:
    """Return the rows of the smallest table that input `name` is an index of, 0 if of none."""
    rows = [
        len(graph.constants[node.inputs[0]])
        for node in _readers(graph, name)
        if node.operator == "Gather"
        and node.inputs[0] in graph.constants
        and graph.constants[node.inputs[0]].ndim == 2
        and node.attributes.get("axis", 0) == 0
    ]
    return min(rows, default=0)


def _image_shape(graph: Graph, name: str) -> tuple[int, int, int] | None:
    """Return channels, rows and columns of image `name`: a patch's, and as many as positions."""
    for node in _readers(graph, name):
        weight = graph.constants.get(node.inputs[1]) if node.operator == "Conv" else None
        if weight is None or weight.ndim != IMAGE_AXES:
            continue
        hidden, channels = weight.shape[:2]
        for table in graph.constants.values():
            if table.ndim == 3 and table.shape[0] == 1 and table.shape[2] == hidden:
                count = math.isqrt(table.shape[1])
                if count > 1:
                    return channels, count * weight.shape[ROWS], count * weight.shape[COLUMNS]
    return None
