"""Lower a FABNet classifier that fits the scratchpad: butterflies, Fourier mixing, attention.

The residual stream stays int16 in the scratchpad; butterflies and Fourier transforms read it as it
is and add to it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..fabnet_quantise import BlockFractions, QuantisedFabnet
from ..fabnet_reference import mixing_scale
from ..frontend.fabnet import FabnetBlock, SelfAttention
from ..gir import Graph, Node
from ..scale import ScaleVector
from .build import load, matmul, part, quantise, store
from .butterfly import Matrix
from .fabnet_operators import FabnetOperators, as_butterfly, attention_layers, check_widths
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory

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
        self.model, self.quantised = model.model, model
        self.tokens, self.features = self.model.tokens, self.model.features
        for block in self.model.blocks:
            check_widths(self.features, block)
        self.memory = Memory(config)
        self.operators = FabnetOperators(self.memory)
        self.nodes: list[Node] = []

    def lower(self) -> tuple[Graph, dict[str, NDArray]]:
        room = max(as_butterfly(block.contract).twiddle.size for block in self.model.blocks)
        residual = self.operators.matrix(
            "residual",
            self.tokens,
            self.features,
            self.quantised.embedded,
            min(room, 2 * self.features),
        )
        self._embed(residual)
        for number, block in enumerate(self.model.blocks):
            self._block(str(number), block, self.quantised.blocks[number], residual)
        self._classify(residual)
        nodes = self.operators.with_loads(self.nodes)
        graph = Graph("fabnet", tuple(self.memory.buffers), tuple(nodes))
        return graph, self.operators.constants

    def _embed(self, residual: Matrix) -> None:
        model, name, operators = self.quantised, "embedding", self.operators
        pixels = self.memory.declare(self.memory.operand("numbers", self.tokens, 1))
        source = self.memory.dram("input", "int8", self.tokens, 1, INPUT_WINDOW)
        self.nodes.append(load(part(source), part(pixels), name))
        weights = operators.operand_constant("pixel", model.pixel.weight)
        columns = operators.scale_constant("pixel.scales", model.pixel.scales)
        sixteenths = np.full(self.tokens, 2.0**-NUMBER_FRACTION)
        rows = operators.scale_constant("numbers.scales", ScaleVector.from_float(sixteenths))
        positions = np.rint(np.ldexp(self.model.positions.astype(float), model.embedded))
        operators.constant("positions", "int16", positions.astype(np.int16), residual.values)
        place = residual.whole()
        a, b = (part(pixels), rows), (part(weights), columns)
        self.nodes.append(matmul(a, b, place, model.embedded, name, place))
        norm = self.model.embedding_norm
        after = model.blocks[0].input
        self.nodes.append(operators.norm(name, norm, residual, after, self.model.epsilon))

    def _block(
        self, name: str, block: FabnetBlock, fractions: BlockFractions, residual: Matrix
    ) -> None:
        operators, epsilon = self.operators, self.model.epsilon
        x, hidden = residual.at(fractions.input), residual.at(fractions.hidden)
        product = f"{name}.mixing"
        if block.attention is None:
            scale = -round(math.log2(mixing_scale(self.tokens, self.features)))
            self.nodes += operators.mix(product, x, x, fractions.spectrum, scale)
        else:
            self._attend(product, block.attention, fractions, x)
        norm = operators.norm(product, block.mixing_norm, x, fractions.hidden, epsilon)
        self.nodes.append(norm)
        product = f"{name}.feed_forward"
        expand, contract = as_butterfly(block.expand), as_butterfly(block.contract)
        activated, nodes = operators.activated(product, expand, hidden, fractions)
        self.nodes += nodes
        self.nodes += operators.linear(
            f"{product}.contract", contract, activated, hidden, accumulate=True
        )
        norm = operators.norm(product, block.output_norm, hidden, fractions.output, epsilon)
        self.nodes.append(norm)

    def _attend(
        self, name: str, attention: SelfAttention, fractions: BlockFractions, x: Matrix
    ) -> None:
        operators, tokens = self.operators, self.tokens
        made = {}
        for kind, layer in attention_layers(attention, self.features).items():
            fraction = getattr(fractions, kind)
            made[kind], nodes = operators.projected(f"{name}.{kind}", layer, x, fraction)
            self.nodes += nodes
        values, nodes = operators.transpose(
            f"{name}.value", made["value"], fractions.value, self.features
        )
        self.nodes += nodes
        context = operators.matrix(f"{name}.context", tokens, self.features, fractions.context)
        width = self.features // attention.heads
        for head in range(attention.heads):
            first = head * width
            query, key = (
                (part(item.values, 0, first, columns=width), part(item.scales))
                for item in (made["query"], made["key"])
            )
            self.nodes += operators.attend(
                f"{name}.head_{head}",
                (query, key, values.rows(first, width)),
                context.columns(first, width).whole(),
                tokens,
                tokens,
                tokens,
                fractions,
            )
        layer = as_butterfly(attention.projection)
        self.nodes += operators.linear(f"{name}.projection", layer, context, x, accumulate=True)

    def _classify(self, residual: Matrix) -> None:
        """Classify every token, then take the mean of what it says of each class."""
        model, name, tokens, operators = self.quantised, "classifier", self.tokens, self.operators
        classes = self.model.classes
        fraction = model.blocks[-1].output
        x = operators.operand("classified", tokens, self.features)
        self.nodes.append(quantise(residual.whole(), x.all(), fraction, name))
        weights = operators.operand_constant(name, model.classifier.weight)
        rows = operators.scale_constant(f"{name}.scales", model.classifier.scales)
        wide = operators.results("token_logits", classes, tokens)
        self.nodes.append(
            matmul((part(weights), rows), x.all(), part(wide), model.token_logits, name)
        )
        logits = operators.operand("logits", classes, tokens)
        self.nodes.append(quantise(part(wide), logits.all(), model.token_logits, "pool"))
        pool = operators.operand_constant("pool", np.ones((1, tokens), dtype=np.int8))
        share = ScaleVector.from_float(np.array([1 / tokens]))
        a = part(pool), operators.scale_constant("pool.scales", share)
        mean = operators.results("mean", 1, classes)
        self.nodes.append(matmul(a, logits.all(), part(mean), model.logits, "pool"))
        output = self.memory.dram("output", "int16", 1, classes, OUTPUT_WINDOW)
        self.nodes.append(store(part(mean), part(output), "pool"))
