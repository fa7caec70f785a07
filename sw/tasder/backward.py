"""An encoder layer forwards and backwards, of many sentences at once, in float32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frontend.bert import BertConfig, EncoderLayer, LayerNorm, Linear
from ..sparsity.tasd import Term
from .forward import LINEARS, Rows, keep_largest, linear

NORMS = ("attention_norm", "output_norm")
"""The norms of an encoder layer."""

Slopes = dict[str, Rows]
"""The slope of a loss along each parameter of a layer, by a name such as ``query.weight``."""


def parameters(layer: EncoderLayer) -> Slopes:
    """Return all parameters of a layer by their names, without a copy."""
    found: Slopes = {}
    for name in LINEARS:
        one: Linear = getattr(layer, name)
        found |= {f"{name}.weight": one.weight, f"{name}.bias": one.bias}
    for name in NORMS:
        norm: LayerNorm = getattr(layer, name)
        found |= {f"{name}.gain": norm.gain, f"{name}.bias": norm.bias}
    return found


def layer_of(values: Mapping[str, Rows]) -> EncoderLayer:
    """Return the layer with the parameters `values`, the inverse of `parameters`."""
    parts: dict[str, Any] = {
        name: Linear(values[f"{name}.weight"], values[f"{name}.bias"]) for name in LINEARS
    }
    for name in NORMS:
        parts[name] = LayerNorm(values[f"{name}.gain"], values[f"{name}.bias"])
    return EncoderLayer(**parts)


class LayerTrace:
    """One encoder layer's results, kept for the way back.

    Parameters
    ----------
    config : BertConfig
    layer : EncoderLayer
    x : float32 [tokens, hidden]
    lengths : sequence of int
        Tokens of each sentence.
    kept : Term, optional
        What is kept of the inputs of the contraction; what is dropped has no slope.
    """

    def __init__(
        self,
        config: BertConfig,
        layer: EncoderLayer,
        x: Rows,
        lengths: Sequence[int],
        kept: Term | None = None,
    ) -> None:
        self.layer, self.x = layer, x
        self._activation = _Gelu if config.activation == "gelu" else _Relu
        query, key, value = (linear(x, it) for it in (layer.query, layer.key, layer.value))
        self._attention = _Attention(query, key, value, config.heads, lengths)
        self._hidden = _Norm(
            x + linear(self._attention.output, layer.projection),
            layer.attention_norm,
            config.epsilon,
        )
        self._wide = self._activation(linear(self._hidden.output, layer.expand))
        wide = self._wide.output
        self._inputs = wide if kept is None else keep_largest(wide, kept)
        self._result = _Norm(
            self._hidden.output + linear(self._inputs, layer.contract),
            layer.output_norm,
            config.epsilon,
        )

    @property
    def output(self) -> Rows:
        """The layer's output, float32 [tokens, hidden]."""
        return self._result.output

    def back(self, slope: Rows) -> tuple[Rows, Slopes]:
        """Return the slopes along the input and along the parameters, from that of the output."""
        slopes: Slopes = {}

        def linear_back(name: str, inputs: Rows, slope: Rows) -> Rows:
            slopes[f"{name}.weight"] = slope.T @ inputs
            slopes[f"{name}.bias"] = slope.sum(axis=0)
            weight: Rows = getattr(self.layer, name).weight
            return slope @ weight

        def norm_back(name: str, norm: _Norm, slope: Rows) -> Rows:
            slopes[f"{name}.gain"] = np.einsum("tc,tc->c", slope, norm.centred)
            slopes[f"{name}.bias"] = slope.sum(axis=0)
            return norm.back(slope)

        total = norm_back("output_norm", self._result, slope)
        contracted = linear_back("contract", self._inputs, total)
        wide = self._wide.back(contracted * (self._inputs == self._wide.output))
        total = total + linear_back("expand", self._hidden.output, wide)
        total = norm_back("attention_norm", self._hidden, total)
        context = linear_back("projection", self._attention.output, total)
        for name, part in zip(
            ("query", "key", "value"), self._attention.back(context), strict=True
        ):
            total = total + linear_back(name, self.x, part)
        return total, slopes


