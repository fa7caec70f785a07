"""Models with random weights, for machines that are too small for a real one."""

from __future__ import annotations

import math

import numpy as np

from .bert import BertConfig, BertModel, Embeddings, EncoderLayer, LayerNorm, Linear


def synthetic_bert(
    hidden: int = 32,
    heads: int = 2,
    intermediate: int = 64,
    layers: int = 1,
    *,
    vocabulary: int = 100,
    positions: int = 64,
    seed: int = 0,
    norm_first: bool = False,
    head_channels: int = 0,
) -> BertModel:
    """Return a BERT with random weights, whose activations are about as large as in a real one.

    Parameters
    ----------
    hidden, heads, intermediate, layers : int
        Sizes as in `BertConfig`.
    vocabulary, positions : int
        Rows of the embedding tables.
    seed : int
        The same seed gives the same model.
    norm_first : bool
        Whether norms come first, as in a ViT.
    head_channels : int
        As in `BertConfig`.
    """
    generator = np.random.default_rng(seed)

    def normal(*shape: int, deviation: float) -> np.ndarray:
        return generator.normal(0, deviation, shape).astype(np.float32)

    def linear(outputs: int, inputs: int) -> Linear:
        weight = normal(outputs, inputs, deviation=1 / math.sqrt(inputs))
        return Linear(weight, normal(outputs, deviation=0.1))

    def norm() -> LayerNorm:
        return LayerNorm(1 + normal(hidden, deviation=0.1), normal(hidden, deviation=0.1))

    attended = heads * (head_channels or hidden // heads)

    def layer() -> EncoderLayer:
        return EncoderLayer(
            query=linear(attended, hidden),
            key=linear(attended, hidden),
            value=linear(attended, hidden),
            projection=linear(hidden, attended),
            attention_norm=norm(),
            expand=linear(intermediate, hidden),
            contract=linear(hidden, intermediate),
            output_norm=norm(),
        )

    config = BertConfig(
        hidden,
        heads,
        intermediate,
        layers,
        vocabulary,
        positions,
        1,
        maximum_tokens=positions,
        norm_first=norm_first,
        head_channels=head_channels,
    )
    words, places, types = (
        normal(rows, hidden, deviation=1.0) for rows in (vocabulary, positions, 1)
    )
    embeddings = Embeddings(words, places, types, norm())
    return BertModel(config, tuple(layer() for _ in range(layers)), embeddings=embeddings)
