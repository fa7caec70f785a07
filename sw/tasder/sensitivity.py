"""How much the embeddings lose when one layer is made sparse and all others stay dense."""

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
from .choice import Choice, KeptInputs, Sparsity, format_sparsity
from .forward import STAGES, Batch, LayerRun, Rows, run_layer, run_layers, sentence_embeddings
from .sparsify import LayerInputs, Method, linear_names, linear_of, sparsify

Candidates = Mapping[str, Sequence[Sparsity]]
"""What each layer may take besides staying dense, by its name."""

Losses = Mapping[str, Mapping[str, float]]
"""By layer and what it takes, as text: 1 less the mean cosine of the embeddings to those of the
dense model."""


def measure(
    model: BertModel,
    candidates: Candidates,
    batch: Batch,
    sentences: Batch,
    method: Method,
    *,
    partial: Path | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Losses:
    """Measure each linear layer with each of its candidates.

    Parameters
    ----------
    model : BertModel
        Keeps all activations.
    candidates : Candidates
    batch : Batch
        What weights are fitted to.
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
            inputs = LayerInputs(run.rows, method.damping)
            for name in (f"{index}.{name}" for name in names):
                found = losses.setdefault(name, {})
                for item in candidates.get(name, ()):
                    if format_sparsity(item) not in found:
                        sparse = _with(model, {name: item}, inputs, method)
                        rows = run_layers(sparse, sentences, index, float_rows[index])
                        embeddings = sentence_embeddings(rows, sentences.lengths)
                        found[format_sparsity(item)] = _loss(embeddings, expected)
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
    for name in linear_names(model):
        digest.update(linear_of(model, name).weight.tobytes())
    return digest.hexdigest()


def _with(model: BertModel, choice: Choice, inputs: LayerInputs, method: Method) -> BertModel:
    """Return `model` with one sparse layer, which is fitted to `inputs`."""
    if not method.compensate:
        return sparsify(model, choice, None, method)
    ((name, item),) = choice.items()
    index, _, part = name.partition(".")
    changes: dict[str, Any] = {part: inputs.fit(linear_of(model, name), item, method)}
    layers = list(model.layers)
    layers[int(index)] = replace(layers[int(index)], **changes)
    kept = {name: str(item.term)} if isinstance(item, KeptInputs) else {}
    return replace(model, layers=tuple(layers), activations=kept)


def _layer_inputs(model: BertModel, sentences: Batch) -> list[Rows]:
    """Return the input of each encoder layer, and the output of the last."""
    rows = [sentences.x]
    for index in range(model.config.layers):
        rows.append(run_layer(model, index, rows[-1], sentences.lengths))
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
