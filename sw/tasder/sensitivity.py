"""How much the embeddings lose when one layer is made sparse and all others stay dense."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frontend.bert import BertModel
from .choice import Choice, KeptInputs, Sparsity, format_sparsity
from .forward import STAGES, Batch, LayerRun, Rows, run_layer, run_layers, sentence_embeddings
from .partial import Partial
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
    partial: Partial | None = None,
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
    partial : Partial, optional
        Results of the same `fingerprint`. What is in it is not measured again, new ones are added
        to it at once.
    on_progress : callable
        Is told how many measurements are done.
    """
    partial = Partial() if partial is None else partial
    if all(
        format_sparsity(item) in partial.losses.get(name, {})
        for name, items in candidates.items()
        for item in items
    ):
        return partial.losses
    float_rows = _layer_inputs(model, sentences)
    expected = sentence_embeddings(float_rows[-1], sentences.lengths)
    done = 0
    x = batch.x
    for index, layer in enumerate(model.layers):
        run = LayerRun(model.config, layer, x, batch.lengths)
        for names, step in STAGES:
            inputs = LayerInputs(run.rows, method.damping)
            for name in (f"{index}.{name}" for name in names):
                for item in candidates.get(name, ()):
                    if format_sparsity(item) not in partial.losses.get(name, {}):
                        sparse = _with(model, {name: item}, inputs, method)
                        rows = run_layers(sparse, sentences, index, float_rows[index])
                        embeddings = sentence_embeddings(rows, sentences.lengths)
                        loss = _loss(embeddings, expected)
                        partial.add_loss(name, format_sparsity(item), loss)
                    done += 1
                    on_progress(done)
            run.step(step)
        x = run.rows
    return partial.losses


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
