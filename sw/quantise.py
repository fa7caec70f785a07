"""Quantisation of an encoder layer: int8 weights with a scale a channel, and fractions.

Activations get their int8 scale a row at run time. What is chosen here is the number of fraction
bits of every int16 result, from calibration with a margin, and how channels are equalised between
the two sides of a product, as in SmoothQuant (Xiao et al., arXiv 2211.10438), where that costs
nothing: queries with keys, and values with the output projection. The two products whose
activations are the residual stream itself would need a second copy of it; on all-MiniLM-L6-v2 that
moved the mean cosine of a layer by less than 0.0001.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .calibrate import LayerRanges
from .errors import CompileError
from .frontend.bert import BertConfig, EncoderLayer, LayerNorm, Linear
from .scale import ScaleVector

MARGIN = 1.5
"""Room above the largest magnitude in calibration."""

MASKED = -(1 << 15)
"""What a mask adds to the scores with a key that does not count."""

MASKED_FRACTION = 9
"""Most fraction bits of scores with a mask, and `MASKED_ROOM` the room above the largest.

Scores then stay within a quarter of their range, a masked one is at least half the range, 32
exponents of two, below any other, and SOFTMAX gives it no probability at all: 16 are enough.
"""

MASKED_ROOM = 4.0

GAIN_FRACTION = 12
"""Fraction bits of a gain of NORMALISE."""

RESIDUAL = ("input", "attention_sum", "output_sum")
"""The results that are the residual stream where norms come first."""

INT16_MAXIMUM = (1 << 15) - 1
MAXIMUM_FRACTION = 15
WEIGHT_LIMIT = 127


@dataclass(frozen=True)
class QuantisedLinear:
    """Int8 weights [out, in] and a scale word a channel, with the bias in units of the output.

    Parameters
    ----------
    weight : int8 [out, in]
    scales : ScaleVector of out
    """

    weight: NDArray[np.int8]
    scales: ScaleVector


@dataclass(frozen=True)
class NormParameters:
    """Gain (12 fraction bits) and bias (the result's fraction bits) of NORMALISE, int16 [n]."""

    gain: NDArray[np.int16]
    bias: NDArray[np.int16]


@dataclass(frozen=True)
class Fractions:
    """Fraction bits of each int16 result of a layer.

    `input` holds for the layer's input and the sum after attention, `summed` for the sum after the
    feed-forward part. `normed` is what is projected to queries, keys and values, the input itself
    unless norms come first; `hidden` is what the norm before the feed-forward part gives.
    """

    input: int
    normed: int
    query: int
    key: int
    value: int
    scores: int
    context: int
    hidden: int
    expanded: int
    summed: int
    output: int


@dataclass(frozen=True)
class QuantisedLayer:
    """An encoder layer as the machine executes it; an epsilon is in units of its norm's input
    squared."""

    fractions: Fractions
    query: QuantisedLinear
    key: QuantisedLinear
    value: QuantisedLinear
    projection: QuantisedLinear
    attention_norm: NormParameters
    expand: QuantisedLinear
    contract: QuantisedLinear
    output_norm: NormParameters
    attention_epsilon: int
    output_epsilon: int


def fraction_bits(largest: float, margin: float = MARGIN) -> int:
    """Return the fraction bits with which ``largest · margin`` still fits an int16, 0 to 15."""
    if largest <= 0:
        return MAXIMUM_FRACTION
    return int(np.clip(math.floor(math.log2(INT16_MAXIMUM / (largest * margin))), 0, 15))


def quantise_linear(layer: Linear, fraction: int, operator: str) -> QuantisedLinear:
    """Round the weights of `layer` to int8, symmetric, with a scale an output channel.

    Raises
    ------
    CompileError
        If a bias does not fit an int16 with `fraction` bits.
    """
    largest = np.abs(layer.weight).max(axis=1).astype(np.float64)
    scale = np.where(largest > 0, largest, 1.0) / WEIGHT_LIMIT
    weight = np.rint(layer.weight / scale[:, None]).astype(np.int8)
    bias = to_int16(layer.bias, fraction, f"{operator} bias")
    return QuantisedLinear(weight, ScaleVector.from_float(scale, bias))


def to_int16(values: NDArray[np.floating], fraction: int, what: str) -> NDArray[np.int16]:
    """Return `values` with `fraction` fraction bits.

    Raises
    ------
    CompileError
        If one does not fit.
    """
    largest = float(np.abs(values).max())
    limit = INT16_MAXIMUM / (1 << fraction)
    if largest > limit:
        raise CompileError(
            f"{what}: magnitude {largest:.4g} exceeds {limit:.4g}, the limit of an int16 with "
            f"{fraction} fraction bits"
        )
    return np.rint(np.ldexp(values.astype(np.float64), fraction)).astype(np.int16)


def quantise_norm(norm: LayerNorm, fraction: int, operator: str) -> NormParameters:
    """Return the parameters of NORMALISE.

    Raises
    ------
    CompileError
        If a gain or a bias does not fit.
    """
    return NormParameters(
        to_int16(norm.gain, GAIN_FRACTION, f"{operator} gain"),
        to_int16(norm.bias, fraction, f"{operator} bias"),
    )


def balance(
    activations: NDArray[np.float64], weights: NDArray[np.floating], alpha: float
) -> NDArray[np.float64]:
    """Return the factor of each channel that evens out activations and weights."""
    factor = np.maximum(activations, 1e-6) ** alpha / np.maximum(weights, 1e-6) ** (1 - alpha)
    return factor / np.exp(np.mean(np.log(factor)))


def _scale_outputs(layer: Linear, factor: NDArray[np.float64]) -> Linear:
    return Linear(layer.weight * factor[:, None], layer.bias * factor)


def _scale_inputs(layer: Linear, factor: NDArray[np.float64]) -> Linear:
    return Linear(layer.weight * factor, layer.bias)


def _equalise_attention(
    layer: EncoderLayer, ranges: LayerRanges, alpha: float
) -> tuple[EncoderLayer, LayerRanges]:
    """Balance queries with keys, and the context with the output projection."""
    seen = ranges.channels
    keys = balance(seen["query"], seen["key"], 0.5)
    context = balance(seen["context"], np.abs(layer.projection.weight).max(axis=0), alpha)
    equalised = replace(
        layer,
        query=_scale_outputs(layer.query, 1 / keys),
        key=_scale_outputs(layer.key, keys),
        value=_scale_outputs(layer.value, 1 / context),
        projection=_scale_inputs(layer.projection, context),
    )
    channels = seen | {
        "query": seen["query"] / keys,
        "key": seen["key"] * keys,
        "value": seen["value"] / context,
        "context": seen["context"] / context,
    }
    return equalised, replace(ranges, channels=channels)


def quantise_layer(
    config: BertConfig,
    layer: EncoderLayer,
    ranges: LayerRanges,
    alpha: float | None = 0.5,
    *,
    masked: bool = False,
) -> QuantisedLayer:
    """Quantise one encoder layer.

    Parameters
    ----------
    config : BertConfig
    layer : EncoderLayer
    ranges : LayerRanges
        What `calibrate.calibrate` saw in this layer.
    alpha : float or None
        How much of an outlier moves from activations to weights, 0 to 1; None equalises nothing.
    masked : bool
        Whether scores must leave room for a mask.

    Raises
    ------
    CompileError
        If a parameter does not fit its fixed-point format, or `alpha` is out of range.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise CompileError(f"equalisation: alpha must be from 0 to 1, not {alpha}")
    if alpha is not None:
        layer, ranges = _equalise_attention(layer, ranges, alpha)
    fractions = _fractions(config, ranges)
    if masked:
        room = fraction_bits(ranges.scores * MASKED_ROOM)
        fractions = replace(fractions, scores=min(MASKED_FRACTION, room))
    norms = (
        (fractions.normed, fractions.hidden)
        if config.norm_first
        else (fractions.hidden, fractions.output)
    )
    return QuantisedLayer(
        fractions=fractions,
        query=quantise_linear(_exponents(layer.query, config), fractions.query, "query"),
        key=quantise_linear(layer.key, fractions.key, "key"),
        value=quantise_linear(layer.value, fractions.value, "value"),
        projection=quantise_linear(layer.projection, fractions.input, "projection"),
        attention_norm=quantise_norm(layer.attention_norm, norms[0], "attention norm"),
        expand=quantise_linear(layer.expand, fractions.expanded, "expand"),
        contract=quantise_linear(layer.contract, fractions.summed, "contract"),
        output_norm=quantise_norm(layer.output_norm, norms[1], "output norm"),
        attention_epsilon=to_epsilon(config.epsilon, fractions.input),
        output_epsilon=to_epsilon(config.epsilon, fractions.summed),
    )


def join_ranges(
    config: BertConfig, ranges: dict[int, LayerRanges], order: Sequence[int]
) -> dict[int, LayerRanges]:
    """Return `ranges` such that each layer's output has the fraction of the next one's input.

    Where norms come first, the residual stream is never rescaled, so that all layers share one
    fraction.
    """
    joined = dict(ranges)
    if config.norm_first:
        largest = max(joined[index].largest(*RESIDUAL) for index in order)
        return joined | {index: _widen(joined[index], "input", largest) for index in order}
    for index, following in pairwise(order):
        largest = max(
            joined[index].largest("output"), joined[following].largest("input", "attention_sum")
        )
        joined[index] = _widen(joined[index], "output", largest)
        joined[following] = _widen(joined[following], "input", largest)
    return joined


def _widen(ranges: LayerRanges, name: str, largest: float) -> LayerRanges:
    return replace(ranges, channels=ranges.channels | {name: np.array([largest])})


def _exponents(query: Linear, config: BertConfig) -> Linear:
    """Fold the softmax's change of base and the scale of the scores into the queries."""
    factor = math.log2(math.e) / math.sqrt(config.head_width)
    return Linear(query.weight * factor, query.bias * factor)


def to_epsilon(epsilon: float, fraction: int) -> int:
    """Return `epsilon` in units of the square of a number with `fraction` bits."""
    return round(math.ldexp(epsilon, 2 * fraction))


def _fractions(config: BertConfig, ranges: LayerRanges) -> Fractions:
    if config.norm_first:
        residual = fraction_bits(ranges.largest(*RESIDUAL))
        stream = {"input": residual, "summed": residual, "output": residual}
        norms = {
            "normed": fraction_bits(ranges.largest("normed")),
            "hidden": fraction_bits(ranges.largest("hidden")),
        }
    else:
        given = fraction_bits(ranges.largest("input", "attention_sum"))
        hidden = fraction_bits(ranges.largest("hidden", "output_sum"))
        output = fraction_bits(ranges.largest("output"))
        stream = {"input": given, "summed": hidden, "output": output}
        norms = {"normed": given, "hidden": hidden}
    return Fractions(
        **stream,
        **norms,
        query=fraction_bits(ranges.largest("query")),
        key=fraction_bits(ranges.largest("key")),
        value=fraction_bits(ranges.largest("value")),
        scores=fraction_bits(ranges.scores),
        context=fraction_bits(ranges.largest("context")),
        expanded=fraction_bits(max(ranges.largest("expanded"), 4.0)),
    )
