"""Make a model sparse: every linear layer in turn, on the inputs that the sparse model gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..frontend.bert import BertModel, EncoderLayer, Linear
from ..sparsity.errors import SparsityError
from ..sparsity.tasd import Series, decompose
from .compensate import DAMPING, Curvature, prune_compensated, refit
from .forward import LINEARS, STAGES, Batch, LayerRun

Choice = Mapping[str, Series]
"""The series of each layer, by a name such as ``0.query``; those left out stay dense."""


@dataclass(frozen=True)
class Method:
    """How weights are chosen and moved.

    Parameters
    ----------
    compensate : bool
        Second-order selection and compensation; otherwise the largest magnitudes stay as they are.
    refit_steps : int
        Steps of `compensate.refit`; 0 leaves it out.
    damping : float
        Of the Hessian.
    """

    compensate: bool = True
    refit_steps: int = 12
    damping: float = DAMPING


GREEDY = Method(compensate=False, refit_steps=0)
"""Plain magnitude."""


def linear_names(model: BertModel) -> list[str]:
    """Return the names of all linear layers, as they are executed."""
    return [f"{index}.{name}" for index in range(model.config.layers) for name in LINEARS]


def linear_of(model: BertModel, name: str) -> Linear:
    """Return the linear layer `name`, such as ``0.query``."""
    index, _, part = name.partition(".")
    layer: Linear = getattr(model.layers[int(index)], part)
    return layer


def check_choice(model: BertModel, choice: Choice) -> None:
    """Refuse names that the model does not have.

    Raises
    ------
    SparsityError
        With the first such name.
    """
    known = set(linear_names(model))
    for name in choice:
        if name not in known:
            raise SparsityError(f"layer {name!r}: the model has no such linear layer")


def sparsify(
    model: BertModel,
    choice: Choice,
    batch: Batch | None,
    method: Method = Method(),
    on_layer: Callable[[int], None] = lambda done: None,
) -> BertModel:
    """Return a sparse model.

    Parameters
    ----------
    model : BertModel
    choice : Choice
    batch : Batch, optional
        Calibration sentences; not needed by a `method` that does not compensate.
    method : Method
    on_layer : callable
        Is told how many encoder layers are done.

    Raises
    ------
    SparsityError
        If the model lacks a layer of `choice`, or calibration sentences are missing.
    """
    check_choice(model, choice)
    if method.compensate and batch is None:
        raise SparsityError("compensation needs calibration sentences")
    layers = []
    rows = None if batch is None else batch.x
    for index, layer in enumerate(model.layers):
        names = [name for name in LINEARS if f"{index}.{name}" in choice]
        series_of = {name: choice[f"{index}.{name}"] for name in names}
        if batch is None or rows is None or not method.compensate:
            layers.append(_greedy(layer, series_of))
        else:
            run = LayerRun(model.config, layer, rows, batch.lengths)
            layers.append(_compensated(run, series_of, method))
            rows = run.rows
        on_layer(index + 1)
    return replace(model, layers=tuple(layers))


def _greedy(layer: EncoderLayer, series_of: Choice) -> EncoderLayer:
    changes: dict[str, Any] = {}
    for name, series in series_of.items():
        dense: Linear = getattr(layer, name)
        changes[name] = replace(dense, weight=decompose(dense.weight, series).approximation)
    return replace(layer, **changes)


def _compensated(run: LayerRun, series_of: Choice, method: Method) -> EncoderLayer:
    """Run a layer to its end; what is pruned sees the inputs that sparse weights gave."""
    for stage, step in STAGES:
        names = [name for name in stage if name in series_of]
        if names:
            curvature = Curvature.of(run.rows, method.damping)
            changes: dict[str, Any] = {
                name: prune_linear(getattr(run.layer, name), series_of[name], curvature, method)
                for name in names
            }
            run.layer = replace(run.layer, **changes)
        run.step(step)
    return run.layer


def prune_linear(layer: Linear, series: Series, curvature: Curvature, method: Method) -> Linear:
    """Prune one layer, with compensation; its bias makes up for the mean error."""
    pruned = prune_compensated(layer.weight, series, curvature)
    if method.refit_steps:
        pruned = refit(pruned, layer.weight, curvature, method.refit_steps)
    bias = layer.bias + (layer.weight - pruned) @ curvature.mean
    return Linear(pruned, bias.astype(np.float32))
