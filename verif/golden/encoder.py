"""Model of compiled encoder layers: operator by operator on whole matrices, bit for bit.

`machine.Machine` executes the instructions of a program; this model makes the same results, by the
same functions, without a program: a hundred sentences take seconds. What a tiling decides about
results, and nothing else of it, is a parameter: heads that share a scale of their context, and
hidden channels of the feed-forward part that are summed before they are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Activation, Norm
from ...sw.quantise import QuantisedLayer, QuantisedLinear
from ...sw.scale import ScaleVector
from ...sw.sparsity.prune import largest_of_groups
from ...sw.sparsity.tasd import Term
from .matmul import matmul
from .normalise import normalise
from .quantise import quantise
from .softmax import PLANE_BITS, softmax

Wide = NDArray[np.int16]


@dataclass(frozen=True)
class Grouping:
    """What a tiling decides about results.

    Parameters
    ----------
    heads : int
        Heads of a group, a divisor of all heads: their context has one scale a token.
    chunk : int
        Hidden channels of the feed-forward part whose products are summed before they are rounded.
    """

    heads: int
    chunk: int


@dataclass(frozen=True)
class Operand:
    """An int8 matrix and the scale of each of its rows."""

    values: NDArray[np.int8]
    scales: ScaleVector

    @classmethod
    def of(cls, x: Wide, fraction: int, activation: Activation = Activation.IDENTITY) -> Operand:
        """Return what QUANTISE makes of int16 `x` with `fraction` bits."""
        return cls(*quantise(x, activation, fraction))

    @classmethod
    def weights(cls, layer: QuantisedLinear, with_bias: bool = True) -> Operand:
        """Return the weights [out, in] of `layer`; its bias goes with the scales."""
        scales = layer.scales
        if not with_bias:
            scales = replace(scales, bias=np.zeros_like(scales.bias))
        return cls(layer.weight, scales)

    def part(self, rows: slice, columns: slice = slice(None)) -> Operand:
        """Return some rows and columns."""
        scales = self.scales
        taken = ScaleVector(scales.mantissa[rows], scales.exponent[rows], scales.bias[rows])
        return Operand(self.values[rows, columns], taken)

    def kept(self, term: Term) -> Operand:
        """Return what the vector unit keeps of it."""
        marked = largest_of_groups(self.values, term.n, term.m)
        return replace(self, values=np.where(marked, self.values, np.int8(0)))

    def times(self, other: Operand, fraction: int, residual: Wide | None = None) -> Wide:
        """Return what MATMUL makes of this operand and `other`, transposed."""
        return matmul(self.values, other.values, self.scales, other.scales, fraction, residual)


def run_encoder(
    x: Wide,
    layers: Sequence[QuantisedLayer],
    heads: int,
    lengths: Sequence[int],
    grouping: Grouping,
    activation: Activation = Activation.GELU,
    kept: Mapping[int, Term] = MappingProxyType({}),
) -> Wide:
    """Return the output of the last of `layers`.

    Parameters
    ----------
    x : int16 [tokens, hidden]
        Sentence after sentence, with the fraction bits of the first layer's input.
    layers : sequence of QuantisedLayer
    heads : int
    lengths : sequence of int
        Tokens of each sentence.
    grouping : Grouping
    activation : Activation
        Of the feed-forward part.
    kept : mapping of int to Term
        What is kept of the inputs of the contraction, by the place of the layer in `layers`.

    Returns
    -------
    int16 [tokens, hidden]
    """
    for place, layer in enumerate(layers):
        x = _encoder_layer(x, layer, heads, lengths, grouping, activation, kept.get(place))
    return x


def _encoder_layer(
    x: Wide,
    layer: QuantisedLayer,
    heads: int,
    lengths: Sequence[int],
    grouping: Grouping,
    activation: Activation,
    term: Term | None,
) -> Wide:
    fractions = layer.fractions
    rows = Operand.of(x, fractions.input)
    width = x.shape[1] // heads
    step = grouping.heads * width
    total = x
    for first in range(0, x.shape[1], step):
        group = slice(first, first + step)
        context = _context(rows, layer, group, width, lengths)
        weights = Operand.weights(layer.projection, with_bias=first == 0)
        total = context.times(weights.part(slice(None), group), fractions.input, total)
    norm = layer.attention_norm
    hidden = normalise(
        total, norm.gain, norm.bias, Norm.LAYER, fractions.hidden, layer.attention_epsilon
    )
    total = _feed_forward(hidden, layer, grouping.chunk, activation, term)
    norm = layer.output_norm
    return normalise(
        total, norm.gain, norm.bias, Norm.LAYER, fractions.output, layer.output_epsilon
    )


def _context(
    rows: Operand, layer: QuantisedLayer, group: slice, width: int, lengths: Sequence[int]
) -> Operand:
    """Return the context of a group of heads."""
    fractions = layer.fractions
    query = rows.times(Operand.weights(layer.query).part(group), fractions.query)
    key = rows.times(Operand.weights(layer.key).part(group), fractions.key)
    value = Operand.weights(layer.value).part(group).times(rows, fractions.value)
    queries, keys = Operand.of(query, fractions.query), Operand.of(key, fractions.key)
    context = np.empty_like(query)
    end = 0
    for length in lengths:
        sentence = slice(end, end + length)
        end += length
        values = Operand.of(value[:, sentence], fractions.value)
        for first in range(0, query.shape[1], width):
            head = slice(first, first + width)
            scores = queries.part(sentence, head).times(keys.part(sentence, head), fractions.scores)
            context[sentence, head] = _mix(scores, values.part(head), layer)
    return Operand.of(context, fractions.context)


def _mix(scores: Wide, values: Operand, layer: QuantisedLayer) -> Wide:
    """Return `values` [channels, tokens], mixed by the probabilities of `scores`."""
    fraction = layer.fractions.context
    high, low, scales = softmax(scores, layer.fractions.scores, two_planes=True)
    assert low is not None
    coarse = Operand(high, scales).times(values, fraction + PLANE_BITS)
    return Operand(low, scales).times(values, fraction, coarse)


def _feed_forward(
    hidden: Wide, layer: QuantisedLayer, chunk: int, activation: Activation, term: Term | None
) -> Wide:
    """Return the sum after the feed-forward part; `term` is what is kept of its hidden channels."""
    fractions = layer.fractions
    rows = Operand.of(hidden, fractions.hidden)
    total = hidden
    for first in range(0, len(layer.expand.weight), chunk):
        channels = slice(first, first + chunk)
        wide = rows.times(Operand.weights(layer.expand).part(channels), fractions.expanded)
        activated = Operand.of(wide, fractions.expanded, activation)
        if term is not None:
            activated = activated.kept(term)
        weights = Operand.weights(layer.contract, with_bias=first == 0)
        total = activated.times(weights.part(slice(None), channels), fractions.hidden, total)
    return total
