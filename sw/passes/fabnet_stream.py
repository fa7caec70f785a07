"""Lower FABNet blocks of any size: matrices in DRAM go through the scratchpad in tiles.

Along the features tiles are blocks of tokens, along the tokens they are blocks of features, so that
a transform never leaves the scratchpad while it is under way. What lies between two such steps is
in DRAM; coefficients are loaded once a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..fabnet_quantise import BlockFractions
from ..fabnet_reference import mixing_scale
from ..frontend.bert import Linear
from ..frontend.fabnet import EPSILON, FabnetBlock, SelfAttention
from ..gir import Affine, Buffer, Graph, Node
from .build import load, part, store
from .butterfly import Matrix
from .butterfly_stream import StreamedMixing, Tiling
from .fabnet_dense import dense_feed_forward
from .fabnet_operators import (
    FabnetOperators,
    as_butterfly,
    attention_layers,
    check_widths,
    split_stacks,
)
from .layer import Operand
from .memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory

QUERY_ROWS = 64
"""Query rows of a block of scores."""

DEPTH = 2
"""Tiles of a step that may be under way, where each is small."""

TILING = Tiling()
SERIAL = Tiling(depth=1)
"""The tilings of steps that are not told otherwise; `SERIAL` where each tile is large."""

ALONG_FEATURES, ALONG_TOKENS = ".features", ".tokens"
"""Ends of the names of the two steps of a mixing."""

DENSE = ".dense"
"""End of the name of the step of a dense feed-forward part."""

Tilings = Mapping[str, Tiling]
"""How steps are cut."""

TileBody = Callable[[Affine, Affine], list[Node]]
"""Takes where a tile begins and how much it covers."""


def lower_blocks(
    blocks: Sequence[tuple[FabnetBlock, BlockFractions]],
    tokens: int,
    features: int,
    config: AcceleratorConfig,
    tilings: Tilings,
) -> tuple[dict[str, Graph], dict[str, NDArray]]:
    """Return the graph of each step of some blocks, and the contents of their constants.

    The steps run one after the other. Buffers ``input`` and ``output`` are int16 [tokens,
    features] in DRAM.

    Raises
    ------
    CompileError
        If the machine cannot run a block.
    """
    lowering = _StreamLowering(tokens, features, config, tilings)
    source = lowering.memory.dram("input", "int16", tokens, features, INPUT_WINDOW)
    for number, (block, fractions) in enumerate(blocks):
        name = "output" if number == len(blocks) - 1 else f"{number}.spilled"
        target = lowering.memory.dram(name, "int16", tokens, features, OUTPUT_WINDOW)
        lowering.block(str(number), block, fractions, source, target)
        source = target
    buffers = tuple(lowering.memory.buffers)
    graphs = {
        step: Graph("fabnet blocks", buffers, tuple(nodes))
        for step, nodes in lowering.steps.items()
    }
    return graphs, lowering.operators.constants


class _StreamLowering:
    def __init__(
        self, tokens: int, features: int, config: AcceleratorConfig, tilings: Tilings
    ) -> None:
        self.tokens, self.features, self.config = tokens, features, config
        self.tilings = tilings
        self.memory = Memory(config)
        self.operators = FabnetOperators(self.memory)
        self.steps: dict[str, list[Node]] = {}

    def _spilled(self, name: str, dtype: str, rows: int, columns: int) -> Buffer:
        return self.memory.dram(f"{name}.spilled", dtype, rows, columns, OUTPUT_WINDOW)

    def block(
        self,
        name: str,
        block: FabnetBlock,
        fractions: BlockFractions,
        source: Buffer,
        target: Buffer,
    ) -> None:
        """Append the steps of one block."""
        check_widths(self.features, block)
        tokens, features = self.tokens, self.features
        mixed = self._spilled(f"{name}.sum", "int16", tokens, features)
        if block.attention is None:
            self._mix(f"{name}.mixing", fractions, source, mixed)
        else:
            self._attend(f"{name}.mixing", block.attention, fractions, source, mixed)
        product = f"{name}.feed_forward"
        if isinstance(block.expand, Linear):
            step = product + DENSE
            parts = self.tilings.get(step, TILING).parts
            self.steps[step] = dense_feed_forward(
                self.operators, product, block, fractions, mixed, target, parts
            )
            return
        hidden = self._spilled(f"{name}.hidden", "int16", tokens, features)
        width = as_butterfly(block.expand).out_features
        activated = self._spilled(f"{name}.activated", "int16", tokens, width)
        self._expand(product, block, fractions, mixed, (hidden, activated))
        self._contract(product, block, fractions, (hidden, activated), target)

    def _tiling(self, step: str, default: Tiling = TILING) -> Tiling:
        """Return how a step over tokens is cut, its width resolved."""
        tiling = self.tilings.get(step, default)
        return replace(tiling, width=min(tiling.width or self.config.lanes, self.tokens))

    def _tiled(self, step: str, tile: TileBody, tiling: Tiling) -> None:
        """Append a step over tokens."""
        self.steps[step] = self.operators.tiled(
            f"{step}_tile", self.tokens, tiling.width, tile, tiling.depth
        )

    def _rows(
        self, name: str, features: int, fraction: int, count: Affine, rows: int, room: int = 0
    ) -> Matrix:
        """Declare a tile of `rows` tokens, of which `count` are used."""
        matrix = self.operators.matrix(name, rows, features, fraction, room)
        return replace(matrix, tokens=count)

    def _mix(self, name: str, fractions: BlockFractions, source: Buffer, target: Buffer) -> None:
        """Append Fourier mixing: a step along the features, one along the tokens."""
        scale = -round(math.log2(mixing_scale(self.tokens, self.features)))
        steps = name + ALONG_FEATURES, name + ALONG_TOKENS
        mixing = StreamedMixing(
            self.operators,
            name,
            fractions.input,
            fractions.spectrum,
            scale,
            *(self.tilings.get(step, TILING) for step in steps),
        )
        self.steps |= zip(steps, mixing.steps(source, target), strict=True)

    def _expand(
        self,
        name: str,
        block: FabnetBlock,
        fractions: BlockFractions,
        source: Buffer,
        targets: tuple[Buffer, Buffer],
    ) -> None:
        """Normalise what was mixed, and apply the first half of the feed-forward part.

        Each stack of the layer is quantised by itself, so that it can be under way while the unit
        makes the next one.
        """
        operators = self.operators
        stacks = split_stacks(as_butterfly(block.expand))
        step = f"{name}.expand"
        tiling = self._tiling(step)

        def tile(first: Affine, count: Affine) -> list[Node]:
            x = self._rows(f"{name}.x", self.features, fractions.input, count, tiling.width)
            hidden = x.at(fractions.hidden)
            nodes: list[Node] = []
            for number, (column, layer) in enumerate(stacks):
                activated, steps = operators.activated(
                    f"{name}.stack_{number}", layer, hidden, fractions
                )
                place = part(targets[1], first, column, count, layer.out_features)
                nodes += [*steps, store(activated.whole(), place, name)]
            return [
                load(part(source, first, rows=count), x.whole(), name),
                operators.norm(f"{name}.mixing", block.mixing_norm, x, fractions.hidden, EPSILON),
                store(hidden.whole(), part(targets[0], first, rows=count), name),
                *nodes,
            ]

        self._tiled(step, tile, tiling)

    def _contract(
        self,
        name: str,
        block: FabnetBlock,
        fractions: BlockFractions,
        sources: tuple[Buffer, Buffer],
        target: Buffer,
    ) -> None:
        """Apply the second half of the feed-forward part, and normalise the sum.

        One stack works in place; of several each reads all that the ones before must leave alone.
        """
        operators = self.operators
        layer = as_butterfly(block.contract)
        size = layer.twiddle.size
        step = f"{name}.contract"
        tiling = self._tiling(step)
        rows = tiling.width

        def tile(first: Affine, count: Affine) -> list[Node]:
            y = self._rows(f"{name}.y", self.features, fractions.hidden, count, rows)
            whole = self._rows(f"{name}.again", size, fractions.activated, count, rows)
            x = replace(whole, features=layer.in_features)
            made = replace(whole, features=self.features, fraction=fractions.hidden)
            if layer.twiddle.stacks > 1:
                made = self._rows(f"{name}.made", self.features, fractions.hidden, count, rows)
            product = f"{name}.contract"
            return [
                load(part(sources[0], first, rows=count), y.whole(), name),
                load(part(sources[1], first, rows=count), x.whole(), name),
                *operators.linear(product, layer, x, made),
                operators.add(product, made, y, self.features),
                operators.norm(name, block.output_norm, y, fractions.output, EPSILON),
                store(y.whole(), part(target, first, rows=count), name),
            ]

        self._tiled(step, tile, tiling)

    def _attend(
        self,
        name: str,
        attention: SelfAttention,
        fractions: BlockFractions,
        source: Buffer,
        target: Buffer,
    ) -> None:
        """Append attention: projections, heads, and the projection of their results."""
        tokens, features, operators = self.tokens, self.features, self.operators
        stored = {
            kind: (
                self._spilled(f"{name}.{kind}", "int8", tokens, features),
                self._spilled(f"{name}.{kind}.scales", "scale", 1, tokens),
            )
            for kind in ("query", "key", "value")
        }
        context = self._spilled(f"{name}.context", "int16", tokens, features)
        steps = f"{name}.project", f"{name}.head", f"{name}.combine"
        projecting, combining = self._tiling(steps[0], SERIAL), self._tiling(steps[2])

        def project(first: Affine, count: Affine) -> list[Node]:
            x = self._rows(f"{name}.x", features, fractions.input, count, projecting.width)
            nodes: list[Node] = [load(part(source, first, rows=count), x.whole(), name)]
            for kind, layer in attention_layers(attention, features).items():
                fraction = getattr(fractions, kind)
                made, steps = operators.projected(f"{name}.{kind}", layer, x, fraction)
                values, scales = made.rows(0, count)
                nodes += steps
                nodes.append(store(values, part(stored[kind][0], first, rows=count), name))
                nodes.append(store(scales, part(stored[kind][1], 0, first, 1, count), name))
            return nodes

        def head(first: Affine, width: Affine) -> list[Node]:
            return self._head(name, (first, width), attention, fractions, stored, context)

        def combine(first: Affine, count: Affine) -> list[Node]:
            layer, rows = as_butterfly(attention.projection), combining.width
            size = layer.twiddle.size
            x = self._rows(f"{name}.context", features, fractions.context, count, rows)
            y = self._rows(f"{name}.sum", features, fractions.input, count, rows, size)
            return [
                load(part(context, first, rows=count), x.whole(), name),
                load(part(source, first, rows=count), y.whole(), name),
                *operators.linear(f"{name}.projection", layer, x, y, accumulate=True),
                store(y.whole(), part(target, first, rows=count), name),
            ]

        width, beat = features // attention.heads, self.config.axi_bytes
        if width % beat and attention.heads > 1:
            raise CompileError(
                f"{name}: channels of a head must be a multiple of {beat}, the bytes of a beat of "
                f"the bus, not {width}"
            )
        self._tiled(steps[0], project, projecting)
        self.steps[steps[1]] = operators.tiled(steps[1], features, width, head)
        self._tiled(steps[2], combine, combining)

    def _head(
        self,
        name: str,
        columns: tuple[Affine, Affine],
        attention: SelfAttention,
        fractions: BlockFractions,
        stored: dict[str, tuple[Buffer, Buffer]],
        context: Buffer,
    ) -> list[Node]:
        tokens, operators = self.tokens, self.operators
        width = self.features // attention.heads
        first_column, count_columns = columns
        nodes: list[Node] = []
        loaded: dict[str, Operand] = {}
        for kind, (values, scales) in stored.items():
            item = loaded[kind] = operators.operand(f"{name}.{kind}.head", tokens, width)
            source = part(values, 0, first_column, tokens, count_columns)
            nodes.append(load(source, part(item.values, columns=count_columns), name))
            nodes.append(load(part(scales), part(item.scales), name))
        across, steps = operators.transpose(
            f"{name}.value", loaded["value"], fractions.value, width
        )
        nodes += steps
        rows = min(QUERY_ROWS, tokens)

        def queries(first: Affine, count: Affine) -> list[Node]:
            query = loaded["query"].rows(first, count)
            wide = operators.results(f"{name}.wide", rows, width)
            y = part(wide, rows=count)
            operands = query, loaded["key"].all(), across.all()
            return [
                *operators.attend(name, operands, y, rows, count, tokens, fractions),
                store(y, part(context, first, first_column, count, count_columns), name),
            ]

        return [*nodes, *operators.tiled(f"{name}.query_tile", tokens, rows, queries, DEPTH)]
