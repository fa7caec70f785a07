"""Quantisation of a decoder layer: int8 weights with a scale a channel, fractions, and values with
one scale for all tokens.

A key's scale belongs to a column of the scores, so each token has its own. A value's would belong
to the axis that the product with the probabilities sums over, where no scale can be factored out:
values have one scale for all tokens, from calibration. QUANTISE finds a scale a row, so every row
of values gets one channel more, which is always at the limit: its weights are zero and its bias is
the limit. Channels of values are equalised instead, where that costs nothing: with the output
projection, as queries are with keys (pair by pair, since rotations mix pairs), norms with the
products behind them, and the gated product with the one behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .calibrate import LayerRanges
from .decoder_reference import LayerCache, decoder_layer, embed
from .frontend.bert import LayerNorm, Linear
from .frontend.llama import DecoderLayer, LlamaConfig, LlamaModel, Matrix
from .quantise import (
    INT16_MAXIMUM,
    MARGIN,
    WEIGHT_LIMIT,
    NormParameters,
    QuantisedLinear,
    balance,
    fraction_bits,
    quantise_linear,
    quantise_norm,
    to_epsilon,
)
from .scale import ScaleVector

ROTATION_FRACTION = 14
"""Fraction bits of a cosine or sine."""

CALIBRATION_TOKENS = 64
CALIBRATION_SEQUENCES = 4

CHANNEL_RESULTS = (
    "normed",
    "query_plain",
    "query",
    "key_plain",
    "key",
    "value",
    "context",
    "attention_sum",
    "hidden",
    "gate",
    "up",
    "activated",
    "output",
)


@dataclass(frozen=True)
class DecoderFractions:
    """Fraction bits of each int16 result of a layer; `residual` is the same in all layers."""

    residual: int
    normed: int
    query: int
    key: int
    value: int
    scores: int
    context: int
    hidden: int
    gate: int
    up: int
    activated: int


@dataclass(frozen=True)
class QuantisedDecoderLayer:
    """A decoder layer as the machine executes it.

    Parameters
    ----------
    fractions : DecoderFractions
    attention_norm, feed_forward_norm : NormParameters
    query, key, value, projection, gate, up, down : QuantisedLinear
        `value` has one channel more than there are values, the one at the limit.
    value_scale : ScaleVector of 1
        Of all values.
    epsilon : int
        Of both norms, in units of the residual stream squared.
    """

    fractions: DecoderFractions
    attention_norm: NormParameters
    query: QuantisedLinear
    key: QuantisedLinear
    value: QuantisedLinear
    projection: QuantisedLinear
    feed_forward_norm: NormParameters
    gate: QuantisedLinear
    up: QuantisedLinear
    down: QuantisedLinear
    value_scale: ScaleVector
    epsilon: int


def calibration_tokens(model: LlamaModel, seed: int = 0) -> list[NDArray[np.int64]]:
    """Return sequences of random token ids."""
    generator = np.random.default_rng(seed)
    length = min(model.config.maximum_tokens, CALIBRATION_TOKENS)
    count = CALIBRATION_SEQUENCES
    return [generator.integers(0, model.config.vocabulary, length) for _ in range(count)]


def calibrate_decoder(
    model: LlamaModel, layers: Sequence[int], tokens: Iterable[NDArray[np.integer]]
) -> dict[int, LayerRanges]:
    """Return the ranges of `layers` over the sequences `tokens`, by layer."""
    maxima: dict[int, dict[str, NDArray[np.float64]]] = {index: {} for index in layers}
    scores = dict.fromkeys(layers, 0.0)
    for sequence in tokens:
        x = embed(model, sequence)
        for index in range(max(layers) + 1):
            values, _ = decoder_layer(model, index, x, LayerCache.empty(model.config))
            if index in maxima:
                _update(maxima[index], {"input": x} | {n: values[n] for n in CHANNEL_RESULTS})
                seen = values["scores"][np.isfinite(values["scores"])]
                scores[index] = max(scores[index], float(np.abs(seen).max()))
            x = values["output"]
    return {index: LayerRanges(maxima[index], scores[index]) for index in layers}


def _update(
    maxima: dict[str, NDArray[np.float64]], results: dict[str, NDArray[np.float64]]
) -> None:
    for name, values in results.items():
        largest = np.abs(values).max(axis=0)
        maxima[name] = np.maximum(maxima.get(name, largest), largest)


def quantise_decoder(
    model: LlamaModel, layers: Sequence[int], ranges: dict[int, LayerRanges]
) -> list[tuple[int, QuantisedDecoderLayer]]:
    """Return the number and the quantised form of each of `layers`.

    Raises
    ------
    CompileError
        If a parameter does not fit its format.
    """
    streams = ("input", "attention_sum", "output")
    residual = fraction_bits(max(ranges[index].largest(*streams) for index in layers))
    return [
        (index, quantise_decoder_layer(model.config, model.layers[index], ranges[index], residual))
        for index in layers
    ]


def quantise_decoder_layer(
    config: LlamaConfig, layer: DecoderLayer, ranges: LayerRanges, residual: int
) -> QuantisedDecoderLayer:
    """Quantise one layer, whose residual stream has `residual` fraction bits.

    Raises
    ------
    CompileError
        If a parameter does not fit its format.
    """
    layer, ranges = equalise(config, layer, ranges)
    fractions = _fractions(ranges, residual)
    base = math.log2(math.e) / math.sqrt(config.head_width)
    limit = ranges.largest("value") * MARGIN
    largest = int(np.clip(math.ceil(math.ldexp(limit, fractions.value)), 1, INT16_MAXIMUM))
    return QuantisedDecoderLayer(
        fractions=fractions,
        attention_norm=_norm(layer.attention_norm, fractions.normed, "input norm"),
        query=_linear(layer.query * np.float32(base), "query"),
        key=_linear(layer.key, "key"),
        value=_with_limit(_linear(layer.value, "value"), largest),
        projection=_linear(layer.projection, "projection"),
        feed_forward_norm=_norm(layer.feed_forward_norm, fractions.hidden, "feed-forward norm"),
        gate=_linear(layer.gate, "gate"),
        up=_linear(layer.up, "up"),
        down=_linear(layer.down, "down"),
        value_scale=scale_of(largest, fractions.value),
        epsilon=to_epsilon(config.epsilon, residual),
    )


def scale_of(largest: int, fraction: int) -> ScaleVector:
    """Return the scale word that QUANTISE gives a row whose largest magnitude is `largest`."""
    leading = 16 - largest.bit_length()
    wide = largest << leading
    mantissa = wide + ((516 * wide + (1 << 15)) >> 16)
    carry = mantissa >> 16
    return ScaleVector(
        np.array([mantissa >> carry], dtype=np.uint16),
        np.array([leading - carry + 7 + fraction], dtype=np.int8),
        np.zeros(1, dtype=np.int16),
    )


def rotation_table(turns: NDArray[np.complex128]) -> NDArray[np.int16]:
    """Return complex `turns` [positions, pairs] as int16 (cosine, sine), [positions, 2 · pairs]."""
    parts = np.ascontiguousarray(turns).view(np.float64)
    return np.rint(np.ldexp(parts, ROTATION_FRACTION)).astype(np.int16)


def _linear(weight: Matrix, operator: str) -> QuantisedLinear:
    return quantise_linear(Linear(weight, np.zeros(len(weight), np.float32)), 0, operator)


def _norm(gain: Matrix, fraction: int, operator: str) -> NormParameters:
    return quantise_norm(LayerNorm(gain, np.zeros_like(gain)), fraction, operator)


def _with_limit(linear: QuantisedLinear, largest: int) -> QuantisedLinear:
    """Return `linear` with one more channel, which is always `largest`."""
    weight = np.concatenate([linear.weight, np.zeros((1, linear.weight.shape[1]), np.int8)])
    end = ScaleVector.from_float(np.full(1, 1 / WEIGHT_LIMIT), np.array([largest]))
    scales = np.concatenate([linear.scales.pack(), end.pack()])
    return QuantisedLinear(weight, ScaleVector.unpack(scales))


def _fractions(ranges: LayerRanges, residual: int) -> DecoderFractions:
    # A rotation makes an element of a pair at most √2 times as large as the larger one was.
    return DecoderFractions(
        residual=residual,
        normed=fraction_bits(ranges.largest("normed")),
        query=fraction_bits(ranges.largest("query_plain", "query")),
        key=fraction_bits(ranges.largest("key_plain", "key")),
        value=fraction_bits(ranges.largest("value")),
        scores=fraction_bits(ranges.scores),
        context=fraction_bits(ranges.largest("context")),
        hidden=fraction_bits(ranges.largest("hidden")),
        gate=fraction_bits(max(ranges.largest("gate"), 4.0)),
        up=fraction_bits(ranges.largest("up")),
        activated=fraction_bits(ranges.largest("activated")),
    )


def _columns(*weights: Matrix) -> NDArray[np.float64]:
    """Return the largest magnitude in each column of all `weights`."""
    return np.max([np.abs(weight).max(axis=0) for weight in weights], axis=0).astype(np.float64)


def equalise(
    config: LlamaConfig, layer: DecoderLayer, ranges: LayerRanges
) -> tuple[DecoderLayer, LayerRanges]:
    """Even out channels where a factor on one side can be taken back on the other.

    Returns
    -------
    DecoderLayer
        It computes the same; keys and values are those of the machine.
    LayerRanges
        What it sees where the layer saw `ranges`.
    """
    seen = dict(ranges.channels)
    before = balance(seen["normed"], _columns(layer.query, layer.key, layer.value), 0.5)
    after = balance(seen["hidden"], _columns(layer.gate, layer.up), 0.5)
    gated = balance(seen["activated"], _columns(layer.down), 0.5)
    keys = _pair_factors(config, seen)
    queries = _to_heads(config, keys)
    values = _value_factors(config, layer, seen)
    contents = _to_heads(config, values)
    layer = replace(
        layer,
        attention_norm=layer.attention_norm / before,
        query=layer.query * before / queries[:, None],
        key=layer.key * before * keys[:, None],
        value=layer.value * before / values[:, None],
        projection=layer.projection * contents,
        feed_forward_norm=layer.feed_forward_norm / after,
        gate=layer.gate * after,
        up=layer.up * after / gated[:, None],
        down=layer.down * gated,
    )
    factors = {
        "normed": before,
        "query": queries,
        "query_plain": queries,
        "key": 1 / keys,
        "key_plain": 1 / keys,
        "value": values,
        "context": contents,
        "hidden": after,
        "up": gated,
        "activated": gated,
    }
    channels = seen | {name: seen[name] / factor for name, factor in factors.items()}
    return layer, replace(ranges, channels=channels)


def _to_heads(config: LlamaConfig, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what belongs to each channel of the key heads for each channel of the query heads."""
    grouped = values.reshape(config.key_heads, 1, config.head_width)
    return np.tile(grouped, (1, config.group, 1)).reshape(-1)


def _over_group(config: LlamaConfig, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each channel of the key heads the largest of those that share it."""
    shape = config.key_heads, config.group, config.head_width
    return values.reshape(shape).max(axis=1).reshape(-1)


def _pair_factors(config: LlamaConfig, seen: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    query = _over_group(config, seen["query"]).reshape(-1, 2).max(axis=1)
    key = seen["key"].reshape(-1, 2).max(axis=1)
    return np.repeat(balance(query, key, 0.5), 2)


def _value_factors(
    config: LlamaConfig, layer: DecoderLayer, seen: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    return balance(seen["value"], _over_group(config, _columns(layer.projection)), 0.5)
