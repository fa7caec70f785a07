"""How the steps of FABNet blocks are cut in tiles: each step is tried by itself."""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from .errors import NoRoomError
from .gir import Graph, Node
from .passes.allocate import allocate
from .passes.butterfly_stream import Tiling
from .passes.expand import expand
from .passes.fabnet_stream import Tilings
from .passes.schedule import schedule

TURNS = (1, 2, 3, 4)
"""Vectors of a tile for each lane that are tried."""

DEPTHS = (1, 2, 3)
"""Tiles under way that are tried."""

HORIZON = 1 << 14
"""Cycles of work that a LOAD may run ahead."""

LowerBlocks = Callable[[Tilings], tuple[dict[str, Graph], dict[str, NDArray]]]
"""Returns the graphs of all steps for some tilings, and their constants."""


def choose_tilings(lower: LowerBlocks, tokens: int, config: AcceleratorConfig) -> Tilings:
    """Return the tiling of each step that makes it shortest, if nothing else is under way.

    Raises
    ------
    NoRoomError
        If a step has no room even in its smallest tiles.
    """
    steps, _ = lower({})
    best: dict[str, tuple[int, Tiling]] = {}
    last: dict[str, tuple[Node, ...]] = {}
    for tiling in _tilings(tokens, config):
        graphs, _ = lower(dict.fromkeys(steps, tiling))
        for step, graph in graphs.items():
            if graph.body == last.get(step):
                continue
            last[step] = graph.body
            try:
                cycles = _cycles(graph, config)
            except NoRoomError:
                if step not in best:
                    raise
                continue
            if step not in best or cycles < best[step][0]:
                best[step] = cycles, tiling
    return {step: tiling for step, (_, tiling) in best.items()}


def _tilings(tokens: int, config: AcceleratorConfig) -> list[Tiling]:
    widths = [turns * config.lanes for turns in TURNS]
    useful = [width for width in widths if width == config.lanes or width < tokens]
    return [Tiling(width, depth) for width in useful for depth in DEPTHS]


def _cycles(graph: Graph, config: AcceleratorConfig) -> int:
    """Return how long a step takes."""
    scheduled = schedule(expand(graph), config, HORIZON)
    allocate(scheduled, config)
    return max(operation.end for operation in scheduled.operations())
