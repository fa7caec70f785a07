"""A fast float32 forward pass of many sentences at once, for measurements of quality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frontend.bert import BertConfig, BertModel, EncoderLayer, LayerNorm, Linear
from ..reference import embed
from ..sparsity.prune import largest_of_groups
from ..sparsity.tasd import Term
from .choice import kept_term

GELU_ROWS = 16
"""Rows that `gelu` takes at a time."""

Rows = NDArray[np.float32]
"""Activations of all tokens of a batch, sentence after sentence, float32 [tokens, channels]."""

LINEARS = ("query", "key", "value", "projection", "expand", "contract")
"""The linear layers of an encoder layer, as they are executed."""


@dataclass(frozen=True)
class Batch:
    """Sentences whose rows follow each other without padding.

    Parameters
    ----------
    x : float32 [tokens, hidden]
        The input of the first layer.
    lengths : tuple of int
        Tokens of each sentence.
    """

    x: Rows
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, model: BertModel, tokens: Sequence[NDArray[np.integer]]) -> Batch:
        """Return the batch of some sequences of token ids.

        Raises
        ------
        CompileError
            If a sequence is empty, too long, or has an id outside the vocabulary.
        """
        rows = [embed(model, ids).astype(np.float32) for ids in tokens]
        return cls(np.concatenate(rows), tuple(len(item) for item in rows))


STAGES = (
    (("query", "key", "value"), "context"),
    (("projection",), "hidden"),
    (("expand",), "activated"),
    (("contract",), "output"),
)
"""The linear layers that take one input, and the method of `LayerRun` that goes on with theirs."""


class LayerRun:
    """One encoder layer, in steps; weights are read when they are used.

    Parameters
    ----------
    config : BertConfig
    layer : EncoderLayer
        May be replaced between two steps.
    x : float32 [tokens, hidden]
    lengths : sequence of int
        Tokens of each sentence.
    kept : Term, optional
        What is kept of the inputs of the contraction.
    """

    def __init__(
        self,
        config: BertConfig,
        layer: EncoderLayer,
        x: Rows,
        lengths: Sequence[int],
        kept: Term | None = None,
    ) -> None:
        self.config, self.layer, self.lengths, self.kept = config, layer, lengths, kept
        self.residual = x
        """What the next projection or contraction is added to."""
        self.rows = x
        """The result of the last step, and so the input of the linear layers that come next."""

    def context(self) -> None:
        """Attend."""
        layer = self.layer
        query, key, value = (linear(self.rows, it) for it in (layer.query, layer.key, layer.value))
        self.rows = attention(query, key, value, self.config.heads, self.lengths)

    def hidden(self) -> None:
        """Project, add and normalise."""
        self._add(self.layer.projection, self.layer.attention_norm)

    def activated(self) -> None:
        """Expand and activate."""
        wide = linear(self.rows, self.layer.expand)
        self.rows = gelu(wide) if self.config.activation == "gelu" else np.maximum(wide, 0)

    def output(self) -> None:
        """Contract what is kept, add and normalise."""
        if self.kept is not None:
            self.rows = keep_largest(self.rows, self.kept)
        self._add(self.layer.contract, self.layer.output_norm)

    def step(self, name: str) -> None:
        """Make the step `name` of `STAGES`."""
        getattr(self, name)()

    def _add(self, layer: Linear, norm: LayerNorm) -> None:
        self.rows = layer_norm(self.residual + linear(self.rows, layer), norm, self.config.epsilon)
        self.residual = self.rows


def run_layers(model: BertModel, batch: Batch, first: int = 0, x: Rows | None = None) -> Rows:
    """Return the output of the last layer, from layer `first` with input `x` on."""
    rows = batch.x if x is None else x
    for index in range(first, len(model.layers)):
        rows = run_layer(model, index, rows, batch.lengths)
    return rows


def run_layer(model: BertModel, index: int, x: Rows, lengths: Sequence[int]) -> Rows:
    """Return the output of one layer with input `x`."""
    run = LayerRun(model.config, model.layers[index], x, lengths, kept_term(model, index))
    for _, step in STAGES:
        run.step(step)
    return run.rows


def sentence_embeddings(rows: Rows, lengths: Sequence[int]) -> Rows:
    """Return the mean of each sentence's rows, with length 1, float32 [sentences, channels]."""
    starts = np.cumsum([0, *lengths[:-1]])
    means = np.add.reduceat(rows, starts, axis=0) / np.array(lengths, np.float32)[:, None]
    lengths_of_means = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(lengths_of_means, 1e-12), dtype=np.float32)


def linear(x: Rows, layer: Linear) -> Rows:
    """Return ``x weightᵀ + bias``."""
    weight = layer.weight.astype(np.float32, copy=False)
    return np.asarray(x @ weight.T + layer.bias, dtype=np.float32)


def keep_largest(x: Rows, term: Term) -> Rows:
    """Return `x` with zeros for all but the N largest magnitudes of every M of a row."""
    return np.where(largest_of_groups(x, term.n, term.m), x, np.float32(0))


def layer_norm(x: Rows, norm: LayerNorm, epsilon: float) -> Rows:
    """Normalise each row."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.einsum("tc,tc->t", centred, centred)[:, None] / x.shape[1]
    return centred / np.sqrt(variance + epsilon) * norm.gain + norm.bias


def gelu(x: Rows) -> Rows:
    """Return ``x · Φ(x)`` within 2e-7 · |x|.

    The error function is formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical
    Functions.
    """
    result = np.empty_like(x)
    # So few rows at a time stay in the processor's cache, which makes this several times as fast.
    for first in range(0, len(x), GELU_ROWS):
        rows = slice(first, first + GELU_ROWS)
        result[rows] = _gelu(x[rows])
    return result


def _gelu(x: Rows) -> Rows:
    magnitude = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * magnitude)
    polynomial = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(factor)) * t
    tail = np.float32(0.5) * polynomial * np.exp(-np.square(magnitude))
    return x * np.where(x < 0, tail, 1 - tail)


def attention(query: Rows, key: Rows, value: Rows, heads: int, lengths: Sequence[int]) -> Rows:
    """Return the context of each token, sentence by sentence."""
    count, longest = len(lengths), max(lengths)
    valid = np.arange(longest) < np.array(lengths)[:, None]

    def padded(rows: Rows) -> Rows:
        filled = np.zeros((count, longest, rows.shape[1]), dtype=np.float32)
        filled[valid] = rows
        return filled.reshape(count, longest, heads, -1).transpose(0, 2, 1, 3)

    width = query.shape[1] // heads
    scores = padded(query) @ padded(key).transpose(0, 1, 3, 2) / np.float32(math.sqrt(width))
    scores = np.where(valid[:, None, None, :], scores, np.float32(-1e30))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ padded(value)).transpose(0, 2, 1, 3).reshape(count, longest, -1)
    return mixed[valid]
