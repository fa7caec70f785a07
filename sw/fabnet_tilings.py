"""How FABNet blocks are cut and ordered: each step is tried by itself, then all of them together.

A step alone shows which tiles suit it; the program shows what of one step can run beside another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from .errors import NoRoomError
from .gir import Graph, Node
from .mixing_tilings import rank_mixing
from .passes.allocate import allocate, peak
from .passes.bound import check_operations, least_work
from .passes.butterfly_stream import Tiling
from .passes.evaluate import INSTRUCTION_CYCLES
from .passes.expand import expand
from .passes.explore import Budget, Cost, Explorer
from .passes.fabnet_stream import ALONG_FEATURES, ALONG_TOKENS, DENSE, Tilings
from .passes.schedule import Plan, fit, schedule
from .search_cache import remembered

TURNS = (1, 2, 3, 4)
"""Vectors of a tile for each lane that are tried."""

DEPTHS = (1, 2, 3)
"""Tiles under way that are tried."""

PREFETCH = (1 << 14, 1 << 12, 1 << 10, 0)
"""Cycles of work that a LOAD may run ahead: as many as the scratchpad has room for."""

RUNNERS_UP = 2
"""Tilings of a step that are tried in the whole program, besides its best one."""

FABNET_BUDGET = Budget(candidates=32)

Cuts = list[dict[str, Tiling]]
"""Ways to cut one step, or two that go together."""

LowerBlocks = Callable[[Tilings], tuple[dict[str, Graph], dict[str, NDArray]]]
"""Returns the graphs of all steps for some tilings, and their constants."""


@dataclass(frozen=True)
class BlockTiling:
    """How blocks are cut and ordered.

    Parameters
    ----------
    steps : tuple of tuple
        Name and tiling of the steps that are not cut as they are by default.
    prefetch : int
        Cycles of work that a LOAD may run ahead of its first use.
    critical_path : bool
        How operations are ordered, as `schedule` takes it.
    """

    steps: tuple[tuple[str, Tiling], ...] = ()
    prefetch: int = PREFETCH[0]
    critical_path: bool = False

    def with_steps(self, steps: Mapping[str, Tiling]) -> BlockTiling:
        """Return the same with other tilings of some steps."""
        return replace(self, steps=tuple(sorted({**dict(self.steps), **steps}.items())))


@dataclass(frozen=True)
class BlockChoice:
    """What a search found.

    Parameters
    ----------
    ranking : tuple of BlockTiling
        Those that fit, the best one first; the smallest tiles if none does.
    figures : dict
        ``candidates, pruned, search_gain, search_ended_early``, as for encoders; steps that were
        scheduled alone count as candidates.
    """

    ranking: tuple[BlockTiling, ...]
    figures: dict[str, Any]


def joined(steps: Mapping[str, Graph]) -> Graph:
    """Return one graph of steps that run one after the other."""
    first = next(iter(steps.values()))
    return replace(first, body=tuple(node for graph in steps.values() for node in graph.body))


def choose_blocks(
    lower: LowerBlocks,
    shape: tuple[int, int],
    config: AcceleratorConfig,
    budget: Budget = FABNET_BUDGET,
) -> BlockChoice:
    """Return how the blocks that `lower` lowers, of some tokens and features, are best cut.

    Raises
    ------
    NoRoomError
        If an operation has no room in the smallest tiles.
    """

    def search() -> tuple[dict[str, Any], bool]:
        choice, is_early = _search(lower, shape, config, budget)
        ranking = [asdict(item) for item in choice.ranking]
        return {"ranking": ranking, "figures": choice.figures}, is_early

    question = ("fabnet", shape, *lower({})[0].values())
    answer = remembered(question, config, budget, search)
    return BlockChoice(tuple(map(_block_tiling, answer["ranking"])), answer["figures"])


def _block_tiling(fields: dict[str, Any]) -> BlockTiling:
    steps = tuple((step, Tiling(**cut)) for step, cut in fields["steps"])
    return BlockTiling(**{**fields, "steps": steps})


def _search(
    lower: LowerBlocks, shape: tuple[int, int], config: AcceleratorConfig, budget: Budget
) -> tuple[BlockChoice, bool]:
    """Return the choice, and whether a limit in seconds ended the search."""
    evaluator = _Evaluator(lower, config)
    explorer = Explorer(evaluator.cost, evaluator.bound, budget)
    steps = list(lower({})[0])
    mixing = _mixing_tilings(steps, shape, config)
    fixed_cuts = [*mixing, *_dense_tilings(lower, steps, shape[0], config)]
    simplest = BlockTiling()
    for cuts in fixed_cuts:
        simplest = simplest.with_steps(cuts[0])
    for graph in lower(dict(simplest.steps))[0].values():
        check_operations(graph, config)
    fixed = [replace(simplest, prefetch=prefetch) for prefetch in PREFETCH]
    start = next((item for item in fixed if explorer.fits(item)), fixed[-1])
    heuristic = explorer.cost(start)
    alone = 0
    if budget.candidates > 1:
        others = [step for step in steps if not any(step in cuts[0] for cuts in fixed_cuts)]
        ranked, alone = rank_tilings(lower, others, shape[0], config)
        best = start
        for cuts in ranked:
            best = best.with_steps(cuts[0])
        best = explorer.first_best(start, (best,))
        best = explorer.descend(best, {"critical_path": [False, True], "prefetch": PREFETCH})
        for cuts in (*mixing, *ranked):
            some = cuts[: 1 + RUNNERS_UP]
            best = explorer.first_best(best, (best.with_steps(item) for item in some))
    ranking = explorer.ranking() or [start]
    found = explorer.cost(ranking[0])
    gain = 1.0 if heuristic.excess else heuristic.cycles / max(1, found.cycles)
    figures = explorer.figures(gain)
    figures["candidates"] += alone
    return BlockChoice(tuple(ranking), figures), explorer.is_late


class _Evaluator:
    """Lowers and schedules all steps together.

    Parameters
    ----------
    lower : callable
    config : AcceleratorConfig
    """

    def __init__(self, lower: LowerBlocks, config: AcceleratorConfig) -> None:
        self._lower, self._config = lower, config
        self._plan = lru_cache(1)(self._make_plan)

    def _lowered(self, steps: tuple[tuple[str, Tiling], ...]) -> Graph:
        return joined(self._lower(dict(steps))[0])

    def _make_plan(self, steps: tuple[tuple[str, Tiling], ...]) -> Plan:
        return Plan(expand(self._lowered(steps)), self._config)

    def cost(self, tiling: BlockTiling) -> Cost:
        """Return what `tiling` costs."""
        plan = self._plan(tiling.steps)
        graph, allocated = fit(plan, tiling.prefetch, critical_path=tiling.critical_path)
        limit = self._config.scratchpad.bytes
        excess = 0 if allocated else max(1, peak(graph, self._config)[0] - limit)
        cycles = max(operation.end for operation in graph.operations())
        return Cost(excess, cycles + INSTRUCTION_CYCLES * len(plan.operations))

    def bound(self, tiling: BlockTiling) -> int:
        """Return cycles below which the cost of `tiling` cannot lie."""
        work = least_work(self._lowered(tiling.steps), self._config)
        return max(work.units.values()) + INSTRUCTION_CYCLES * work.instructions


def _mixing_tilings(
    steps: Sequence[str], shape: tuple[int, int], config: AcceleratorConfig
) -> list[Cuts]:
    """Return the ways to cut the two steps of each mixing, the best one first."""
    names = [step.removesuffix(ALONG_TOKENS) for step in steps if step.endswith(ALONG_TOKENS)]
    found = rank_mixing(*shape, config) if names else []
    return [
        [{name + ALONG_FEATURES: cut.rows, name + ALONG_TOKENS: cut.columns} for cut in found]
        for name in names
        if found
    ]


def _dense_tilings(
    lower: LowerBlocks, steps: Sequence[str], tokens: int, config: AcceleratorConfig
) -> list[Cuts]:
    """Return the fewest parts in which the tokens go through each dense feed-forward part."""
    found: list[Cuts] = []
    for step in (step for step in steps if step.endswith(DENSE)):
        for parts in (count for count in range(1, tokens + 1) if tokens % count == 0):
            tiling = {step: Tiling(parts=parts)}
            graph = lower(tiling)[0][step]
            with suppress(NoRoomError):
                check_operations(graph, config)
                _cycles(graph, config)
                found.append([tiling])
                break
    return found


def rank_tilings(
    lower: LowerBlocks, steps: Sequence[str], tokens: int, config: AcceleratorConfig
) -> tuple[list[Cuts], int]:
    """Return the tilings of each of `steps`, the best one first, if nothing else is under way.

    Also how many were scheduled. There are no tilings if a step has no room in its smallest tiles.
    """
    found: dict[str, list[tuple[int, Tiling]]] = {step: [] for step in steps}
    last: dict[str, tuple[Node, ...]] = {}
    scheduled = 0
    for tiling in _tilings(tokens, config):
        graphs, _ = lower(dict.fromkeys(steps, tiling))
        for step in steps:
            graph = graphs[step]
            if graph.body == last.get(step):
                continue
            last[step] = graph.body
            scheduled += 1
            try:
                found[step].append((_cycles(graph, config), tiling))
            except NoRoomError:
                if not found[step]:
                    return [], scheduled
    ranked = [
        [{step: tiling} for _, tiling in sorted(items, key=lambda item: item[0])]
        for step, items in found.items()
    ]
    return ranked, scheduled


def _tilings(tokens: int, config: AcceleratorConfig) -> list[Tiling]:
    widths = [turns * config.lanes for turns in TURNS]
    useful = [width for width in widths if width == config.lanes or width < tokens]
    return [Tiling(width, depth) for width in useful for depth in DEPTHS]


def _cycles(graph: Graph, config: AcceleratorConfig) -> int:
    """Return how long a step takes."""
    ordered = schedule(expand(graph), config, PREFETCH[0])
    allocate(ordered, config)
    return max(operation.end for operation in ordered.operations())
