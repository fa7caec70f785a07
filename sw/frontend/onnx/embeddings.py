"""What comes before the first layer: tables of words, patches of an image, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bert import Embeddings, Linear
from ..vit import PatchEmbeddings
from .blocks import norm_at
from .trace import VIEWS, Trace

TABLE_AXES = 2
IMAGE_AXES = 4


@dataclass(frozen=True)
class WordMatch:
    """Tables of words, and the input that holds their ids; all tokens are of the type 0."""

    embeddings: Embeddings
    ids: str


def words_at(trace: Trace, name: str) -> WordMatch | None:
    """Return the tables if `name` is a layer norm of words, positions and maybe types."""
    norm = norm_at(trace, name)
    if norm is None:
        return None
    hidden = trace.values[name].shape[-1]
    tokens = trace.values[name].size // hidden
    found: dict[str, NDArray] = {}
    positions: NDArray | None = None
    types = np.zeros((1, hidden), np.float32)
    for term in _terms(trace, norm.source):
        gather = trace.producer(term, "Gather")
        if gather is None or trace.values[gather.inputs[0]].ndim != TABLE_AXES:
            value = trace.values[term]
            if term in trace.variable or value.size not in (hidden, tokens * hidden):
                return None
            if value.size == hidden:
                types = types + value.reshape(1, hidden)
            else:
                positions = _added(positions, value.reshape(tokens, hidden))
            continue
        table, index = (trace.values[item] for item in gather.inputs[:2])
        row = index.reshape(-1)
        if np.array_equal(row, row[0] + np.arange(tokens)) and tokens > 1:
            positions = _added(positions, table[row[0] :])
        elif np.all(row == row[0]):
            types = types + table[row[0]]
        elif _source_of_ids(trace, gather.inputs[1]) in trace.feeds and not found:
            found[_source_of_ids(trace, gather.inputs[1])] = table
        else:
            return None
    if not found or positions is None:
        return None
    ((ids, table),) = found.items()
    words, places, kinds = (
        np.asarray(item, dtype=np.float32) for item in (table, positions, types)
    )
    return WordMatch(Embeddings(words, places, kinds, norm.norm), ids)


def _added(positions: NDArray | None, more: NDArray) -> NDArray:
    return more if positions is None else positions[: len(more)] + more[: len(positions)]


def _terms(trace: Trace, name: str) -> Iterator[str]:
    """Yield what `name` is the sum of."""
    node = trace.producer(trace.source(name), "Add")
    if node is None:
        yield trace.source(name) if name in trace.variable else name
        return
    for item in node.inputs:
        yield from _terms(trace, item)


def _source_of_ids(trace: Trace, name: str) -> str:
    """Return what the index `name` is but for its shape, the graph's input if nothing counts."""
    while (node := trace.producer(name, *VIEWS)) is not None:
        name = node.inputs[0]
    return name


def patches_at(trace: Trace, name: str) -> PatchEmbeddings | None:
    """Return the embeddings if `name` is made of a convolution of an image without overlaps.

    Positions are what the sample has beyond the convolution, so that it takes another sample to
    tell whether that is all.
    """
    for node in trace.graph.nodes:
        if node.operator != "Conv" or node.inputs[0] not in trace.feeds:
            continue
        weight, image = trace.values[node.inputs[1]], trace.values[node.inputs[0]]
        hidden = trace.values[name].shape[-1]
        if (
            weight.ndim != IMAGE_AXES
            or weight.shape[0] != hidden
            or weight.shape[2:3] * 2 != (weight.shape[2:])
        ):
            continue
        channels, size = weight.shape[1:3]
        found = trace.values[node.outputs[0]]
        square = image.ndim == IMAGE_AXES and image.shape[2] == image.shape[3]
        if not square or found.shape[2:] != (image.shape[2] // size,) * 2:
            continue
        rows = found[0].reshape(hidden, -1).T
        total = trace.values[name].reshape(-1, hidden)
        prefix = len(total) - len(rows)
        if prefix < 0 or image.shape[2] % size:
            continue
        bias = trace.values[node.inputs[2]] if len(node.inputs) > 2 else np.zeros(hidden)
        return PatchEmbeddings(
            Linear(
                np.asarray(weight.reshape(hidden, -1), dtype=np.float32),
                np.asarray(bias, dtype=np.float32),
            ),
            np.zeros((prefix, hidden), np.float32),
            np.concatenate([total[:prefix], total[prefix:] - rows]).astype(np.float32),
            size,
            channels,
            image.shape[2],
        )
    return None
