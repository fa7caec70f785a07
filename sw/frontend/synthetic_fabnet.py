"""FABNet blocks with random weights, in the sizes of the paper."""

from __future__ import annotations

import numpy as np

from ..butterfly.linear import ButterflyLinear, twiddle_shape
from ..butterfly.twiddle import Twiddle
from .bert import LayerNorm, Linear
from .fabnet import FabnetBlock, SelfAttention

BASE_FEATURES, BASE_HEADS, BASE_EXPANDED = 768, 12, 3072
"""FABNet-Base (Fan et al., MICRO 2022)."""


def synthetic_block(
    attention: bool,
    features: int = BASE_FEATURES,
    heads: int = BASE_HEADS,
    expanded: int = BASE_EXPANDED,
    *,
    dense: bool = False,
    seed: int = 0,
) -> FabnetBlock:
    """Return an ABfly (`attention`) or FBfly block whose butterflies are random rotations.

    With `dense` the feed-forward part is dense, which makes an FBfly block one of FNet.

    Parameters
    ----------
    attention : bool
    features, heads, expanded : int
    dense : bool
    seed : int
        The same seed gives the same block.
    """
    random = np.random.default_rng(seed)

    def full(inputs: int, outputs: int, bias: bool = False) -> Linear:
        weight = random.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))
        offset = random.normal(0, 0.1 if bias else 0, outputs)
        return Linear(weight.astype(np.float32), offset.astype(np.float32))

    def linear(inputs: int, outputs: int, bias: bool = False) -> ButterflyLinear:
        angles = random.uniform(0, 2 * np.pi, twiddle_shape(inputs, outputs)[:-2])
        cosine, sine = np.cos(angles), np.sin(angles)
        rows = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
        offset = random.normal(0, 0.1, outputs) if bias else None
        return ButterflyLinear(Twiddle(rows), inputs, outputs, offset)

    def norm() -> LayerNorm:
        gain, bias = 1 + random.normal(0, 0.1, features), random.normal(0, 0.1, features)
        return LayerNorm(gain.astype(np.float32), bias.astype(np.float32))

    projections = [linear(features, features) for _ in range(4)] if attention else []
    forward = full if dense else linear
    return FabnetBlock(
        SelfAttention(heads, *projections) if attention else None,
        norm(),
        forward(features, expanded, True),
        forward(expanded, features),
        norm(),
    )
