"""Choose a tiling and an order: descent over the predicted cycles, or bytes where nothing fits.

The candidates of one layer are gone through first; the best of them are compared for two layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..gir import WORD
from ..quantise import QuantisedLayer
from ..sparsity.kept import Kept
from .allocate import allocate
from .attention import PROJECTION_UNBIASED
from .compress import SparseWeights
from .evaluate import Evaluator
from .explore import Budget, Cost, Explorer
from .feed_forward import CONTRACT_UNBIASED
from .memory import Memory
from .schedule import schedule_that_fits
from .tiling import Shape, Tiling

DEFAULT_BUDGET = Budget()

LAYERS = 2
"""How many layers show all that there is, the step from one to the next included."""

FINALISTS = 3
"""Tilings that are compared for so many layers, after a search that looks at one."""

BLOCKS = ("prefetch", "projection", "chunk", "contract", "query_rows", "heads", "depth")
"""The fields of a tiling that say how much is in the scratchpad at a time."""


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
    _check_least(shape, config)
    options = search_options(shape, config)
    samples = _samples(layers, kept)
    one = Evaluator(shape, samples if kept else samples[:1], config, weights, kept)
    explorer = Explorer(one.cost, one.bound, budget)
    two = Evaluator(shape, samples, config, weights, kept)
    first = first_tiling(options)
    heuristic = _shrunk(first, options, two)
    if two.cost(heuristic).excess:
        heuristic = _smallest(shape, first, options, two)
    if two.cost(heuristic).excess:
        graph = schedule_that_fits(two.straight(heuristic), config, heuristic.prefetch)
        allocate(graph, config)
    explorer.descend(heuristic, options)
    if heuristic.tokens:
        explorer.descend(replace(first, keep_residual=False, tokens=heuristic.tokens), options)
    elif heuristic != first:
        explorer.descend(first, options)
    ranking, costs = _finals(explorer.ranking(), heuristic, two)
    return Choice(
        ranking[0],
        costs[ranking[0]],
        len(explorer.costs),
        ranking,
        heuristic,
        costs[heuristic],
        len(explorer.pruned),
        explorer.is_late,
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
        tiling = replace(tiling, **{name: min(filter(None, options[name]))})
    return tiling


def _smallest(
    shape: Shape, first: Tiling, options: Mapping[str, Sequence[Any]], evaluator: Evaluator
) -> Tiling:
    """Return a tiling of smallest blocks in several passes over the tokens.

    More passes leave more room for weights, but load them more often: as few as fit.
    """
    small = {name: min(filter(None, options[name])) for name in BLOCKS}
    lengths = _pass_lengths(shape, evaluator.config)
    for tokens in lengths:
        smallest = replace(first, keep_residual=False, tokens=tokens, **small)
        if _least(shape, tokens, evaluator.config) > evaluator.config.scratchpad.bytes:
            continue
        if not evaluator.cost(smallest).excess:
            break
    return smallest


def _pass_lengths(shape: Shape, config: AcceleratorConfig) -> list[int]:
    """Return the tokens of one pass, of two passes, and so on; 0 stands for all."""
    rows = config.array.rows
    most = -(-shape.sequence // rows)
    lengths = {-(-most // passes) * rows: None for passes in range(1, most + 1)}
    return [length if length < shape.sequence else 0 for length in lengths]


def _least(shape: Shape, tokens: int, config: AcceleratorConfig) -> int:
    """Return the bytes that no tiling with passes of `tokens` tokens does without.

    The output projection holds the context of all tokens, the residual stream of those of a pass,
    and some weights; the feed-forward part holds that stream, its int8 copy and some weights of
    either product, and the context if another pass needs it.
    """
    memory = Memory(config)
    tokens = tokens or shape.sequence
    columns = min(shape.hidden, config.array.columns)
    chunk = min(shape.intermediate, config.axi_bytes)
    context = (
        memory.operand("context", shape.sequence, shape.hidden),
        memory.scales("context.scales", 1, shape.sequence),
        memory.scales("attention.scales", PROJECTION_UNBIASED + 1, shape.hidden),
    )
    residual = memory.results("residual", tokens, shape.hidden)
    projection = (*context, residual, memory.operand("projection", columns, shape.hidden))
    feed_forward = (
        *(context if tokens < shape.sequence else ()),
        residual,
        memory.operand("hidden", tokens, shape.hidden),
        memory.scales("expand.scales", 1, shape.intermediate),
        memory.scales("contract.scales", CONTRACT_UNBIASED + 1, shape.hidden),
        memory.operand("expand", chunk, shape.hidden),
        memory.operand("contract", columns, chunk),
    )
    return max(
        sum(buffer.size for buffer in buffers) * WORD for buffers in (projection, feed_forward)
    )


def _check_least(shape: Shape, config: AcceleratorConfig) -> None:
    """Refuse what no tiling can fit, without a search."""
    least = min(_least(shape, tokens, config) for tokens in _pass_lengths(shape, config))
    if least > config.scratchpad.bytes:
        raise CompileError(
            f"after attention: needs at least {least} bytes of scratchpad for {shape.sequence} "
            f"tokens of {shape.hidden} channels; the limit is {config.scratchpad.bytes}"
        )


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
        "projection": _nearest(_divisors(shape.hidden, columns), 8 * columns, 3),
        "chunk": _nearest(_divisors(shape.intermediate, beat), 8 * columns, 4),
        "contract": [0, *_nearest(_divisors(shape.hidden, columns), 8 * columns, 1)],
        "rows": [2 * rows, 4 * rows, 8 * rows, rows],
        "query_rows": [4 * rows, 8 * rows, 2 * rows, rows],
        "heads": _nearest(_divisors(shape.heads, 1), group, 4),
        "depth": [2, 1, 3],
    }


def _divisors(size: int, multiple: int) -> Iterator[int]:
    """Yield the divisors of `size` that are multiples of `multiple`, and `size` itself."""
    yield from (step for step in range(multiple, size, multiple) if size % step == 0)
    yield size


def _nearest(values: Iterable[int], first: int, count: int) -> list[int]:
    """Return the `count` values nearest to `first`, by their distance."""
    return sorted(values, key=lambda value: (abs(value - first), value))[:count]
