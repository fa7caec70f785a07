"""What a tiling costs by the cost model: bytes beyond the scratchpad, or cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from ...hw.config import AcceleratorConfig
from ...hw.isa import Unit
from ..gir import Graph
from ..quantise import QuantisedLayer
from ..sparsity.kept import Kept
from .allocate import peak
from .bound import least_work
from .compress import SparseWeights, compress
from .expand import expand
from .explore import Cost
from .flows import choose_flows
from .keep import KeepError, keep
from .lower import lower
from .room import least_bytes
from .schedule import Plan, fit
from .tiling import Shape, Tiling

INSTRUCTION_CYCLES = 16
"""What an instruction more may cost, in fetch and in the margins of the model: few are better."""

PLANS = 8
"""Graphs that are kept, so that another order of the same one takes less time."""


REFUSED = Cost(1 << 62, 0)
"""Of a tiling whose blocks are not such as activations can be kept in."""


class Evaluator:
    """Lowers, schedules and allocates layers for any tiling.

    Parameters
    ----------
    shape : Shape
    layers : sequence of tuple
        Number and quantised form of each.
    config : AcceleratorConfig
    weights : SparseWeights, optional
        Those that are compressed where that saves cycles.
    kept : mapping of int to Kept
        What layers keep of the inputs of their contractions.
    """

    def __init__(
        self,
        shape: Shape,
        layers: Sequence[tuple[int, QuantisedLayer]],
        config: AcceleratorConfig,
        weights: SparseWeights | None = None,
        kept: Mapping[int, Kept] = MappingProxyType({}),
    ) -> None:
        self.shape, self.layers = shape, layers
        self.config, self.weights, self.kept = config, weights, kept
        self._plan = lru_cache(PLANS)(self._make_plan)
        self._costs: dict[Tiling, Cost] = {}

    def cost(self, tiling: Tiling) -> Cost:
        """Return the cost of `tiling`; without cycles if the program's own order does not fit."""
        if tiling not in self._costs:
            self._costs[tiling] = self._evaluate(tiling)
        return self._costs[tiling]

    def _evaluate(self, tiling: Tiling) -> Cost:
        try:
            plan = self._plan(_cut(tiling))
        except KeepError:
            return REFUSED
        limit = self.config.scratchpad.bytes
        if isinstance(plan, int):
            return Cost(plan - limit, 0)
        graph, allocated = fit(plan, tiling.prefetch, critical_path=tiling.critical_path)
        excess = 0 if allocated else max(1, peak(graph, self.config)[0] - limit)
        cycles = max(operation.end for operation in graph.operations())
        return Cost(excess, cycles + INSTRUCTION_CYCLES * len(plan.operations))

    def bound(self, tiling: Tiling) -> int:
        """Return cycles below which the cost of `tiling` cannot lie."""
        work = least_work(lower(self.shape, self.layers, tiling, self.config), self.config)
        if self.weights is not None or self.kept:
            del work.units[Unit.ARRAY]  # Of compressed operands only other passes know it.
        return max(work.units.values()) + INSTRUCTION_CYCLES * work.instructions

    def straight(self, tiling: Tiling) -> Graph:
        """Return the graph of `tiling` before it is scheduled."""
        graph = expand(lower(self.shape, self.layers, tiling, self.config))
        graph = keep(graph, self.kept, self.config)
        if self.weights is not None:
            graph = compress(graph, self.weights, self.config)
        return choose_flows(graph, self.config)

    def _make_plan(self, tiling: Tiling) -> Plan | int:
        """Return what orders of the graph have in common, or its bytes if these are too many."""
        graph = self.straight(tiling)
        needed = least_bytes(graph, self.config)
        return needed if needed > self.config.scratchpad.bytes else Plan(graph, self.config)


def _cut(tiling: Tiling) -> Tiling:
    """Return `tiling` without what concerns the order of operations only."""
    return replace(tiling, prefetch=0, critical_path=False)
