"""Vision transformers with random weights, for machines that are too small for a real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .bert import LayerNorm, Linear
from .synthetic import synthetic_bert
from .vit import PatchEmbeddings, VitModel


def synthetic_vit(
    hidden: int = 32,
    heads: int = 2,
    intermediate: int = 64,
    layers: int = 1,
    *,
    image: int = 12,
    patch: int = 4,
    channels: int = 3,
    prefix: int = 1,
    seed: int = 0,
) -> VitModel:
    """Return a vision transformer with random weights.

    Parameters
    ----------
    hidden, heads, intermediate, layers : int
        Sizes as in `BertConfig`.
    image, patch, channels : int
        Pixels of an edge of the image and of a patch, channels of a pixel.
    prefix : int
        Learned tokens before the patches.
    seed : int
        The same seed gives the same model.
    """
    tokens = (image // patch) ** 2 + prefix
    model = synthetic_bert(
        hidden, heads, intermediate, layers, positions=tokens, seed=seed, norm_first=True
    )
    generator = np.random.default_rng(seed)
    pixels = channels * patch * patch
    weight = generator.normal(0, pixels**-0.5, (hidden, pixels)).astype(np.float32)
    tables = model.embeddings
    return VitModel(
        replace(model.config, vocabulary=0, types=0),
        model.layers,
        patches=PatchEmbeddings(
            Linear(weight, tables.norm.bias),
            tables.words[:prefix],
            tables.positions,
            patch,
            channels,
            image,
        ),
        output_norm=LayerNorm(tables.norm.gain, tables.norm.bias),
    )
