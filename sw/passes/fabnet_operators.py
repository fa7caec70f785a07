"""What lowerings of FABNet blocks share: the steps between butterflies.

What the array multiplies is int8 with a scale a row. Where a butterfly follows an activation, and
where V has to lie as ``Vᵀ [channel, token]`` with a scale a channel, a product with small identity
matrices turns one into the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Activation
from ..butterfly.linear import ButterflyLinear
from ..butterfly.twiddle import Twiddle
from ..errors import CompileError
from ..fabnet_quantise import BlockFractions, scaled
from ..frontend.bert import LayerNorm
from ..frontend.fabnet import AnyLinear, FabnetBlock, SelfAttention
from ..gir import WORD, Buffer, Node, Slice
from ..quantise import quantise_norm
from ..scale import ScaleVector
from .build import matmul, normalise, part, quantise, softmax
from .butterfly import Matrix, Size
from .butterfly_layers import ButterflyLowering
from .layer import Operand
from .memory import Memory
from .mix import mix, takes_both_planes

Pair = tuple[Slice, Slice]
"""An operand of the array and its scales."""


class FabnetOperators(ButterflyLowering):
    """Lowers the steps of a block.

    Parameters
    ----------
    memory : Memory
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        array = self.config.array
        self.step = max(array.rows, array.columns, WORD)
        self.identity = self.operand_constant("identity", np.eye(self.step, dtype=np.int8))
        ones = ScaleVector.from_float(np.ones(self.step))
        target = memory.scales("ones.copy", 1, self.step)
        self.ones = self.constant("ones", "scale", ones.pack()[None], target)

    def scale_constant(self, name: str, scales: ScaleVector) -> Slice:
        """Return a vector of scale words that is loaded."""
        target = self.memory.scales(f"{name}.copy", 1, len(scales))
        return part(self.constant(name, "scale", scales.pack()[None], target))

    def operand_constant(self, name: str, values: NDArray[np.int8]) -> Buffer:
        """Return an operand of the array that is loaded."""
        target = self.memory.operand(f"{name}.copy", *values.shape)
        return self.constant(name, "int8", values, target)

    def operand(self, name: str, rows: int, columns: int) -> Operand:
        """Declare an int8 matrix and its scales."""
        return Operand(
            self.declare(self.memory.operand(name, rows, columns)),
            self.declare(self.memory.scales(f"{name}.scales", 1, rows)),
        )

    def results(self, name: str, rows: int, columns: int) -> Buffer:
        """Declare an int16 matrix of the array's."""
        return self.declare(self.memory.results(name, rows, columns))

    def _unit(self, count: int) -> Pair:
        """Return an identity of `count` rows as an operand."""
        return part(self.identity, rows=count, columns=count), part(self.ones, columns=count)

    def widen(self, product: str, x: Operand, y: Matrix, width: int) -> list[Node]:
        """Turn `width` columns of int8 with a scale a row into int16 with a fraction."""
        nodes: list[Node] = []
        scales = part(x.scales, columns=y.tokens)
        for first in range(0, width, self.step):
            count = min(self.step, width - first)
            a = part(x.values, 0, first, y.tokens, count), scales
            target = y.columns(first, count).whole()
            nodes.append(matmul(a, self._unit(count), target, y.fraction, product))
        return nodes

    def transpose(
        self, product: str, values: Operand, fraction: int, width: int
    ) -> tuple[Operand, list[Node]]:
        """Return ``Vᵀ [channel, token]`` with a scale a channel, of `width` channels."""
        tokens = values.values.rows
        wide = self.results(f"{product}.across", width, tokens)
        nodes: list[Node] = []
        for first in range(0, width, self.step):
            count = min(self.step, width - first)
            b = part(values.values, 0, first, columns=count), part(values.scales)
            y = part(wide, first, rows=count)
            nodes.append(matmul(self._unit(count), b, y, fraction, product))
        result = self.operand(f"{product}.transposed", width, tokens)
        return result, [*nodes, quantise(part(wide), result.all(), fraction, product)]

    def norm(self, name: str, norm: LayerNorm, x: Matrix, after: int, epsilon: float) -> Node:
        """Return the node that normalises `x` in place, to `after` fraction bits."""
        parameters = quantise_norm(norm, after, name)
        values = np.stack([parameters.gain, parameters.bias])
        target = self.memory.results(f"{name}.norm.copy", *values.shape)
        copy = self.constant(f"{name}.norm", "int16", values, target)
        units = round(math.ldexp(epsilon, 2 * x.fraction))
        return normalise(x.whole(), part(copy), x.whole(), after, units, name)

    def projected(
        self, name: str, layer: ButterflyLinear, x: Matrix, fraction: int
    ) -> tuple[Operand, list[Node]]:
        """Apply a layer to every token, and quantise what it gives."""
        width = layer.out_features
        wide = self.matrix(f"{name}.wide", x.room, max(width, layer.twiddle.size), fraction)
        wide = Matrix(wide.values, fraction, x.tokens, width)
        result = self.operand(name, x.room, width)
        nodes = self.linear(name, layer, x, wide)
        nodes.append(quantise(wide.whole(), result.rows(0, x.tokens), fraction, name))
        return result, nodes

    def attend(
        self,
        name: str,
        operands: tuple[Pair, Pair, Pair],
        y: Slice,
        rows: int,
        count: Size,
        tokens: int,
        fractions: BlockFractions,
    ) -> list[Node]:
        """Return the context of `count` query rows, at most `rows`, of one head.

        Parameters
        ----------
        name : str
        operands : tuple
            Q and K, [tokens, channels], and Vᵀ [channels, tokens].
        y : Slice
            Where the context goes, int16.
        rows : int
        count : int or Affine
        tokens : int
            Keys.
        fractions : BlockFractions
        """
        query, key, channels = operands
        scores = part(self.results(f"{name}.scores", rows, tokens), rows=count)
        planes = self.declare(self.memory.operand(f"{name}.probabilities", 2 * rows, tokens))
        sums = self.declare(self.memory.scales(f"{name}.sums", 1, rows))
        scale = part(sums, columns=count)
        high, low = part(planes, 0, rows=count), part(planes, rows, rows=count)
        fraction, product = fractions.context, f"{name}.context"
        both = takes_both_planes(self.memory.config.array, tokens)
        return [
            matmul(query, key, scores, fractions.scores, f"{name}.scores"),
            softmax(scores, (high, low), scale, fractions.scores, f"{name}.softmax"),
            *mix((high, low), scale, channels, y, fraction, product, both=both),
        ]

    def activated(
        self, name: str, layer: ButterflyLinear, x: Matrix, fractions: BlockFractions
    ) -> tuple[Matrix, list[Node]]:
        """Return the first half of the feed-forward part: a layer and GELU."""
        width = layer.out_features
        wide = self.matrix(f"{name}.wide", x.room, width, fractions.expanded)
        wide = Matrix(wide.values, fractions.expanded, x.tokens, width)
        narrow = self.operand(f"{name}.activated", x.room, width)
        product = f"{name}.activation"
        nodes = self.linear(f"{name}.expand", layer, x, wide)
        y = narrow.rows(0, x.tokens)
        nodes.append(quantise(wide.whole(), y, wide.fraction, product, Activation.GELU))
        result = wide.at(fractions.activated)
        return result, [*nodes, *self.widen(product, narrow, result, width)]


