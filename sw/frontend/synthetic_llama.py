"""Decoders with random weights, for tests and for measurements without a checkpoint."""

from __future__ import annotations

import math

import numpy as np

from .llama import DecoderLayer, LlamaConfig, LlamaModel, Matrix


def synthetic_llama(
    hidden: int = 32,
    heads: int = 4,
    key_heads: int = 2,
    intermediate: int = 64,
    layers: int = 1,
    *,
    head_width: int | None = None,
    vocabulary: int = 100,
    maximum_tokens: int = 2048,
    seed: int = 0,
) -> LlamaModel:
    """Return a decoder with random weights, whose activations are about as large as in a real one.

    Parameters
    ----------
    hidden, heads, key_heads, intermediate, layers : int
        Sizes as in `LlamaConfig`.
    head_width : int, optional
        Channels of a head; ``hidden / heads`` if left out.
    vocabulary, maximum_tokens : int
        Rows of the embedding table, longest sequence.
    seed : int
        The same seed gives the same model.
    """
    generator = np.random.default_rng(seed)
    width = head_width or hidden // heads

    def normal(*shape: int, deviation: float) -> Matrix:
        values = generator.standard_normal(shape, dtype=np.float32)
        return values * np.float32(deviation)

    def linear(outputs: int, inputs: int, gain: float = 1.0) -> Matrix:
        return normal(outputs, inputs, deviation=gain / math.sqrt(inputs))

    def norm() -> Matrix:
        return 1 + normal(hidden, deviation=0.1)

    def layer() -> DecoderLayer:
        return DecoderLayer(
            attention_norm=norm(),
            query=linear(heads * width, hidden, 1.5),
            key=linear(key_heads * width, hidden, 1.5),
            value=linear(key_heads * width, hidden),
            projection=linear(hidden, heads * width),
            feed_forward_norm=norm(),
            gate=linear(intermediate, hidden),
            up=linear(intermediate, hidden),
            down=linear(hidden, intermediate),
        )

    config = LlamaConfig(
        hidden, heads, key_heads, width, intermediate, layers, vocabulary, maximum_tokens
    )
    words = normal(vocabulary, hidden, deviation=1.0)
    stack = tuple(layer() for _ in range(layers))
    return LlamaModel(config, words, stack, norm(), linear(vocabulary, hidden))
