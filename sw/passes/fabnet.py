"""Lower a FABNet classifier: butterflies on the butterfly unit, attention on the array.

The residual stream stays int16 in the scratchpad; butterflies and Fourier transforms read it as it
is and add to it. What the array multiplies is int8 with a scale a row. Where a butterfly follows an
activation, and where V has to lie as ``Vᵀ [channel, token]`` with a scale a channel, a product with
small identity matrices turns one into the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import Activation
from ..butterfly.linear import ButterflyLinear
from ..errors import CompileError
from ..fabnet_quantise import BlockFractions, QuantisedFabnet, scaled
from ..fabnet_reference import mixing_scale
from ..frontend.bert import LayerNorm
from ..frontend.fabnet import AnyLinear, FabnetBlock, SelfAttention
from ..gir import WORD, Buffer, Graph, Node, Slice
from ..quantise import quantise_norm
from ..scale import ScaleVector
from .build import load, matmul, normalise, part, quantise, softmax, store
from .butterfly import Matrix
from .butterfly_layers import ButterflyLowering
from .layer import Operand
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory

PLANE_BITS = 7
"""Bits of a plane of probabilities."""

NUMBER_FRACTION = 4
"""Fraction bits of the input: pixels are sixteenths."""


def lower_fabnet(
    model: QuantisedFabnet, config: AcceleratorConfig
) -> tuple[Graph, dict[str, NDArray]]:
    """Return the graph of `model` and the contents of its constants in DRAM.

    Buffer ``input`` is int8 [tokens, 1] with `NUMBER_FRACTION` bits, ``output`` int16 [1, classes].

    Raises
    ------
    CompileError
        If the machine cannot run the model.
    """
    return _FabnetLowering(model, config).lower()


class _FabnetLowering:
    def __init__(self, model: QuantisedFabnet, config: AcceleratorConfig) -> None:
        self.model, self.quantised, self.config = model.model, model, config
        self.memory = Memory(config)
        self.butterfly = ButterflyLowering(self.memory)
        self.tokens, self.features = self.model.tokens, self.model.features
        self._check()
        self.step = max(config.array.rows, config.array.columns, WORD)
        self.nodes: list[Node] = []

    def _check(self) -> None:
        widths = {"features": self.features}
        for number, block in enumerate(self.model.blocks):
            if block.attention is not None:
                widths[f"{number}.attention: channels of a head"] = (
                    self.features // block.attention.heads
                )
        for name, width in widths.items():
            if width % WORD:
                raise CompileError(f"{name} must be a multiple of {WORD}, not {width}")

    def lower(self) -> tuple[Graph, dict[str, NDArray]]:
        room = max(_points(block.contract) for block in self.model.blocks)
        fraction = self.quantised.embedded
        residual = self.butterfly.matrix(
            "residual", self.tokens, self.features, fraction, min(room, 2 * self.features)
        )
        self._identity()
        self._embed(residual)
        for number, block in enumerate(self.model.blocks):
            self._block(str(number), block, self.quantised.blocks[number], residual)
        self._classify(residual)
        nodes = self.butterfly.with_loads(self.nodes)
        graph = Graph("fabnet", tuple(self.memory.buffers), tuple(nodes))
        return graph, self.butterfly.constants

    def _scale_constant(self, name: str, scales: ScaleVector) -> Slice:
        target = self.memory.scales(f"{name}.copy", 1, len(scales))
        return part(self.butterfly.constant(name, "scale", scales.pack()[None], target))

    def _operand_constant(self, name: str, values: NDArray[np.int8]) -> Buffer:
        target = self.memory.operand(f"{name}.copy", *values.shape)
        return self.butterfly.constant(name, "int8", values, target)

    def _operand(self, name: str, rows: int, columns: int) -> Operand:
        """Declare an int8 matrix and its scales."""
        return Operand(
            self.memory.declare(self.memory.operand(name, rows, columns)),
            self.memory.declare(self.memory.scales(f"{name}.scales", 1, rows)),
        )

    def _results(self, name: str, rows: int, columns: int) -> Buffer:
        return self.memory.declare(self.memory.results(name, rows, columns))

    def _identity(self) -> None:
        values = np.eye(self.step, dtype=np.int8)
        self.identity = self._operand_constant("identity", values)
        ones = ScaleVector.from_float(np.ones(self.step))
        target = self.memory.scales("ones.copy", 1, self.step)
        self.ones = self.butterfly.constant("ones", "scale", ones.pack()[None], target)

    def _unit(self, count: int) -> tuple[Slice, Slice]:
        """Return an identity of `count` rows as an operand of the array."""
        return part(self.identity, rows=count, columns=count), part(self.ones, columns=count)

    def _embed(self, residual: Matrix) -> None:
        model, name = self.quantised, "embedding"
        pixels = self.memory.declare(self.memory.operand("numbers", self.tokens, 1))
        source = self.memory.dram("input", "int8", self.tokens, 1, INPUT_WINDOW)
        self.nodes.append(load(part(source), part(pixels), name))
        weights = self._operand_constant("pixel", model.pixel.weight)
        columns = self._scale_constant("pixel.scales", model.pixel.scales)
        sixteenths = np.full(self.tokens, 2.0**-NUMBER_FRACTION)
        rows = self._scale_constant("numbers.scales", ScaleVector.from_float(sixteenths))
        positions = np.rint(np.ldexp(self.model.positions.astype(float), model.embedded))
        place = residual.whole()
        table = self.memory.dram("positions", "int16", self.tokens, self.features)
        self.butterfly.constants["positions"] = positions.astype(np.int16)
        self.nodes.append(load(part(table), place, name))
        self.nodes.append(
            matmul(
                (part(pixels), rows), (part(weights), columns), place, model.embedded, name, place
            )
        )
        target = model.blocks[0].input
        self._norm(name, self.model.embedding_norm, residual, model.embedded, target)

    def _norm(self, name: str, norm: LayerNorm, residual: Matrix, before: int, after: int) -> None:
        """Normalise the residual stream in place, from `before` to `after` fraction bits."""
        parameters = quantise_norm(norm, after, name)
        values = np.stack([parameters.gain, parameters.bias])
        target = self.memory.results(f"{name}.norm.copy", 2, self.features)
        copy = self.butterfly.constant(f"{name}.norm", "int16", values, target)
        epsilon = round(math.ldexp(self.model.epsilon, 2 * before))
        rows = residual.whole()
        self.nodes.append(normalise(rows, part(copy), rows, after, epsilon, name))

    def _block(
        self, name: str, block: FabnetBlock, fractions: BlockFractions, residual: Matrix
    ) -> None:
        x = residual.at(fractions.input)
        if block.attention is None:
            scale = -round(math.log2(mixing_scale(self.tokens, self.features)))
            self.nodes += self.butterfly.mix(f"{name}.mixing", x, x, fractions.spectrum, scale)
        else:
            self._attend(f"{name}.mixing", block.attention, fractions, x)
        self._norm(f"{name}.mixing", block.mixing_norm, x, fractions.input, fractions.hidden)
        hidden = residual.at(fractions.hidden)
        self._feed_forward(f"{name}.feed_forward", block, fractions, hidden)
        self._norm(
            f"{name}.feed_forward", block.output_norm, hidden, fractions.hidden, fractions.output
        )

    def _attend(
        self, name: str, attention: SelfAttention, fractions: BlockFractions, x: Matrix
    ) -> None:
        width = self.features // attention.heads
        layers = {
            "query": scaled(_butterfly(attention.query), math.log2(math.e) / math.sqrt(width)),
            "key": _butterfly(attention.key),
            "value": _butterfly(attention.value),
        }
        operands = {}
        for kind, layer in layers.items():
            product, fraction = f"{name}.{kind}", getattr(fractions, kind)
            wide = self.butterfly.matrix(f"{product}.wide", self.tokens, self.features, fraction)
            self.nodes += self.butterfly.linear(product, layer, x, wide)
            operands[kind] = self._operand(product, self.tokens, self.features)
            self.nodes.append(quantise(wide.whole(), operands[kind].all(), fraction, product))
        values = self._transposed(f"{name}.value", operands["value"], fractions.value)
        context = self.butterfly.matrix(
            f"{name}.context", self.tokens, self.features, fractions.context
        )
        for head in range(attention.heads):
            self._head(name, head, width, operands, values, context, fractions)
        product = f"{name}.projection"
        layer = _butterfly(attention.projection)
        self.nodes += self.butterfly.linear(product, layer, context, x, accumulate=True)

    def _transposed(self, product: str, values: Operand, fraction: int) -> Operand:
        """Return ``Vᵀ [channel, token]`` with a scale a channel."""
        wide = self._results(f"{product}.across", self.features, self.tokens)
        for first in range(0, self.features, self.step):
            count = min(self.step, self.features - first)
            b = part(values.values, 0, first, columns=count), part(values.scales)
            y = part(wide, first, rows=count)
            self.nodes.append(matmul(self._unit(count), b, y, fraction, product))
        result = self._operand(f"{product}.transposed", self.features, self.tokens)
        self.nodes.append(quantise(part(wide), result.all(), fraction, product))
        return result

    def _head(
        self,
        name: str,
        head: int,
        width: int,
        operands: dict[str, Operand],
        values: Operand,
        context: Matrix,
        fractions: BlockFractions,
    ) -> None:
        first, tokens = head * width, self.tokens
        scores = self._results(f"{name}.{head}.scores", tokens, tokens)
        planes = self.memory.declare(
            self.memory.operand(f"{name}.{head}.probabilities", 2 * tokens, tokens)
        )
        sums = part(self.memory.declare(self.memory.scales(f"{name}.{head}.sums", 1, tokens)))
        query, key = (
            (part(operands[kind].values, 0, first, columns=width), part(operands[kind].scales))
            for kind in ("query", "key")
        )
        high, low = part(planes, 0, rows=tokens), part(planes, tokens, rows=tokens)
        result = context.columns(first, width).whole()
        channels = values.rows(first, width)
        fraction = fractions.context
        product = f"{name}.context"
        self.nodes += [
            matmul(query, key, part(scores), fractions.scores, f"{name}.scores"),
            softmax(part(scores), (high, low), sums, fractions.scores, f"{name}.softmax"),
            matmul((high, sums), channels, result, fraction + PLANE_BITS, product),
            matmul((low, sums), channels, result, fraction, product, result),
        ]

    def _feed_forward(
        self, name: str, block: FabnetBlock, fractions: BlockFractions, x: Matrix
    ) -> None:
        expand, contract = _butterfly(block.expand), _butterfly(block.contract)
        width = expand.out_features
        wide = self.butterfly.matrix(f"{name}.wide", self.tokens, width, fractions.expanded)
        self.nodes += self.butterfly.linear(f"{name}.expand", expand, x, wide)
        activated = self._operand(f"{name}.activated", self.tokens, width)
        self.nodes.append(
            quantise(
                wide.whole(),
                activated.all(),
                fractions.expanded,
                f"{name}.activation",
                Activation.GELU,
            )
        )
        again = self.butterfly.matrix(f"{name}.again", self.tokens, width, fractions.activated)
        self._widen(f"{name}.activation", activated, again)
        self.nodes += self.butterfly.linear(f"{name}.contract", contract, again, x, accumulate=True)

    def _widen(self, product: str, x: Operand, y: Matrix) -> None:
        """Turn int8 with a scale a row into int16 with a fraction."""
        for first in range(0, y.features, self.step):
            count = min(self.step, y.features - first)
            a = part(x.values, 0, first, columns=count), part(x.scales)
            target = y.columns(first, count).whole()
            self.nodes.append(matmul(a, self._unit(count), target, y.fraction, product))

    def _classify(self, residual: Matrix) -> None:
        """Classify every token, then take the mean of what it says of each class."""
        model, name, tokens = self.quantised, "classifier", self.tokens
        classes = self.model.classes
        fraction = model.blocks[-1].output
        x = self._operand("classified", tokens, self.features)
        self.nodes.append(quantise(residual.whole(), x.all(), fraction, name))
        weights = self._operand_constant(name, model.classifier.weight)
        rows = self._scale_constant(f"{name}.scales", model.classifier.scales)
        wide = self._results("token_logits", classes, tokens)
        a = part(weights), rows
        self.nodes.append(matmul(a, x.all(), part(wide), model.token_logits, name))
        logits = self._operand("logits", classes, tokens)
        self.nodes.append(quantise(part(wide), logits.all(), model.token_logits, "pool"))
        pool = self._operand_constant("pool", np.ones((1, tokens), dtype=np.int8))
        share = self._scale_constant("pool.scales", ScaleVector.from_float(np.array([1 / tokens])))
        mean = self._results("mean", 1, classes)
        self.nodes.append(
            matmul((part(pool), share), logits.all(), part(mean), model.logits, "pool")
        )
        output = self.memory.dram("output", "int16", 1, classes, OUTPUT_WINDOW)
        self.nodes.append(store(part(mean), part(output), "pool"))


def _points(layer: AnyLinear) -> int:
    return layer.twiddle.size if isinstance(layer, ButterflyLinear) else 0


def _butterfly(layer: AnyLinear) -> ButterflyLinear:
    if isinstance(layer, ButterflyLinear):
        return layer
    raise CompileError("fabnet: a dense linear layer cannot be compiled; all must be butterflies")
