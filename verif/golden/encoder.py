"""Model of compiled encoder layers: operator by operator on whole matrices, bit for bit.

`machine.Machine` executes the instructions of a program; this model makes the same results, by the
same functions, without a program: a hundred sentences take seconds. What a tiling and a machine
decide about results, and nothing else of them, is a parameter: heads that share a scale of their
context, hidden channels of the feed-forward part that are summed before they are rounded, and
whether both planes of probabilities are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...hw.config import ArrayConfig
from ...hw.isa import Activation, Norm
from ...sw.passes.mix import takes_both_planes
from ...sw.quantise import NormParameters, QuantisedLayer, QuantisedLinear
from ...sw.scale import ScaleVector
from ...sw.sparsity.prune import largest_of_groups
from ...sw.sparsity.tasd import Term
from .matmul import from_planes, matmul
from .normalise import normalise
from .quantise import quantise
from .softmax import PLANE_BITS, softmax

Wide = NDArray[np.int16]


@dataclass(frozen=True)
class Grouping:
    """What a tiling and a machine decide about results.

    Parameters
    ----------
    heads : int
        Heads of a group, a divisor of all heads: their context has one scale a token.
    chunk : int
        Hidden channels of the feed-forward part whose products are summed before they are rounded.
    array : ArrayConfig
        Of the machine: whether the product of probabilities and values is rounded once or plane by
        plane.
    """

    heads: int
    chunk: int
    array: ArrayConfig


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
    *,
    norm_first: bool = False,
    mask: Wide | None = None,
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
    norm_first : bool
        Whether norms come before attention and the feed-forward part, not after the sums.
    mask : int16 [sentences, tokens of the longest], optional
        What is added to the scores of each key.

    Returns
    -------
    int16 [tokens, hidden]
    """
    ends = np.cumsum(lengths)
    sentences = [
        Sentence(slice(end - length, end), None if mask is None else mask[place, :length])
        for place, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]
    run = _norm_first_layer if norm_first else _norm_last_layer
    for place, layer in enumerate(layers):
        attention = Attention(layer, heads, sentences, grouping)
        forward = FeedForward(layer, grouping.chunk, activation, kept.get(place))
        x = run(x, layer, attention, forward)
    return x


@dataclass(frozen=True)
class Sentence:
    """Rows of a sentence, and what is added to the scores of each of its keys."""

    rows: slice
    mask: Wide | None


@dataclass(frozen=True)
class Attention:
    """An attention."""

    layer: QuantisedLayer
    heads: int
    sentences: Sequence[Sentence]
    grouping: Grouping

    def add(self, rows: Operand, total: Wide) -> Wide:
        """Return `total` and the projection of what `rows` attend to."""
        layer = self.layer
        width = total.shape[1] // self.heads
        step = self.grouping.heads * width
        for first in range(0, total.shape[1], step):
            group = slice(first, first + step)
            context = self._context(rows, group, width)
            weights = Operand.weights(layer.projection, with_bias=first == 0)
            part = weights.part(slice(None), group)
            total = context.times(part, layer.fractions.input, total)
        return total

    def _context(self, rows: Operand, group: slice, width: int) -> Operand:
        """Return the context of a group of heads."""
        layer, fractions = self.layer, self.layer.fractions
        query = rows.times(Operand.weights(layer.query).part(group), fractions.query)
        key = rows.times(Operand.weights(layer.key).part(group), fractions.key)
        value = Operand.weights(layer.value).part(group).times(rows, fractions.value)
        queries, keys = Operand.of(query, fractions.query), Operand.of(key, fractions.key)
        context = np.empty_like(query)
        for sentence in self.sentences:
            tokens = sentence.rows
            values = Operand.of(value[:, tokens], fractions.value)
            count = tokens.stop - tokens.start
            mask = None if sentence.mask is None else np.tile(sentence.mask, (count, 1))
            for first in range(0, query.shape[1], width):
                head = slice(first, first + width)
                operands = queries.part(tokens, head), keys.part(tokens, head)
                scores = operands[0].times(operands[1], fractions.scores, mask)
                context[tokens, head] = _mix(scores, values.part(head), layer, self.grouping.array)
        return Operand.of(context, fractions.context)


@dataclass(frozen=True)
class FeedForward:
    """A feed-forward part; `term` is what is kept of its hidden channels."""

    layer: QuantisedLayer
    chunk: int
    activation: Activation
    term: Term | None

    def add(self, hidden: Wide, total: Wide) -> Wide:
        """Return `total` and what the part makes of `hidden`."""
        layer, fractions = self.layer, self.layer.fractions
        rows = Operand.of(hidden, fractions.hidden)
        for first in range(0, len(layer.expand.weight), self.chunk):
            channels = slice(first, first + self.chunk)
            wide = rows.times(Operand.weights(layer.expand).part(channels), fractions.expanded)
            activated = Operand.of(wide, fractions.expanded, self.activation)
            if self.term is not None:
                activated = activated.kept(self.term)
            weights = Operand.weights(layer.contract, with_bias=first == 0)
            part = weights.part(slice(None), channels)
            total = activated.times(part, fractions.summed, total)
        return total


def _normalise(x: Wide, norm: NormParameters, fraction: int, epsilon: int) -> Wide:
    return normalise(x, norm.gain, norm.bias, Norm.LAYER, fraction, epsilon)


def _norm_last_layer(
    x: Wide, layer: QuantisedLayer, attention: Attention, forward: FeedForward
) -> Wide:
    fractions = layer.fractions
    total = attention.add(Operand.of(x, fractions.input), x)
    hidden = _normalise(total, layer.attention_norm, fractions.hidden, layer.attention_epsilon)
    total = forward.add(hidden, hidden)
    return _normalise(total, layer.output_norm, fractions.output, layer.output_epsilon)


def _norm_first_layer(
    x: Wide, layer: QuantisedLayer, attention: Attention, forward: FeedForward
) -> Wide:
    fractions = layer.fractions
    normed = _normalise(x, layer.attention_norm, fractions.normed, layer.attention_epsilon)
    total = attention.add(Operand.of(normed, fractions.normed), x)
    hidden = _normalise(total, layer.output_norm, fractions.hidden, layer.output_epsilon)
    return forward.add(hidden, total)


def _mix(scores: Wide, values: Operand, layer: QuantisedLayer, array: ArrayConfig) -> Wide:
    """Return `values` [channels, tokens], mixed by the probabilities of `scores`."""
    fraction = layer.fractions.context
    high, low, scales = softmax(scores, layer.fractions.scores, two_planes=True)
    assert low is not None
    if takes_both_planes(array, scores.shape[1]):
        both = from_planes(high, low)
        return matmul(both, values.values, scales, values.scales, fraction)
    coarse = Operand(high, scales).times(values, fraction + PLANE_BITS)
    return Operand(low, scales).times(values, fraction, coarse)
