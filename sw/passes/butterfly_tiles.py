"""Layers of one butterfly a tile whose coefficients do not fit: groups of tiles, one at a time.

A group is a layer of its own, of some rows and some columns of tiles. All tokens go through it
before the next one, so that each coefficient is loaded once. Groups of the same rows add up in
DRAM, with the fraction of the output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..butterfly.hierarchical import HierarchicalLinear
from ..gir import DTYPE_BYTES, SPILLED, Affine, Buffer, Node
from .build import load, part, store
from .butterfly_layers import ButterflyLowering
from .memory import OUTPUT_WINDOW


@dataclass(frozen=True)
class TileGroups:
    """How a layer in tiles is cut.

    Parameters
    ----------
    down, across : int
        Rows and columns of tiles of a group.
    tokens : int
        Tokens that are transformed at a time.
    depth : int
        Blocks of tokens that may be under way.
    """

    down: int
    across: int
    tokens: int
    depth: int


def group_sizes(layer: HierarchicalLinear, room: int) -> Iterator[tuple[int, int]]:
    """Yield rows and columns of tiles whose coefficients take at most `room` bytes.

    The largest first; whole rows of tiles as long as one fits, since groups that share rows write
    results twice.
    """
    down, across, *pairs = layer.coefficients.shape[:4]
    tile = DTYPE_BYTES["coefficient"] * math.prod(pairs)
    sizes = [(down, across)]
    while sizes[-1] != (1, 1):
        down, across = sizes[-1]
        sizes.append((-(-down // 2), across) if down > 1 else (1, -(-across // 2)))
    yield from (size for size in sizes if math.prod(size) * tile <= room)


def split_hierarchical(
    lowering: ButterflyLowering,
    name: str,
    layer: HierarchicalLinear,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    groups: TileGroups,
) -> list[Node]:
    """Return the nodes of a layer between two int16 matrices in DRAM with their fraction bits."""
    down, across = layer.coefficients.shape[:2]
    tile, rows = layer.tile, min(groups.tokens, source.rows)
    nodes: list[Node] = []
    sums = target
    if groups.across < across:
        shape = target.rows, target.columns
        sums = lowering.memory.dram(f"{name}.sums{SPILLED}", "int16", *shape, OUTPUT_WINDOW)
    for row in range(0, down, groups.down):
        for column in range(0, across, groups.across):
            label = f"{name}.{row}_{column}"
            piece = _group(layer, (row, groups.down), (column, groups.across))
            result = target if column + groups.across >= across else sums
            loop = _Loop(lowering, label, piece, source, sums, result, fractions)
            nodes += loop.nodes(row * tile, column * tile, rows, groups.depth)
    return nodes


def _group(
    layer: HierarchicalLinear, rows: tuple[int, int], columns: tuple[int, int]
) -> HierarchicalLinear:
    """Return the layer of some rows and columns of tiles; the first columns have the bias."""
    (row, down), (column, across), tile = rows, columns, layer.tile
    outputs = slice(row * tile, min((row + down) * tile, layer.out_features))
    inputs = min((column + across) * tile, layer.in_features) - column * tile
    has_bias = layer.bias is not None and column == 0
    return HierarchicalLinear(
        layer.coefficients[row : row + down, column : column + across],
        inputs,
        outputs.stop - outputs.start,
        layer.increasing_stride,
        layer.bias[outputs] if has_bias and layer.bias is not None else None,
    )


@dataclass(frozen=True)
class _Loop:
    """The loop over the tokens of one group, which adds `sums` unless it is the first of a row."""

    lowering: ButterflyLowering
    name: str
    layer: HierarchicalLinear
    source: Buffer
    sums: Buffer
    target: Buffer
    fractions: tuple[int, int]

    def nodes(self, first_output: int, first_input: int, rows: int, depth: int) -> list[Node]:
        """Return the loop over blocks of `rows` tokens."""
        lowering, layer, name = self.lowering, self.layer, self.name
        adds = first_input > 0
        room = layer.coefficients.shape[0] * layer.tile

        def body(first: Affine, count: Affine) -> list[Node]:
            x = lowering.matrix(f"{name}.x", rows, layer.in_features, self.fractions[0])
            y = lowering.matrix(f"{name}.y", rows, layer.out_features, self.fractions[1], room)
            x, y = replace(x, tokens=count), replace(y, tokens=count)
            before, result = (
                part(matrix, first, first_output, count, layer.out_features)
                for matrix in (self.sums, self.target)
            )
            taken = part(self.source, first, first_input, count, layer.in_features)
            return [
                load(taken, x.whole(), name),
                *([load(before, y.whole(), name)] if adds else []),
                *lowering.hierarchical(name, layer, x, y, accumulate=adds),
                store(y.whole(), result, name),
            ]

        return lowering.tiled(f"{name}.row_tile", self.source.rows, rows, body, depth)
