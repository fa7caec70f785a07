"""Choose a tiling: coordinate descent over the predicted cycles, or bytes where nothing fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..gir import WORD, Graph
from ..quantise import QuantisedLayer
from ..sparsity.kept import Kept
from .allocate import allocate, peak
from .attention import PROJECTION_UNBIASED
from .compress import SparseWeights, compress
from .expand import expand
from .feed_forward import CONTRACT_UNBIASED
from .flows import choose_flows
from .keep import KeepError, keep
from .lower import lower
from .memory import Memory
from .schedule import schedule_that_fits
from .tiling import Shape, Tiling

SWEEPS = 2
"""How often the descent goes over all fields of a tiling, at most."""

INSTRUCTION_CYCLES = 16
"""What an instruction more may cost, in fetch and in the margins of the model: few are better."""


BLOCKS = ("heads", "projection", "chunk", "contract", "query_rows", "depth", "prefetch")
"""The fields of a tiling that say how much is in the scratchpad at a time."""


@dataclass(frozen=True, order=True)
class Cost:
    """What a tiling costs: one that fits is better than one that does not, then the cycles.

    Parameters
    ----------
    excess : int
        Bytes beyond the scratchpad.
    cycles : int
        Predicted, and `INSTRUCTION_CYCLES` for each instruction.
    """

    excess: int
    cycles: int


REFUSED = Cost(1 << 62, 0)
"""Of a tiling whose blocks are not such as activations can be kept in."""


@dataclass(frozen=True)
class Choice:
    """The best tiling found.

    Parameters
    ----------
    tiling : Tiling
    cost : Cost
    candidates : int
        Tilings that were tried.
    ranking : tuple of Tiling
        Those that fit, the best one first.
    """

    tiling: Tiling
    cost: Cost
    candidates: int
    ranking: tuple[Tiling, ...]


def choose_tiling(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    config: AcceleratorConfig,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
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
    layers = _samples(layers, kept)
    options = _options(shape, config)
    costs: dict[Tiling, Cost] = {}

    def cost(tiling: Tiling) -> Cost:
        if tiling not in costs:
            costs[tiling] = evaluate(shape, layers, tiling, config, weights, kept)
        return costs[tiling]

    first = Tiling(**{name: values[0] for name, values in options.items()})
    best = _descend(first, options, cost)
    if cost(best).excess:
        best = _search_passes(shape, first, options, cost, config)
    if cost(best).excess:
        allocate(_scheduled(shape, layers, best, config, weights, kept), config)
    ranking = sorted((item for item in costs if not costs[item].excess), key=costs.__getitem__)
    return Choice(best, cost(best), len(costs), tuple(ranking))


def _samples(
    layers: Sequence[tuple[int, QuantisedLayer]], kept: Mapping[int, Kept]
) -> Sequence[tuple[int, QuantisedLayer]]:
    """Return two layers that show all kinds there are; of layers that keep some, the fullest."""
    dense = [layer for layer in layers if layer[0] not in kept]
    keeping = [layer for layer in layers if layer[0] in kept]
    if not dense or not keeping:
        return layers[:2]
    fullest = max(keeping, key=lambda layer: kept[layer[0]].term.share)
    return sorted((dense[0], fullest), key=layers.index)


def _search_passes(
    shape: Shape,
    first: Tiling,
    options: Mapping[str, list[Any]],
    cost: Callable[[Tiling], Cost],
    config: AcceleratorConfig,
) -> Tiling:
    """Return the best tiling that does not keep the residual stream, which moves more bytes.

    More passes leave more room for weights, but load them more often: as few as fit.
    """
    small = replace(
        first,
        keep_residual=False,
        **{name: min(filter(None, options[name])) for name in BLOCKS},
    )
    lengths = _pass_lengths(shape, config)
    for tokens in lengths:
        smallest = replace(small, tokens=tokens)
        if _least(shape, tokens, config) > config.scratchpad.bytes or cost(smallest).excess:
            continue
        best = _descend(replace(first, keep_residual=False, tokens=tokens), options, cost)
        return min(best, smallest, key=cost)
    return replace(small, tokens=lengths[-1])


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


def _descend(
    best: Tiling, options: Mapping[str, list[Any]], cost: Callable[[Tiling], Cost]
) -> Tiling:
    for sweep in range(SWEEPS):
        if sweep and best.keep_residual and cost(best).excess:
            break  # Nothing of that kind fits; one more sweep would only come nearer.
        before = best
        for name, values in options.items():
            best = min((replace(best, **{name: value}) for value in values), key=cost)
        if best == before:
            break
    return best


def evaluate(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    tiling: Tiling,
    config: AcceleratorConfig,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
) -> Cost:
    """Return the cost of `tiling`."""
    try:
        graph = _scheduled(shape, layers, tiling, config, weights, kept)
    except KeepError:
        return REFUSED
    operations = graph.operations()
    excess = max(0, peak(graph, config)[0] - config.scratchpad.bytes)
    if not excess:
        try:
            allocate(graph, config)
        except CompileError:
            excess = 1
    cycles = max(operation.end for operation in operations)
    return Cost(excess, cycles + INSTRUCTION_CYCLES * len(operations))


def _scheduled(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    tiling: Tiling,
    config: AcceleratorConfig,
    weights: SparseWeights | None,
    kept: Mapping[int, Kept],
) -> Graph:
    graph = keep(expand(lower(shape, layers, tiling, config)), kept, config)
    if weights is not None:
        graph = compress(graph, weights, config)
    return schedule_that_fits(choose_flows(graph, config), config, tiling.prefetch)


def _options(shape: Shape, config: AcceleratorConfig) -> dict[str, list[Any]]:
    """Return the values to try for each field of a tiling, the one to start from first.

    The fields come in the order in which they cost cycles least, if bytes are what is missing.
    """
    rows, columns = config.array.rows, config.array.columns
    beat = config.axi_bytes
    group = 4 * columns // shape.head_width
    return {
        "prefetch": [1024 * rows, 256 * rows],
        "projection": _nearest(_divisors(shape.hidden, columns), 8 * columns, 3),
        "chunk": _nearest(_divisors(shape.intermediate, beat), 8 * columns, 4),
        "contract": [0, *_nearest(_divisors(shape.hidden, columns), 8 * columns, 1)],
        "rows": [2 * rows, 4 * rows, 8 * rows, rows],
        "query_rows": [4 * rows, 8 * rows, 2 * rows, rows],
        "heads": _nearest(_divisors(shape.heads, 1), group, 4),
        "depth": [2, 1],
    }


def _divisors(size: int, multiple: int) -> Iterator[int]:
    """Yield the divisors of `size` that are multiples of `multiple`, and `size` itself."""
    yield from (step for step in range(multiple, size, multiple) if size % step == 0)
    yield size


def _nearest(values: Iterable[int], first: int, count: int) -> list[int]:
    """Return the `count` values nearest to `first`, by their distance."""
    return sorted(values, key=lambda value: (abs(value - first), value))[:count]
