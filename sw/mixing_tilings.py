"""How Fourier mixing is cut: one trip along the tokens or two, and the tiles of each step.

A *plan* says how often the tokens cross the bus. Its two steps are cut independently: bounds from
the cost model leave few tilings of each, which are scheduled by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from .errors import NoRoomError
from .gir import Graph
from .passes.allocate import allocate
from .passes.bound import largest_operation, least_work, tiles
from .passes.butterfly_layers import ButterflyLowering
from .passes.butterfly_stream import StreamedMixing, Tiling
from .passes.evaluate import INSTRUCTION_CYCLES
from .passes.expand import expand
from .passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .passes.schedule import schedule

TURNS = (1, 2, 4, 8)
"""Vectors of a tile for each lane of the unit that are tried."""

DEPTHS = (3, 2, 1)
"""Tiles under way that are tried."""

SCHEDULED = 3
"""Tilings of a step that fit and are scheduled, those of the least bound."""

PLANS = 3
"""Plans whose steps are scheduled, those of the least bound."""

UNBALANCED = 4
"""Most by which log2 of the points differs between the transforms of two trips."""

BIT_GAIN = 1.02
"""How many times fewer cycles a plan must take for each bit that it costs between its steps."""

HORIZON = 1 << 14
"""Cycles of work that a LOAD may run ahead."""


@dataclass(frozen=True)
class MixingTiling:
    """How mixing is cut.

    Parameters
    ----------
    rows, columns : Tiling
        Of the step along the features, and of that along the tokens.
    """

    rows: Tiling
    columns: Tiling


def rank_mixing(tokens: int, features: int, config: AcceleratorConfig) -> list[MixingTiling]:
    """Return ways to cut mixing that fit the scratchpad, the best one first.

    Two trips keep fewer bits between them, the fewer the longer the transforms of the first one
    are. So a plan that costs bits comes before one that does not only if it is faster by
    `BIT_GAIN` a bit.

    Parameters
    ----------
    tokens : int
        A power of two from 2 on.
    features : int
    config : AcceleratorConfig
    """
    return _Mixing(tokens, features, config).ranking()


@dataclass(frozen=True, order=True)
class _Cut:
    """A width of the tiles of a step, and cycles below which the step does not come."""

    bound: int
    width: int


class _Mixing:
    def __init__(self, tokens: int, features: int, config: AcceleratorConfig) -> None:
        self.tokens, self.features, self.config = tokens, features, config

    def ranking(self) -> list[MixingTiling]:
        """Return the best tiling of the plans of the least bounds."""
        cuts = {plan: self._cuts(plan) for plan in self._plans()}
        bounds = {
            plan: sum(step[0].bound for step in steps) for plan, steps in cuts.items() if all(steps)
        }
        found: list[tuple[float, MixingTiling]] = []
        for plan in sorted(bounds, key=lambda plan: _cost(bounds[plan], plan)):
            if len(found) == PLANS or (found and _cost(bounds[plan], plan) >= found[0][0]):
                break
            steps = [self._best(plan, step, number) for number, step in enumerate(cuts[plan])]
            best = [step for step in steps if step]
            if len(best) == len(steps):
                cycles, tilings = zip(*best, strict=True)
                found.append((_cost(sum(cycles), plan), MixingTiling(*tilings)))
                found.sort(key=lambda item: item[0])
        return [tiling for _, tiling in found]

    def _plans(self) -> Iterator[Tiling]:
        """Yield one trip along the tokens, and two whose transforms are about as long."""
        yield Tiling()
        log_tokens = self.tokens.bit_length() - 1
        for log_first in range(1, log_tokens):
            if abs(2 * log_first - log_tokens) <= UNBALANCED:
                yield Tiling(log_first=log_first, resident=True)
                yield Tiling(log_first=log_first)

    def _cuts(self, plan: Tiling) -> list[list[_Cut]]:
        """Return widths for each of the two steps, those of the least bound first."""
        lanes = self.config.butterfly.lanes
        widths = [1 << shift for shift in range(lanes.bit_length() - 1)]
        found: list[list[_Cut]] = [[], []]
        last: list[Graph | None] = [None, None]
        for width in (*widths, *(turns * lanes for turns in TURNS)):
            tiling = replace(plan, width=width)
            graphs = self._graphs(MixingTiling(tiling, tiling))
            for graph, before, step in zip(graphs, last, found, strict=True):
                is_new = before is None or graph.body != before.body
                if is_new and largest_operation(graph)[0] <= self.config.scratchpad.bytes:
                    step.append(_Cut(_bound(graph, self.config), width))
            last = [*graphs]
        return [sorted(step) for step in found]

    def _best(self, plan: Tiling, cuts: list[_Cut], number: int) -> tuple[int, Tiling] | None:
        """Return cycles and tiling of one of the steps, None if none of its widths fits."""
        found: list[tuple[int, Tiling]] = []
        for cut in cuts:
            if len(found) == SCHEDULED or found and cut.bound >= found[0][0]:
                break
            for depth in DEPTHS:
                tiling = replace(plan, width=cut.width, depth=depth)
                graph = self._graphs(MixingTiling(tiling, tiling))[number]
                with suppress(NoRoomError):
                    found.append((_cycles(graph, self.config), tiling))
                    found.sort(key=lambda item: item[0])
                    break
        return found[0] if found else None

    def _graphs(self, tiling: MixingTiling) -> list[Graph]:
        memory = Memory(self.config)
        source, target = (
            memory.dram(name, "int16", self.tokens, self.features, window)
            for name, window in (("input", INPUT_WINDOW), ("output", OUTPUT_WINDOW))
        )
        lowering = ButterflyLowering(memory)
        mixing = StreamedMixing(lowering, "mixing", 0, 0, 0, tiling.rows, tiling.columns)
        steps = mixing.steps(source, target)
        return [Graph("mixing", tuple(memory.buffers), tuple(nodes)) for nodes in steps]


def _cost(cycles: int, plan: Tiling) -> float:
    """Return cycles, and more the fewer bits `plan` keeps between its steps."""
    return cycles * BIT_GAIN**plan.log_first


def _bound(graph: Graph, config: AcceleratorConfig) -> int:
    """Return the cycles of a step whose units never rest, but while its first tile is filled."""
    work = least_work(graph, config)
    busiest = max(work.units.values())
    return (
        busiest
        + (work.units.total() - busiest) // tiles(graph)
        + (INSTRUCTION_CYCLES * work.instructions)
    )


def _cycles(graph: Graph, config: AcceleratorConfig) -> int:
    """Return what a step costs by itself.

    Raises
    ------
    NoRoomError
        If the scratchpad is too small.
    """
    ordered = schedule(expand(graph), config, HORIZON)
    allocate(ordered, config)
    operations = ordered.operations()
    return max(item.end for item in operations) + INSTRUCTION_CYCLES * len(operations)
