"""Choose a tiling: coordinate descent over the predicted cycles, or bytes where nothing fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..quantise import QuantisedLayer
from .allocate import allocate, peak
from .expand import expand
from .lower import lower
from .schedule import schedule
from .tiling import Shape, Tiling

SWEEPS = 2
"""How often the descent goes over all fields of a tiling."""


@dataclass(frozen=True, order=True)
class Cost:
    """What a tiling costs: one that fits is better than one that does not, then the figure.

    Parameters
    ----------
    excess : int
        Bytes beyond the scratchpad.
    cycles : int
        Predicted.
    instructions : int
    """

    excess: int
    cycles: int
    instructions: int


@dataclass(frozen=True)
class Choice:
    """The best tiling found.

    Parameters
    ----------
    tiling : Tiling
    cost : Cost
    candidates : int
        Tilings that were tried.
    """

    tiling: Tiling
    cost: Cost
    candidates: int


def choose_tiling(
    shape: Shape, layers: Sequence[tuple[int, QuantisedLayer]], config: AcceleratorConfig
) -> Choice:
    """Return the best tiling that the search finds.

    Raises
    ------
    CompileError
        If none fits the scratchpad.
    """
    options = _options(shape, config)
    costs: dict[Tiling, Cost] = {}

    def cost(tiling: Tiling) -> Cost:
        if tiling not in costs:
            costs[tiling] = evaluate(shape, layers, tiling, config)
        return costs[tiling]

    best = Tiling(**{name: values[0] for name, values in options.items()})
    for keep in (True, False):
        # Without the residual in the scratchpad more bytes are moved: only where nothing else fits.
        best = _descend(replace(best, keep_residual=keep), options, cost)
        if not cost(best).excess:
            break
    if cost(best).excess:
        graph = schedule(expand(lower(shape, layers, best, config)), config, best.prefetch)
        allocate(graph, config)
    return Choice(best, cost(best), len(costs))


def _descend(
    best: Tiling, options: Mapping[str, list[int]], cost: Callable[[Tiling], Cost]
) -> Tiling:
    for _ in range(SWEEPS):
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
) -> Cost:
    """Return the cost of `tiling`."""
    graph = schedule(expand(lower(shape, layers, tiling, config)), config, tiling.prefetch)
    operations = graph.operations()
    excess = max(0, peak(graph, config)[0] - config.scratchpad.bytes)
    if not excess:
        try:
            allocate(graph, config)
        except CompileError:
            excess = 1
    return Cost(excess, max(operation.end for operation in operations), len(operations))


def _options(shape: Shape, config: AcceleratorConfig) -> dict[str, list[int]]:
    """Return the values to try for each field of a tiling, the first to start from first."""
    rows, columns = config.array.rows, config.array.columns
    beat = config.axi_bytes
    return {
        "heads": _ordered(
            (count for count in range(1, shape.heads + 1) if shape.heads % count == 0),
            4 * columns // shape.head_width,
        ),
        "query_rows": _ordered((rows << power for power in range(5)), 4 * rows),
        "rows": _ordered((rows << power for power in range(4)), 2 * rows),
        "chunk": _ordered(_divisors(shape.intermediate, beat, 24 * columns), 8 * columns),
        "projection": _ordered(_divisors(shape.hidden, columns, 24 * columns), 8 * columns),
        "depth": [2, 1],
        "prefetch": [16384, 8192, 4096],
    }


def _divisors(size: int, multiple: int, limit: int) -> Iterator[int]:
    if size <= multiple:
        yield size
    for step in range(multiple, min(size, limit) + 1, multiple):
        if size % step == 0:
            yield step


def _ordered(values: Iterable[int], first: int) -> list[int]:
    """Return `values` by their distance from `first`."""
    return sorted(set(values), key=lambda value: (abs(value - first), value))
