"""The nodes of one butterfly operator between two matrices in DRAM, by how these are cut."""

from __future__ import annotations

from collections.abc import Callable

from .butterfly.hierarchical import HierarchicalLinear
from .butterfly.linear import ButterflyLinear
from .butterfly_operators import Compression, Fourier, Mixing, Operator, lower_operator, sizes
from .gir import Buffer, Node
from .mixing_tilings import MixingTiling
from .passes.build import load, part, store
from .passes.butterfly import Matrix
from .passes.butterfly_layers import ButterflyLowering
from .passes.butterfly_split import SplitTiling, split_linear
from .passes.butterfly_stream import (
    StreamedMixing,
    Tiling,
    stream_features,
    stream_spectrum,
    stream_tokens,
)
from .passes.butterfly_tiles import TileGroups, split_hierarchical

Lower = Callable[[Operator, ButterflyLowering, Buffer, Buffer, tuple[int, int]], list[Node]]
"""Makes the nodes of an operator between two matrices in DRAM with their fraction bits."""


def in_trips(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    *,
    between: list[list[int]],
    tiling: SplitTiling,
) -> list[Node]:
    """Return the nodes of a layer in trips through DRAM."""
    assert isinstance(operator, ButterflyLinear)
    given = fractions[0], between
    return split_linear(lowering, "linear", operator, source, target, given, tiling)


def in_groups(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    *,
    groups: TileGroups,
) -> list[Node]:
    """Return the nodes of a layer in groups of tiles."""
    assert isinstance(operator, HierarchicalLinear)
    return split_hierarchical(lowering, "tiles", operator, source, target, fractions, groups)


def resident(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
) -> list[Node]:
    """Return the nodes of an operator whose matrices are in the scratchpad."""
    if isinstance(operator, Fourier):
        whole = Tiling(source.rows, 1)
        return tiled(operator, lowering, source, target, fractions, whole)
    room = sizes(operator, source.rows)[3]
    is_mixing = isinstance(operator, Mixing)
    x = y = lowering.matrix(
        "x", source.rows, source.columns, fractions[0], room if is_mixing else 0
    )
    if not is_mixing:
        y = lowering.matrix("y", target.rows, target.columns, fractions[1], room)
    return [
        load(part(source), x.whole(), "input"),
        *lowering.with_loads(lower_operator(operator, lowering, x, y)),
        store(y.whole(), part(target), "output"),
    ]


def mixed(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    tiling: MixingTiling,
) -> list[Node]:
    """Return the nodes of a mixing in two steps."""
    assert isinstance(operator, Mixing)
    mixing = StreamedMixing(
        lowering,
        "mixing",
        fractions[0],
        operator.spectrum_fraction,
        operator.scale,
        tiling.rows,
        tiling.columns,
    )
    return [node for step in mixing.steps(source, target) for node in step]


def tiled(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    tiling: Tiling,
) -> list[Node]:
    """Return the nodes of an operator whose matrices go through the scratchpad in tiles."""
    if isinstance(operator, Mixing):
        both = MixingTiling(tiling, tiling)
        return mixed(operator, lowering, source, target, fractions, both)
    if isinstance(operator, Fourier):
        blocks = source.columns // operator.features
        return stream_spectrum(lowering, "fourier", source, target, fractions, blocks, tiling)

    def body(x: Matrix, y: Matrix) -> list[Node]:
        return lower_operator(operator, lowering, x, y)

    if isinstance(operator, Compression):
        return stream_features(lowering, "compression", source, target, fractions, body, tiling)
    room = sizes(operator, source.rows)[3]
    return stream_tokens(lowering, "linear", source, target, fractions, room, body, tiling)
