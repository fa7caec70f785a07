"""An encoder from an ONNX file, checked against what the file computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import FrontendError
from ..bert import BertConfig, BertModel, EncoderModel
from ..vit import VitModel
from .blocks import norm_at
from .embeddings import patches_at, words_at
from .graph import Graph, read_graph
from .layers import LayerMatch, layers_of
from .sample import samplers
from .trace import Trace, trace

SUFFIX = ".onnx"
SEEDS = (1, 2)

MAXIMUM_TOKENS = 1 << 14
"""Of a graph whose input is vectors, as many as one likes."""

TOLERANCE = 0.01
"""Norm of the difference between the graph and the model, over the norm."""


def is_onnx(path: Path | str) -> bool:
    """Return whether `path` is named as an ONNX file."""
    return Path(path).suffix == SUFFIX


def load_onnx(path: Path) -> EncoderModel:
    """Read an encoder.

    Parameters
    ----------
    path : Path
        An export of one sentence or image a run, of fixed or variable length. A tokenizer may lie
        beside it.

    Returns
    -------
    EncoderModel
        A `BertModel` if it begins with tables of words and positions, a `VitModel` if with patches
        of an image, else one of vectors.

    Raises
    ------
    FrontendError
        If the file is missing or damaged, or an operator stands where no encoder has one.
    """
    graph = read_graph(path)
    ran, layers = _read(graph)
    return _model(ran, layers)


def _read(graph: Graph) -> tuple[Trace, list[LayerMatch]]:
    """Return the graph on the first sample that makes sense of it, and its layers."""
    failure: FrontendError | None = None
    for sampler in samplers():
        try:
            ran = trace(graph, sampler.feeds(graph, SEEDS[0]))
            layers = layers_of(ran)
            _check_batch(ran, layers[0])
            others = trace(graph, sampler.feeds(graph, SEEDS[1]))
            _check(ran, layers)
            _check(others, layers)
        except FrontendError as error:
            failure = failure or error
            continue
        return ran, layers
    assert failure is not None
    raise failure


def _check_batch(ran: Trace, first: LayerMatch) -> None:
    rows = _rows(ran, first.given, len(first.layer.attention_norm.gain))
    if len(rows) != first.tokens:
        raise ran.graph.refuse(
            first.node,
            f"attends to {first.tokens} tokens of {len(rows)}: export one sentence a run, or a "
            "variable batch",
        )


def _rows(ran: Trace, name: str, hidden: int) -> NDArray[np.float64]:
    return np.asarray(ran.values[name], dtype=np.float64).reshape(-1, hidden)


def _vectors(ran: Trace, layers: list[LayerMatch]) -> EncoderModel:
    first = layers[0]
    hidden = len(first.layer.attention_norm.gain)
    fixed = not any(
        dimension.dim_value < 1
        for item in ran.graph.model.graph.input
        for dimension in item.type.tensor_type.shape.dim[1:]
    )
    tokens = first.tokens if fixed else MAXIMUM_TOKENS
    config = BertConfig(
        hidden=hidden,
        heads=first.heads,
        intermediate=len(first.layer.expand.weight),
        layers=len(layers),
        vocabulary=0,
        positions=tokens,
        types=0,
        maximum_tokens=tokens,
        activation=first.activation,
        epsilon=first.epsilon,
        norm_first=first.norm_first,
    )
    return EncoderModel(config, tuple(item.layer for item in layers), ran.graph.path.parent)


def _check(ran: Trace, layers: list[LayerMatch]) -> None:
    """Compare the float model with the graph.

    Raises
    ------
    FrontendError
        If they differ.
    """
    from ...reference import encoder

    model = _vectors(ran, layers)
    if not all(np.all(np.isfinite(value)) for item in layers for value in _weights(item)):
        raise FrontendError(f"{ran.graph.path}: weights must be finite")
    hidden = model.config.hidden
    given, expected = (_rows(ran, name, hidden) for name in (layers[0].given, layers[-1].result))
    if not np.all(np.isfinite(expected)):
        raise FrontendError(f"{ran.graph.path}: results must be finite on a random input")
    error = _distance(encoder(model, given), expected)
    if error > TOLERANCE:
        raise FrontendError(
            f"{ran.graph.path}: the graph is no plain encoder: what was read of it gives results "
            f"that are {error:.3g} of their size off, of at most {TOLERANCE}"
        )


def _weights(item: LayerMatch) -> list[NDArray]:
    return [value for part in vars(item.layer).values() for value in vars(part).values()]


def _distance(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-30))


def _model(ran: Trace, layers: list[LayerMatch]) -> EncoderModel:
    """Return the model with its embeddings, if they are words or patches."""
    vectors = _vectors(ran, layers)
    given = layers[0].given
    return _bert(ran, vectors, given) or _vit(ran, vectors, layers) or vectors


def _bert(ran: Trace, vectors: EncoderModel, name: str) -> BertModel | None:
    from ...reference import embed

    match = words_at(ran, name)
    if match is None:
        return None
    tables = match.embeddings
    config = replace(
        vectors.config,
        vocabulary=len(tables.words),
        positions=len(tables.positions),
        types=len(tables.types),
        maximum_tokens=min(vectors.config.maximum_tokens, len(tables.positions)),
    )
    model = BertModel(config, vectors.layers, vectors.folder, embeddings=tables)
    ids = np.asarray(ran.feeds[match.ids]).reshape(-1).astype(np.int64)
    expected = _rows(ran, name, config.hidden)
    return model if _distance(embed(model, ids), expected) <= TOLERANCE else None


def _vit(ran: Trace, vectors: EncoderModel, layers: list[LayerMatch]) -> VitModel | None:
    patches = patches_at(ran, layers[0].given)
    if patches is None:
        return None
    last = layers[-1].result
    norms = (norm_at(ran, name) for node in ran.graph.nodes for name in node.outputs if name)
    norm = [item.norm for item in norms if item is not None and ran.source(item.source) == last]
    return VitModel(
        vectors.config,
        vectors.layers,
        vectors.folder,
        patches=patches,
        output_norm=norm[-1] if norm else None,
    )