class _Norm:
    """A layer norm: `centred` is its result before gain and bias."""

    def __init__(self, x: Rows, norm: LayerNorm, epsilon: float) -> None:
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.einsum("tc,tc->t", centred, centred)[:, None] / x.shape[1]
        self._gain = norm.gain
        self._inverse = (1 / np.sqrt(variance + epsilon)).astype(np.float32)
        self.centred = centred * self._inverse
        self.output: Rows = self.centred * norm.gain + norm.bias

    def back(self, slope: Rows) -> Rows:
        inner = slope * self._gain
        along = np.einsum("tc,tc->t", inner, self.centred)[:, None] / inner.shape[1]
        return (inner - inner.mean(axis=1, keepdims=True) - self.centred * along) * self._inverse


class _Gelu:
    """``x · Φ(x)``, with the error function of `forward.gelu`."""

    def __init__(self, x: Rows) -> None:
        magnitude = np.abs(x) * np.float32(1 / math.sqrt(2))
        t = 1 / (1 + np.float32(0.3275911) * magnitude)
        bell = np.exp(-np.square(magnitude))
        polynomial = np.zeros_like(t)
        for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
            polynomial = (polynomial + np.float32(factor)) * t
        tail = np.float32(0.5) * polynomial * bell
        below = np.where(x < 0, tail, 1 - tail)
        self.output: Rows = x * below
        self._slope = below + x * bell * np.float32(1 / math.sqrt(2 * math.pi))

    def back(self, slope: Rows) -> Rows:
        return slope * self._slope


class _Relu:
    def __init__(self, x: Rows) -> None:
        self.output: Rows = np.maximum(x, 0)

    def back(self, slope: Rows) -> Rows:
        return slope * (self.output > 0)


class _Attention:
    """The context of each token, sentence by sentence, padded to the longest."""

    def __init__(
        self, query: Rows, key: Rows, value: Rows, heads: int, lengths: Sequence[int]
    ) -> None:
        self._valid = np.arange(max(lengths)) < np.array(lengths)[:, None]
        self._heads = heads
        self._query, self._key, self._value = map(self._padded, (query, key, value))
        self._scale = np.float32(1 / math.sqrt(query.shape[1] // heads))
        scores = self._query @ self._key.transpose(0, 1, 3, 2) * self._scale
        scores = np.where(self._valid[:, None, None, :], scores, np.float32(-1e30))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        self._share = scores / scores.sum(axis=-1, keepdims=True)
        self.output: Rows = self._packed(self._share @ self._value)

    def back(self, slope: Rows) -> tuple[Rows, Rows, Rows]:
        """Return the slopes along queries, keys and values."""
        mixed = self._padded(slope)
        value = self._share.transpose(0, 1, 3, 2) @ mixed
        share = mixed @ self._value.transpose(0, 1, 3, 2)
        along = np.einsum("bhqk,bhqk->bhq", share, self._share)[..., None]
        scores = self._share * (share - along) * self._scale
        query, key = scores @ self._key, scores.transpose(0, 1, 3, 2) @ self._query
        return self._packed(query), self._packed(key), self._packed(value)

    def _padded(self, rows: Rows) -> NDArray[np.float32]:
        filled = np.zeros((*self._valid.shape, rows.shape[1]), dtype=np.float32)
        filled[self._valid] = rows
        return filled.reshape(*self._valid.shape, self._heads, -1).transpose(0, 2, 1, 3)

    def _packed(self, heads: NDArray[np.float32]) -> Rows:
        merged = heads.transpose(0, 2, 1, 3).reshape(*self._valid.shape, -1)
        return merged[self._valid]
