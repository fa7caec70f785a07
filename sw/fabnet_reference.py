"""The float reference of classifiers of the FABNet family, in NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .butterfly.linear import ButterflyLinear
from .frontend.fabnet import AnyLinear, Fabnet, FabnetBlock, SelfAttention
from .reference import gelu, layer_norm, softmax

Values = dict[str, NDArray]


def mixing_scale(tokens: int, features: int) -> float:
    """Return what Fourier mixing is multiplied by: the power of two nearest to 1/√(T·F), or below.

    The paper's transform is not scaled, which leaves little of the residual beside it.
    """
    return 2.0 ** -((tokens * features).bit_length() // 2)


def linear(x: NDArray[np.floating], layer: AnyLinear) -> NDArray[np.float64]:
    """Return a dense or butterfly layer's output, [..., out]."""
    if isinstance(layer, ButterflyLinear):
        return layer(x)
    return x @ layer.weight.T.astype(np.float64) + layer.bias


def classify(model: Fabnet, numbers: NDArray[np.floating]) -> Values:
    """Run `model` on sequences of numbers.

    Parameters
    ----------
    model : Fabnet
    numbers : float [batch, tokens]

    Returns
    -------
    dict
        Every intermediate result by name, those of block i after ``i.``; ``logits`` are
        [batch, classes].
    """
    x = numbers[..., None] * model.pixel.astype(np.float64) + model.positions
    values = {"embedded": x}
    x = values["embedding"] = layer_norm(x, model.embedding_norm, model.epsilon)
    for number, block in enumerate(model.blocks):
        found = run_block(block, x, model.epsilon)
        values |= {f"{number}.{name}": value for name, value in found.items()}
        x = found["output"]
    values["token_logits"] = linear(x, model.classifier)
    values["logits"] = values["token_logits"].mean(axis=1)
    return values


def run_block(block: FabnetBlock, x: NDArray[np.floating], epsilon: float) -> Values:
    """Return every intermediate result of a block on `x` [batch, tokens, features], by name."""
    values: Values = {}
    if block.attention is None:
        features = x.shape[2]
        points = 1 << (features - 1).bit_length()
        scale = mixing_scale(x.shape[1], features)
        # Rows are padded to a power of two; as many frequencies as features are kept.
        values["spectrum"] = np.fft.fft(x, n=points, axis=2)[..., :features]
        values["mixed"] = np.fft.fft(values["spectrum"], axis=1).real * scale
    else:
        values = _attend(block.attention, x)
        values["mixed"] = linear(values["context"], block.attention.projection)
    values["mixing_sum"] = x + values["mixed"]
    hidden = values["hidden"] = layer_norm(values["mixing_sum"], block.mixing_norm, epsilon)
    values["expanded"] = linear(hidden, block.expand)
    values["activated"] = gelu(values["expanded"])
    values["contracted"] = linear(values["activated"], block.contract)
    values["output_sum"] = hidden + values["contracted"]
    values["output"] = layer_norm(values["output_sum"], block.output_norm, epsilon)
    return values


def _attend(attention: SelfAttention, x: NDArray[np.floating]) -> Values:
    """Return the context and what leads to it; scores are in exponents of two."""
    batch, tokens, features = x.shape
    width = features // attention.heads
    values = {
        "query": linear(x, attention.query) * (math.log2(math.e) / math.sqrt(width)),
        "key": linear(x, attention.key),
        "value": linear(x, attention.value),
    }
    query, key, value = (
        values[name].reshape(batch, tokens, -1, width).swapaxes(1, 2)
        for name in ("query", "key", "value")
    )
    values["scores"] = query @ key.swapaxes(-1, -2)
    context = softmax(values["scores"] * math.log(2)) @ value
    values["context"] = context.swapaxes(1, 2).reshape(batch, tokens, features)
    return values


def accuracy(model: Fabnet, numbers: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the share of sequences that get their label."""
    return float((classify(model, numbers)["logits"].argmax(axis=-1) == labels).mean())
