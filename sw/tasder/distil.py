"""Distillation: the weights that are left learn from the float model, all layers at once.

Compensation makes up for errors a layer at a time; here the whole sparse model is trained on what
its outputs should be, by gradient descent (Adam: Kingma and Ba, arXiv 1412.6980). Weights that are
zero stay zero, so that the cost does not change. Texts need no labels, because the float model
gives them: sentences of the calibration text, joined, with words exchanged for random ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..frontend.bert import BertModel
from ..sparsity.errors import SparsityError
from .backward import LayerTrace, Slopes, layer_of, parameters
from .choice import kept_term
from .forward import Batch, Rows, run_layers, sentence_embeddings
from .sentences import RandomTexts

Tokens = NDArray[np.integer]

RATE = 1e-4
"""About how far a weight moves in a step, at most."""

WARM_UP = 0.1
"""Share of the steps in which the rate rises; it falls along a cosine afterwards."""


@dataclass(frozen=True)
class Distillation:
    """How long and how fast is trained.

    Parameters
    ----------
    steps : int
    rate : float
        About how far a weight moves in a step, at most.
    texts : int
        Texts of a step.
    seed : int
        Draws the texts.

    Raises
    ------
    SparsityError
        If `steps` is negative, or another is not above 0.
    """

    steps: int
    rate: float = RATE
    texts: int = 32
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise SparsityError(f"steps must be at least 0, not {self.steps}")
        for name in ("rate", "texts"):
            value = getattr(self, name)
            if not value > 0:
                raise SparsityError(f"{name} must be above 0, not {value}")

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, 0 to `steps` - 1."""
        rising = min(1.0, (step + 1) / max(1.0, WARM_UP * self.steps))
        return self.rate * rising * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def distil(
    sparse: BertModel,
    model: BertModel,
    tokens: Sequence[Tokens],
    words: Tokens,
    how: Distillation,
    on_step: Callable[[int], None] = lambda done: None,
) -> BertModel:
    """Return `sparse` with weights that bring its outputs nearer to those of `model`.

    Parameters
    ----------
    sparse, model : BertModel
        Of one shape, with the same embeddings; `sparse` may keep some activations only.
    tokens : sequence of int [tokens]
        Sentences to make texts of.
    words : int [words]
        Ids to exchange words for.
    how : Distillation
    on_step : callable
        Is told how many steps are done.

    Returns
    -------
    BertModel
        With the zeros of `sparse`, and maybe more.
    """
    texts = RandomTexts(tokens, words, model.config.maximum_tokens, how.seed)
    layers = [_Learner(parameters(layer)) for layer in sparse.layers]
    kept = [kept_term(sparse, index) for index in range(len(sparse.layers))]
    for step in range(how.steps):
        batch = Batch.of(model, [texts.draw() for _ in range(how.texts)])
        expected = run_layers(model, batch)
        traces: list[LayerTrace] = []
        x = batch.x
        for layer, term in zip(layers, kept, strict=True):
            traces.append(LayerTrace(model.config, layer_of(layer.values), x, batch.lengths, term))
            x = traces[-1].output
        slope = loss_slope(x, expected, batch.lengths)
        for layer, trace in zip(reversed(layers), reversed(traces), strict=True):
            slope, slopes = trace.back(slope)
            layer.learn(slopes, how.rate_at(step))
        on_step(step + 1)
    return replace(sparse, layers=tuple(layer_of(layer.values) for layer in layers))


def loss(found: Rows, expected: Rows, lengths: Sequence[int]) -> float:
    """Return the squared error of the tokens over their power, and 1 less the mean cosine of the
    sentences' embeddings, added up.

    Parameters
    ----------
    found, expected : float32 [tokens, channels]
    lengths : sequence of int
        Tokens of each sentence.
    """
    error = float(np.square(found - expected).sum() / np.square(expected).sum())
    cosines = np.sum(
        sentence_embeddings(found, lengths) * sentence_embeddings(expected, lengths), axis=1
    )
    return error + 1 - float(cosines.mean())


def loss_slope(found: Rows, expected: Rows, lengths: Sequence[int]) -> Rows:
    """Return the slope of `loss` along `found`, float32 [tokens, channels]."""
    starts = np.cumsum([0, *lengths[:-1]])
    counts = np.array(lengths, dtype=np.float32)[:, None]
    means = np.add.reduceat(found, starts, axis=0) / counts
    size = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    unit, wanted = means / size, sentence_embeddings(expected, lengths)
    cosine = np.sum(unit * wanted, axis=1, keepdims=True)
    turning = (cosine * unit - wanted) / (size * counts * len(lengths))
    error = 2 * (found - expected) / np.square(expected).sum()
    return np.asarray(error + np.repeat(turning, lengths, axis=0), dtype=np.float32)


class _Learner:
    """The parameters of a layer, and the moments of their slopes."""

    DECAY = 0.9, 0.98
    """Of the mean of slopes and of that of their squares, a step."""

    def __init__(self, values: Slopes) -> None:
        self.values = {name: value.astype(np.float32) for name, value in values.items()}
        self._used = {
            name: value != 0 for name, value in self.values.items() if name.endswith(".weight")
        }
        self._means = {name: np.zeros_like(value) for name, value in self.values.items()}
        self._squares = {name: np.zeros_like(value) for name, value in self.values.items()}
        self._steps = 0

    def learn(self, slopes: Slopes, rate: float) -> None:
        """Move all parameters against their slopes; weights that are zero stay."""
        self._steps += 1
        first, second = self.DECAY
        # Both means begin at zero, which the sum of their shares so far makes up for.
        strength = rate / (1 - first**self._steps)
        spread = 1 / (1 - second**self._steps)
        for name, slope in slopes.items():
            if name in self._used:
                slope = slope * self._used[name]
            mean, square = self._means[name], self._squares[name]
            mean += (1 - first) * (slope - mean)
            square += (1 - second) * (np.square(slope) - square)
            self.values[name] -= strength * mean / (np.sqrt(square * spread) + 1e-10)
