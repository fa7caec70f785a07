"""The float reference of decoders: layers with rotary positions and a cache of keys and values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import CompileError
from .frontend.llama import LlamaConfig, LlamaModel
from .reference import Values, softmax


@dataclass(frozen=True)
class LayerCache:
    """Keys, rotated, and values of the tokens so far, float64 [tokens, key heads · head width]."""

    keys: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return len(self.keys)

    @classmethod
    def empty(cls, config: LlamaConfig) -> LayerCache:
        """Return the cache before the first token."""
        nothing = np.zeros((0, config.key_width))
        return cls(nothing, nothing)

    def append(self, keys: NDArray[np.float64], values: NDArray[np.float64]) -> LayerCache:
        """Return the cache with further tokens."""
        return LayerCache(np.concatenate([self.keys, keys]), np.concatenate([self.values, values]))


def rms_norm(
    x: NDArray[np.floating], gain: NDArray[np.floating], epsilon: float
) -> NDArray[np.float64]:
    """Return each row of `x` with a mean square of 1, times gain."""
    square = np.mean(np.asarray(x, dtype=np.float64) ** 2, axis=-1, keepdims=True)
    return np.asarray(x / np.sqrt(square + epsilon) * gain, dtype=np.float64)


def silu(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``x / (1 + exp(-x))``."""
    return np.asarray(x, dtype=np.float64) * 0.5 * (1 + np.tanh(np.asarray(x) / 2))


def rotations(config: LlamaConfig, positions: Iterable[int]) -> NDArray[np.complex128]:
    """Return by what each pair of a head is multiplied, complex [positions, head width / 2]."""
    exponents = np.arange(0, config.head_width, 2) / config.head_width
    angles = np.asarray(list(positions))[:, None] * config.rotary_base**-exponents
    return np.exp(1j * angles)


def rotate(
    x: NDArray[np.float64], turns: NDArray[np.complex128], width: int
) -> NDArray[np.float64]:
    """Return `x`, [tokens, heads · width], with each pair of neighbours multiplied as a number."""
    pairs = np.ascontiguousarray(x).view(np.complex128).reshape(len(x), -1, width // 2)
    return np.ascontiguousarray(pairs * turns[:, None]).view(np.float64).reshape(x.shape)


def embed(model: LlamaModel, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the input of the first layer, float64 [tokens, hidden].

    Raises
    ------
    CompileError
        If there is no token, or one outside the vocabulary.
    """
    if not len(tokens):
        raise CompileError("embeddings: tokens must be at least 1, not 0")
    if np.min(tokens) < 0 or np.max(tokens) >= model.config.vocabulary:
        raise CompileError(
            f"embeddings: tokens must lie below vocab_size {model.config.vocabulary}"
        )
    return model.words[tokens].astype(np.float64)


def logits(model: LlamaModel, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logits, float64 [tokens, vocabulary], after the last layer's output `x`."""
    return rms_norm(x, model.output_norm, model.config.epsilon) @ model.head.T.astype(np.float64)


def decoder_layer(
    model: LlamaModel, index: int, x: NDArray[np.floating], cache: LayerCache
) -> tuple[Values, LayerCache]:
    """Run layer `index` on further tokens `x`, float [tokens, hidden].

    Returns
    -------
    dict
        Every intermediate result by name; ``output`` is the layer's, float64 [tokens, hidden].
        ``query`` and ``key`` are rotated, ``query_plain`` and ``key_plain`` are not; queries are in
        exponents of two. ``scores`` is [heads, tokens, tokens so far], -inf where a key comes
        after the query.
    LayerCache
        `cache` with these tokens.
    """
    config, layer = model.config, model.layers[index]
    x = np.asarray(x, dtype=np.float64)
    values: Values = {"normed": rms_norm(x, layer.attention_norm, config.epsilon)}
    turns = rotations(config, range(cache.tokens, cache.tokens + len(x)))
    base = math.log2(math.e) / math.sqrt(config.head_width)
    values["query_plain"] = values["normed"] @ layer.query.T.astype(np.float64) * base
    values["key_plain"] = values["normed"] @ layer.key.T.astype(np.float64)
    values["value"] = values["normed"] @ layer.value.T.astype(np.float64)
    for name in ("query", "key"):
        values[name] = rotate(values[f"{name}_plain"], turns, config.head_width)
    cache = cache.append(values["key"], values["value"])
    values |= _attention(config, values["query"], cache)
    values["attention_sum"] = x + values["context"] @ layer.projection.T.astype(np.float64)
    values["hidden"] = rms_norm(values["attention_sum"], layer.feed_forward_norm, config.epsilon)
    values["gate"] = values["hidden"] @ layer.gate.T.astype(np.float64)
    values["up"] = values["hidden"] @ layer.up.T.astype(np.float64)
    values["activated"] = silu(values["gate"]) * values["up"]
    feed_forward = values["activated"] @ layer.down.T.astype(np.float64)
    values["output"] = values["attention_sum"] + feed_forward
    return values, cache


def _attention(config: LlamaConfig, query: NDArray[np.float64], cache: LayerCache) -> Values:
    tokens, width = len(query), config.head_width
    queries = query.reshape(tokens, config.key_heads, config.group, width).transpose(1, 2, 0, 3)
    keys, contents = (
        item.reshape(cache.tokens, config.key_heads, 1, width).transpose(1, 2, 0, 3)
        for item in (cache.keys, cache.values)
    )
    scores = queries @ keys.transpose(0, 1, 3, 2)
    places = np.arange(cache.tokens)
    after = places[None, :] > places[cache.tokens - tokens :, None]
    scores = np.where(after, -np.inf, scores)
    context = softmax(scores * math.log(2)) @ contents
    return {
        "scores": scores.reshape(config.heads, tokens, cache.tokens),
        "context": context.transpose(2, 0, 1, 3).reshape(tokens, -1),
    }


def decoder(
    model: LlamaModel,
    x: NDArray[np.floating],
    layers: Sequence[int],
    caches: Sequence[LayerCache] | None = None,
) -> tuple[NDArray[np.float64], list[LayerCache]]:
    """Run `layers`, one after the other, on further tokens `x`; returns output and caches."""
    result = np.asarray(x, dtype=np.float64)
    grown = []
    given = caches or [LayerCache.empty(model.config)] * len(layers)
    for index, cache in zip(layers, given, strict=True):
        values, after = decoder_layer(model, index, result, cache)
        result = values["output"]
        grown.append(after)
    return result, grown
