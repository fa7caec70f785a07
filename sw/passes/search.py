"""Choose a tiling and an order: descent over the predicted cycles, or bytes where nothing fits.

The candidates of one layer are gone through first; the best of them are compared for two layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...hw.config import AcceleratorConfig
from ..quantise import QuantisedLayer
from ..sparsity.kept import Kept
from .allocate import allocate
from .compress import SparseWeights
from .evaluate import Evaluator
from .explore import Budget, Cost, Explorer
from .room import check_room
from .schedule import schedule_that_fits
from .spill import (
    check_least,
    holds_input,
    least,
    pass_lengths,
    pass_rows,
    spilled_options,
    spilled_tilings,
)
from .steps import block_rows, divisors, nearest
from .tiling import Shape, Tiling

DEFAULT_BUDGET = Budget()

LAYERS = 2
"""How many layers show all that there is, the step from one to the next included."""

FINALISTS = 3
"""Tilings that are compared for so many layers, after a search that looks at one."""

REFINEMENTS = 16
"""Further tilings that are looked at for so many layers where the step between them is long."""

LONG_STEP = 1.02
"""How many times as long as single layers two of them may take for their step not to be long."""

SHORT_STEP = 1.002
"""How many times as long they may take for no further tiling to be looked at."""

BLOCKS = ("prefetch", "projection", "chunk", "contract", "query_rows", "heads", "depth")
"""The fields of a tiling that say how much is in the scratchpad at a time."""

REFINED = tuple(dict.fromkeys(("prefetch", "depth", *BLOCKS)))
"""The same, first those that change most in the step from one layer to the next: when the loads of
the next layer may begin, and how many blocks are in flight."""


@dataclass(frozen=True)
class Choice:
    """The best tiling found.

    Parameters
    ----------
    tiling : Tiling
    cost : Cost
        Of two layers, or of the only one.
    candidates : int
        Tilings that were scheduled.
    ranking : tuple of Tiling
        Those that fit, the best one first.
    heuristic : Tiling
        What a fixed rule takes: `_options` begin with it, halved where it does not fit.
    heuristic_cost : Cost
    pruned : int
        Tilings left out, since they cannot be better.
    is_early : bool
        Whether the search ended because of the time that it took.
    """

    tiling: Tiling
    cost: Cost
    candidates: int
    ranking: tuple[Tiling, ...]
    heuristic: Tiling
    heuristic_cost: Cost
    pruned: int = 0
    is_early: bool = False

    @property
    def gain(self) -> float:
        """How many times as long the program of the fixed rule takes."""
        return self.heuristic_cost.cycles / max(1, self.cost.cycles)

    def figures(self) -> dict[str, Any]:
        """Return what the metadata of a program says of the search."""
        return {
            "candidates": self.candidates,
            "pruned": self.pruned,
            "search_gain": round(self.gain, 4),
            "search_ended_early": self.is_early,
        }


def choose_tiling(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    config: AcceleratorConfig,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
    budget: Budget = DEFAULT_BUDGET,
) -> Choice:
    """Return the best tiling that the search finds for two of `layers`.

    All layers have one shape, so that two show all that there is, the step from one to the next
    included: the first two, or one of each kind if some are in `kept`, which keep activations, and
    some are not. Weights of `weights` are compressed where that saves cycles.

    Raises
    ------
    CompileError
        If none fits the scratchpad.
    """
    check_least(shape, config)
    options = search_options(shape, config)
    samples = _samples(layers, kept)
    one = Evaluator(shape, samples if kept else samples[:1], config, weights, kept)
    explorer = Explorer(one.cost, one.bound, budget)
    two = Evaluator(shape, samples, config, weights, kept)
    first = first_tiling(options)
    if not holds_input(shape, config):
        first = replace(first, keep_input=False, keep_residual=False)
    heuristic = _shrunk(first, options, two)
    if two.cost(heuristic).excess:
        heuristic = _smallest(shape, first, options, two)
    if two.cost(heuristic).excess and first.keep_input:
        heuristic = _smallest(shape, replace(first, keep_input=False), options, two)
    if two.cost(heuristic).excess:
        graph = two.straight(heuristic)
        check_room(graph, shape.sequence, shape.hidden, config)
        allocate(schedule_that_fits(graph, config, heuristic.prefetch), config)
    if heuristic.tokens:
        _explore_passes(shape, heuristic, options, explorer, config)
    else:
        for start in dict.fromkeys((heuristic, first)):
            explorer.descend(start, options, _keeps_residual)
    ranking, costs = _finals(explorer.ranking(), heuristic, two)
    alone = len(samples) * explorer.best.cycles
    refining = replace(budget, candidates=len(costs) + REFINEMENTS)
    again = Explorer(two.cost, two.bound, refining, enough=int(SHORT_STEP * alone))
    again.costs, again.best = costs, costs[ranking[0]]
    candidates = len(explorer.costs) - len(costs)
    if budget.candidates > 1 and again.best.cycles > LONG_STEP * alone:
        again.descend(ranking[0], {name: options[name] for name in REFINED}, _keeps_residual)
        ranking = tuple(dict.fromkeys((*again.ranking(), *ranking)))
    return Choice(
        ranking[0],
        costs[ranking[0]],
        candidates + len(costs),
        ranking,
        heuristic,
        costs[heuristic],
        len(explorer.pruned),
        explorer.is_late or again.is_late,
    )


def _samples(
    layers: Sequence[tuple[int, QuantisedLayer]], kept: Mapping[int, Kept]
) -> Sequence[tuple[int, QuantisedLayer]]:
    """Return two layers that show all kinds there are; of layers that keep some, the fullest."""
    dense = [layer for layer in layers if layer[0] not in kept]
    keeping = [layer for layer in layers if layer[0] in kept]
    if not dense or not keeping:
        return layers[:LAYERS]
    fullest = max(keeping, key=lambda layer: kept[layer[0]].term.share)
    return sorted((dense[0], fullest), key=layers.index)


def _finals(
    ranking: Sequence[Tiling], heuristic: Tiling, evaluator: Evaluator
) -> tuple[tuple[Tiling, ...], dict[Tiling, Cost]]:
    """Return `ranking` with those first that are the best for more layers, and their costs."""
    costs = {heuristic: evaluator.cost(heuristic)}
    for number, tiling in enumerate(ranking):
        if number >= FINALISTS and not min(costs.values()).excess:
            break
        if tiling not in costs:
            costs[tiling] = evaluator.cost(tiling)
    return tuple(sorted(costs, key=costs.__getitem__)) + tuple(
        tiling for tiling in ranking if tiling not in costs
    ), costs


def _shrunk(first: Tiling, options: Mapping[str, Sequence[Any]], evaluator: Evaluator) -> Tiling:
    """Return `first` if it fits, or without the residual stream, which moves more bytes, and with
    as many fields at their smallest as make it fit, or all of them."""
    if not evaluator.cost(first).excess:
        return first
    tiling = replace(first, keep_residual=False)
    for name in BLOCKS:
        if not evaluator.cost(tiling).excess:
            break
        tiling = replace(tiling, **{name: _least_fields(options)[name]})
    return tiling


def _smallest(
    shape: Shape, first: Tiling, options: Mapping[str, Sequence[Any]], evaluator: Evaluator
) -> Tiling:
    """Return a tiling of smallest blocks in several passes over the tokens.

    More passes leave more room for weights, but load them more often: as few as fit.
    """
    config = evaluator.config
    small = replace(first, keep_residual=False, **_least_fields(options))
    for tokens in pass_lengths(shape, config):
        for keep_context in (True, False):
            smallest = replace(small, tokens=tokens, keep_context=keep_context)
            fits = least(shape, smallest, config) <= config.scratchpad.bytes
            if fits and not evaluator.cost(smallest).excess:
                return smallest
    return smallest


def _least_fields(options: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {name: min(filter(None, options[name])) for name in BLOCKS}


def _explore_passes(
    shape: Shape,
    heuristic: Tiling,
    options: Mapping[str, list[Any]],
    explorer: Explorer[Tiling],
    config: AcceleratorConfig,
) -> None:
    """Descend from the better of `heuristic` and blocks that are small, with as few passes over the
    tokens as these need."""
    spilled = spilled_options(shape, options, config)
    first = replace(first_tiling(spilled), keep_input=heuristic.keep_input)
    starts = spilled_tilings(shape, first, _least_fields(options), explorer.fits, config)
    start = min((*starts, heuristic), key=explorer.cost)
    options = spilled | {"rows": pass_rows(shape, start.tokens, config)}
    explorer.descend(start, options, _keeps_residual)


def _keeps_residual(tiling: Tiling) -> bool:
    """Return whether a tiling that does not fit has not left out yet what takes most room."""
    return tiling.keep_residual


def first_tiling(options: Mapping[str, Sequence[Any]]) -> Tiling:
    """Return the tiling to start from."""
    return Tiling(**{name: values[0] for name, values in options.items()})


def search_options(shape: Shape, config: AcceleratorConfig) -> dict[str, list[Any]]:
    """Return the values to try for each field of a tiling, the one to start from first.

    The fields come in the order in which they cost cycles least, if bytes are what is missing.
    """
    rows, columns = config.array.rows, config.array.columns
    beat = config.axi_bytes
    group = 4 * columns // shape.head_width
    return {
        "prefetch": [1024 * rows, 256 * rows],
        "critical_path": [False, True],
        "projection": nearest(divisors(shape.hidden, columns), 8 * columns, 3),
        "chunk": nearest(divisors(shape.intermediate, beat), 8 * columns, 4),
        "contract": [0, *nearest(divisors(shape.hidden, columns), 8 * columns, 1)],
        "rows": block_rows(shape.sequence, 2, config),
        "query_rows": block_rows(shape.longest, 4, config),
        "heads": nearest(divisors(shape.heads, 1), group, 4),
        "depth": [2, 1, 3],
    }
