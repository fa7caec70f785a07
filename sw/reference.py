"""The float reference: embeddings and layers of encoders, in NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import CompileError
from .frontend.bert import (
    BertConfig,
    BertModel,
    EncoderLayer,
    EncoderModel,
    LayerNorm,
    Linear,
)
from .frontend.vit import VitModel

Values = dict[str, NDArray[np.float64]]


def linear(x: NDArray[np.floating], layer: Linear) -> NDArray[np.float64]:
    """Return ``x weightᵀ + bias``, [rows, out]."""
    weight = layer.weight.T.astype(np.float64, copy=False)
    return np.asarray(x @ weight + layer.bias, dtype=np.float64)


def layer_norm(x: NDArray[np.floating], norm: LayerNorm, epsilon: float) -> NDArray[np.float64]:
    """Return each row of `x` with mean 0 and variance 1, times gain, plus bias."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon) * norm.gain + norm.bias


def gelu(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``x · Φ(x)``, exact to the float."""
    wide = np.asarray(x, dtype=np.float64)
    scaled = (wide / math.sqrt(2)).ravel().tolist()
    erf = np.fromiter(map(math.erf, scaled), np.float64, wide.size).reshape(wide.shape)
    return 0.5 * wide * (1 + erf)


def relu(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the greater of `x` and zero."""
    return np.maximum(x, 0.0)


ACTIVATIONS = {"gelu": gelu, "relu": relu}


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities of each row of `scores`."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def embed(model: BertModel, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the input of the first layer.

    Parameters
    ----------
    model : BertModel
    tokens : int [sequence]

    Returns
    -------
    float64 [sequence, hidden]

    Raises
    ------
    CompileError
        If there is no token, too many, or one outside the vocabulary.
    """
    limit, vocabulary = model.config.maximum_tokens, model.config.vocabulary
    if not 1 <= len(tokens) <= limit:
        raise CompileError(f"embeddings: tokens must be from 1 to {limit}, not {len(tokens)}")
    if np.min(tokens) < 0 or np.max(tokens) >= vocabulary:
        raise CompileError(f"embeddings: tokens must lie below vocab_size {vocabulary}")
    table = model.embeddings
    summed = table.words[tokens] + table.positions[: len(tokens)] + table.types[0]
    return layer_norm(summed.astype(np.float64), table.norm, model.config.epsilon)


def embed_image(model: VitModel, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the input of the first layer.

    Parameters
    ----------
    model : VitModel
    pixels : float [channels, rows, columns]

    Returns
    -------
    float64 [tokens, hidden]

    Raises
    ------
    CompileError
        If the image has another shape than the model takes.
    """
    patches = model.patches
    shape = (patches.channels, patches.image, patches.image)
    if pixels.shape != shape:
        raise CompileError(f"embeddings: an image must be {list(shape)}, not {list(pixels.shape)}")
    count, size = patches.image // patches.size, patches.size
    cut = pixels.reshape(patches.channels, count, size, count, size)
    rows = linear(cut.transpose(1, 3, 0, 2, 4).reshape(count * count, -1), patches.projection)
    return np.concatenate([patches.prefix, rows]) + patches.positions


def encoder_layer(model: EncoderModel, index: int, x: NDArray[np.floating]) -> Values:
    """Run layer `index` on `x`, float [sequence, hidden].

    Returns
    -------
    dict
        Every intermediate result by name; ``output`` is the layer's, float64 [sequence, hidden].
        ``scores`` are in exponents of two, [heads, sequence, sequence].
    """
    config, layer = model.config, model.layers[index]
    given: NDArray[np.float64] = np.asarray(x, dtype=np.float64)
    before, epsilon = config.norm_first, config.epsilon
    normed = layer_norm(given, layer.attention_norm, epsilon) if before else given
    values: Values = {"normed": normed} | _attention(layer, config, normed)
    summed = given + linear(values["context"], layer.projection)
    norm = layer.output_norm if before else layer.attention_norm
    hidden = layer_norm(summed, norm, epsilon)
    values |= {"attention_sum": summed, "hidden": hidden}
    values["expanded"] = linear(hidden, layer.expand)
    values["activated"] = ACTIVATIONS[config.activation](values["expanded"])
    total = (summed if before else hidden) + linear(values["activated"], layer.contract)
    values["output_sum"] = total
    values["output"] = total if before else layer_norm(total, layer.output_norm, epsilon)
    return values


def _attention(layer: EncoderLayer, config: BertConfig, x: NDArray[np.float64]) -> Values:
    """Attend with the projections of `x`, float64 [sequence, hidden]."""
    sequence, heads, width = len(x), config.heads, config.head_width
    values = {
        "query": linear(x, layer.query) * (math.log2(math.e) / math.sqrt(width)),
        "key": linear(x, layer.key),
        "value": linear(x, layer.value),
    }
    query, key, value = (
        values[name].reshape(sequence, heads, width).transpose(1, 0, 2)
        for name in ("query", "key", "value")
    )
    values["scores"] = query @ key.transpose(0, 2, 1)
    values["probabilities"] = softmax(values["scores"] * math.log(2))
    context = values["probabilities"] @ value
    values["context"] = context.transpose(1, 0, 2).reshape(sequence, heads * width)
    return values


def encoder(
    model: EncoderModel, x: NDArray[np.floating], layers: list[int] | None = None
) -> NDArray[np.float64]:
    """Run several `layers` (all if left out) on `x`; returns float64 [sequence, hidden]."""
    for index in range(model.config.layers) if layers is None else layers:
        x = encoder_layer(model, index, x)["output"]
    return np.asarray(x, dtype=np.float64)