def attention_layers(attention: SelfAttention, features: int) -> dict[str, ButterflyLinear]:
    """Return Q, K and V; the change of base of the softmax and 1/√d are in Q."""
    width = features // attention.heads
    return {
        "query": scaled(as_butterfly(attention.query), math.log2(math.e) / math.sqrt(width)),
        "key": as_butterfly(attention.key),
        "value": as_butterfly(attention.value),
    }


def split_stacks(layer: ButterflyLinear) -> list[tuple[int, ButterflyLinear]]:
    """Return the first output and the layer of each stack of `layer`."""
    twiddle, size = layer.twiddle, layer.twiddle.size
    stacks = []
    for number in range(twiddle.stacks):
        first = number * size
        count = min(size, layer.out_features - first)
        bias = None if layer.bias is None else layer.bias[first : first + count]
        own = Twiddle(twiddle.coefficients[number : number + 1], twiddle.increasing_stride)
        stacks.append((first, ButterflyLinear(own, layer.in_features, count, bias)))
    return stacks


def as_butterfly(layer: AnyLinear) -> ButterflyLinear:
    """Return `layer` if it is a butterfly.

    Raises
    ------
    CompileError
        If it is not.
    """
    if isinstance(layer, ButterflyLinear):
        return layer
    raise CompileError("fabnet: a dense linear layer cannot be compiled; all must be butterflies")


def check_widths(features: int, block: FabnetBlock) -> None:
    """Refuse widths that are no whole words.

    Raises
    ------
    CompileError
        Naming what is none.
    """
    widths = {"features": features}
    if block.attention is not None:
        widths["channels of a head"] = features // block.attention.heads
    for name, width in widths.items():
        if width % WORD:
            raise CompileError(f"fabnet: {name} must be a multiple of {WORD}, not {width}")
