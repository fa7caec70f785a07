"""Make a model sparse: every linear layer in turn, on the inputs that the sparse model gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..frontend.bert import BertModel, EncoderLayer, Linear
from ..sparsity.errors import SparsityError
from ..sparsity.tasd import decompose
from .choice import KEEPING, Choice, KeptInputs, Sparsity, kept_inputs_of
from .compensate import DAMPING, Curvature, prune_compensated, refit, refit_to_kept
from .forward import LINEARS, STAGES, Batch, LayerRun, Rows, keep_largest


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
    """Refuse names that the model does not have, and inputs that no machine keeps.

    Raises
    ------
    SparsityError
        With the first such name.
    """
    known = set(linear_names(model))
    for name, taken in choice.items():
        if name not in known:
            raise SparsityError(f"layer {name!r}: the model has no such linear layer")
        if isinstance(taken, KeptInputs) and name.partition(".")[2] not in KEEPING:
            raise SparsityError(
                f"layer {name!r}: inputs are kept in front of {', '.join(KEEPING)} alone"
            )


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
        Layers whose inputs it keeps already do so afterwards, unless `choice` has something else.
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
    kept = {name: item for name, item in kept_inputs_of(model).items() if name not in choice}
    kept |= {name: item for name, item in choice.items() if isinstance(item, KeptInputs)}
    layers = []
    rows = None if batch is None else batch.x
    for index, layer in enumerate(model.layers):
        names = [name for name in LINEARS if f"{index}.{name}" in choice]
        taken = {name: choice[f"{index}.{name}"] for name in names}
        if batch is None or rows is None or not method.compensate:
            layers.append(_greedy(layer, taken))
        else:
            inputs = kept.get(f"{index}.contract")
            term = None if inputs is None else inputs.term
            run = LayerRun(model.config, layer, rows, batch.lengths, term)
            layers.append(_compensated(run, taken, method))
            rows = run.rows
        on_layer(index + 1)
    activations = {name: str(item.term) for name, item in kept.items()}
    return replace(model, layers=tuple(layers), activations=activations)


def _greedy(layer: EncoderLayer, taken: Choice) -> EncoderLayer:
    changes: dict[str, Any] = {}
    for name, item in taken.items():
        if not isinstance(item, KeptInputs):
            dense: Linear = getattr(layer, name)
            changes[name] = replace(dense, weight=decompose(dense.weight, item).approximation)
    return replace(layer, **changes)


def _compensated(run: LayerRun, taken: Choice, method: Method) -> EncoderLayer:
    """Run a layer to its end; what is pruned sees the inputs that sparse weights gave."""
    for stage, step in STAGES:
        names = [name for name in stage if name in taken]
        if names:
            inputs = LayerInputs(run.rows, method.damping)
            changes: dict[str, Any] = {
                name: inputs.fit(getattr(run.layer, name), taken[name], method) for name in names
            }
            run.layer = replace(run.layer, **changes)
        run.step(step)
    return run.layer


class LayerInputs:
    """What weights are fitted to: the inputs that some linear layers share, and their curvature.

    Parameters
    ----------
    rows : float32 [tokens, k]
    damping : float
    """

    def __init__(self, rows: Rows, damping: float) -> None:
        self.rows, self.damping = rows, damping

    @cached_property
    def curvature(self) -> Curvature:
        """The curvature of all rows."""
        return Curvature.of(self.rows, self.damping)

    def fit(self, layer: Linear, sparsity: Sparsity, method: Method) -> Linear:
        """Return a layer that takes `sparsity`; its bias makes up for the mean error."""
        if isinstance(sparsity, KeptInputs):
            kept = keep_largest(self.rows, sparsity.term)
            weight = refit_to_kept(layer.weight, self.rows, kept, self.damping)
            lost = layer.weight @ self.rows.mean(axis=0) - weight @ kept.mean(axis=0)
        else:
            weight = prune_compensated(layer.weight, sparsity, self.curvature)
            if method.refit_steps:
                weight = refit(weight, layer.weight, self.curvature, method.refit_steps)
            lost = (layer.weight - weight) @ self.curvature.mean
        return Linear(weight, (layer.bias + lost).astype(np.float32))
