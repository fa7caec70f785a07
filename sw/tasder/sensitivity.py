"""How much the embeddings lose when one layer takes one series and all others stay dense."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frontend.bert import BertModel
from ..sparsity.errors import SparsityError
from ..sparsity.tasd import Series, decompose, format_series
from .compensate import Curvature
from .forward import LINEARS, STAGES, Batch, LayerRun, Rows, run_layers, sentence_embeddings
from .sparsify import Method, linear_of, prune_linear

Losses = Mapping[str, Mapping[str, float]]
"""By layer and series: 1 less the mean cosine of the embeddings to those of the dense model."""


def measure(
    model: BertModel,
    candidates: Sequence[Series],
    batch: Batch,
    sentences: Batch,
    method: Method,
    *,
    partial: Path | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Losses:
    """Measure each linear layer with each series.

    Parameters
    ----------
    model : BertModel
    candidates : sequence of Series
    batch : Batch
        What the Hessians are taken from.
    sentences : Batch
        What embeddings are compared on.
    method : Method
    partial : Path, optional
        A file of results. Those in it are not measured again, new ones are added to it at once.
    on_progress : callable
        Is told how many measurements are done.

    Raises
    ------
    SparsityError
        If `partial` is no such file, or holds results of another measurement.
    """
    key = fingerprint(model, batch, sentences, method)
    losses = _read(partial, key)
    float_rows = _layer_inputs(model, sentences)
    expected = sentence_embeddings(float_rows[-1], sentences.lengths)
    done = 0
    x = batch.x
    for index, layer in enumerate(model.layers):
        run = LayerRun(model.config, layer, x, batch.lengths)
        for names, step in STAGES:
            todo = [
                (name, series)
                for name in names
                for series in candidates
                if format_series(series) not in losses.get(f"{index}.{name}", {})
            ]
            done += len(names) * len(candidates) - len(todo)
            on_progress(done)
            curvature = (
                Curvature.of(run.rows, method.damping) if todo and method.compensate else None
            )
            for name, series in todo:
                sparse = _with(model, index, name, series, curvature, method)
                rows = run_layers(sparse, sentences, index, float_rows[index])
                embeddings = sentence_embeddings(rows, sentences.lengths)
                found = losses.setdefault(f"{index}.{name}", {})
                found[format_series(series)] = _loss(embeddings, expected)
                _write(partial, key, losses)
                done += 1
                on_progress(done)
            run.step(step)
        x = run.rows
    return losses


def fingerprint(model: BertModel, batch: Batch, sentences: Batch, method: Method) -> str:
    """Return what tells the results of one measurement from those of another."""
    digest = hashlib.sha256(repr(method).encode())
    for item in (batch, sentences):
        digest.update(repr(item.lengths).encode() + item.x.tobytes())
    for index in range(model.config.layers):
        for name in LINEARS:
            digest.update(linear_of(model, f"{index}.{name}").weight.tobytes())
    return digest.hexdigest()


def _with(
    model: BertModel,
    index: int,
    name: str,
    series: Series,
    curvature: Curvature | None,
    method: Method,
) -> BertModel:
    """Return `model` with one layer sparse; only a method that compensates needs a curvature."""
    dense = linear_of(model, f"{index}.{name}")
    if method.compensate:
        assert curvature is not None
        sparse = prune_linear(dense, series, curvature, method)
    else:
        sparse = replace(dense, weight=decompose(dense.weight, series).approximation)
    layers = list(model.layers)
    changes: dict[str, Any] = {name: sparse}
    layers[index] = replace(layers[index], **changes)
    return replace(model, layers=tuple(layers))


def _layer_inputs(model: BertModel, sentences: Batch) -> list[Rows]:
    """Return the input of each encoder layer, and the output of the last."""
    rows = [sentences.x]
    for index in range(model.config.layers):
        one = replace(model, layers=model.layers[index : index + 1])
        rows.append(run_layers(one, sentences, x=rows[-1]))
    return rows


def _loss(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    # Of unit vectors, half the squared distance is 1 - cosine, without its cancellation.
    distance = found.astype(np.float64) - expected
    return float(np.mean(np.sum(np.square(distance), axis=1)) / 2)


def _read(path: Path | None, key: str) -> dict[str, dict[str, float]]:
    if path is None or not path.exists():
        return {}
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, losses = values["key"], values["losses"]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())
        raise SparsityError(f"{path}: no partial results of a search: {text}") from None
    if found != key:
        raise SparsityError(f"{path}: holds results of another model, method or text")
    return {layer: dict(values) for layer, values in losses.items()}


def _write(path: Path | None, key: str, losses: Losses) -> None:
    if path is None:
        return
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps({"key": key, "losses": losses}, indent=1), encoding="utf-8")
    temporary.replace(path)
