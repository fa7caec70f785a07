"""Lower a dense feed-forward part behind Fourier mixing, as FNet has it, with streamed weights."""

from __future__ import annotations

from dataclasses import replace

from ...hw.isa import Activation
from ..errors import CompileError
from ..fabnet_quantise import BlockFractions
from ..frontend.bert import Linear
from ..frontend.fabnet import EPSILON, AnyLinear, FabnetBlock
from ..gir import Affine, Buffer, Node
from ..quantise import quantise_linear
from .build import load, matmul, part, quantise, store
from .fabnet_operators import FabnetOperators
from .layer import Operand

CHUNK = 64
"""Hidden channels whose weights are in the scratchpad at a time."""


def dense_feed_forward(
    operators: FabnetOperators,
    name: str,
    block: FabnetBlock,
    fractions: BlockFractions,
    source: Buffer,
    target: Buffer,
    parts: int = 1,
) -> list[Node]:
    """Return the nodes from the sum after mixing to the output of the block.

    The sum of the tokens of a part stays in the scratchpad, and every weight crosses the bus once a
    part.

    Parameters
    ----------
    operators : FabnetOperators
    name : str
    block : FabnetBlock
        With dense layers, of which `contract` has no bias.
    fractions : BlockFractions
    source, target : Buffer
        int16 [tokens, features] in DRAM.
    parts : int
        In how many parts of equal length the tokens go.
    """
    return _DenseFeedForward(operators, name, block, fractions).nodes(source, target, parts)


class _DenseFeedForward:
    def __init__(
        self,
        operators: FabnetOperators,
        name: str,
        block: FabnetBlock,
        fractions: BlockFractions,
    ) -> None:
        self.operators, self.name, self.fractions = operators, name, fractions
        self.block = block
        expand, contract = (_dense(name, item) for item in (block.expand, block.contract))
        if contract.bias.any():
            raise CompileError(f"{name}: a layer that adds to the residual must have no bias")
        self.expand = quantise_linear(expand, fractions.expanded, f"{name} expand")
        self.contract = quantise_linear(contract, fractions.hidden, f"{name} contract")
        self.width = len(self.expand.weight)
        # Where all weights are in DRAM, and the scales of both layers in the scratchpad.
        self.stored = tuple(
            operators.stored(f"{name}.{kind}", "int8", layer.weight)
            for kind, layer in (("expand", self.expand), ("contract", self.contract))
        )
        self.scales = tuple(
            operators.scale_constant(f"{name}.{kind}.scales", layer.scales)
            for kind, layer in (("expand", self.expand), ("contract", self.contract))
        )

    def nodes(self, source: Buffer, target: Buffer, parts: int) -> list[Node]:
        tokens = source.rows // parts
        return [
            node
            for number in range(parts)
            for node in self._part(f"{self.name}.part_{number}", source, target, number, tokens)
        ]

    def _part(
        self, label: str, source: Buffer, target: Buffer, number: int, tokens: int
    ) -> list[Node]:
        operators, name, fractions = self.operators, self.name, self.fractions
        features, begin = source.columns, number * tokens
        rows = operators.config.lanes
        whole = operators.matrix(f"{label}.residual", tokens, features, fractions.input)
        x = operators.operand(f"{label}.x", tokens, features)
        hidden = whole.at(fractions.hidden)

        def before(first: Affine, count: Affine) -> list[Node]:
            part_of_sum = replace(whole, first_token=first, tokens=count)
            norm = self.block.mixing_norm
            y = x.rows(first, count)
            return [
                load(part(source, first + begin, rows=count), part_of_sum.whole(), name),
                operators.norm(f"{name}.mixing", norm, part_of_sum, fractions.hidden, EPSILON),
                quantise(part_of_sum.whole(), y, fractions.hidden, name),
            ]

        def after(first: Affine, count: Affine) -> list[Node]:
            part_of_sum = replace(hidden, first_token=first, tokens=count)
            norm = self.block.output_norm
            return [
                operators.norm(name, norm, part_of_sum, fractions.output, EPSILON),
                store(part_of_sum.whole(), part(target, first + begin, rows=count), name),
            ]

        return [
            *operators.tiled(f"{label}.before_tile", tokens, rows, before),
            *self._chunks(label, x, hidden.whole().buffer, tokens, features),
            *operators.tiled(f"{label}.after_tile", tokens, rows, after),
        ]

    def _chunks(
        self, label: str, x: Operand, residual: str, tokens: int, features: int
    ) -> list[Node]:
        operators, memory, name = self.operators, self.operators.memory, self.name
        fraction = self.fractions.expanded
        expand, contract = self.stored
        scales, out_scales = self.scales
        y = replace(out_scales, buffer=residual, rows=Affine(tokens), columns=Affine(features))

        def chunk(first: Affine, count: Affine) -> list[Node]:
            wide = operators.results(f"{name}.wide", tokens, CHUNK)
            narrow = operators.operand(f"{name}.activated", tokens, CHUNK)
            up = operators.declare(memory.operand(f"{name}.expand.tile", CHUNK, features))
            down = operators.declare(memory.operand(f"{name}.contract.tile", features, CHUNK))
            w1, w2 = part(up, rows=count), part(down, columns=count)
            expanded = part(wide, columns=count)
            activated = part(narrow.values, columns=count), part(narrow.scales)
            s1 = replace(scales, column=first, columns=count)
            return [
                load(part(expand, first, rows=count), w1, f"{name}.expand"),
                load(part(contract, 0, first, columns=count), w2, f"{name}.contract"),
                matmul(x.all(), (w1, s1), expanded, fraction, f"{name}.expand"),
                quantise(expanded, activated, fraction, f"{name}.activation", Activation.GELU),
                matmul(
                    activated, (w2, out_scales), y, self.fractions.hidden, f"{name}.contract", y
                ),
            ]

        return operators.tiled(f"{label}.chunk", self.width, CHUNK, chunk)


def _dense(name: str, layer: AnyLinear) -> Linear:
    if isinstance(layer, Linear):
        return layer
    raise CompileError(f"{name}: both layers of a feed-forward part must be of one kind")
