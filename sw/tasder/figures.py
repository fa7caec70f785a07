"""What a choice costs a machine: multiply-adds, cycles, bytes and energy of linear layers.

The products of an encoder layer as the compiler makes them: activations and results stay in the
scratchpad, weights come from DRAM once, compressed where that saves cycles. Energy is that of the
events which the hardware would count (`sw.energy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ...hw.registers import COUNTERS
from ..energy import WORD_RESULTS, EnergyTable, default_table, measure_energy
from ..frontend.bert import BertModel
from ..gemm.cost import array_cycles, read_lines
from ..sparsity.dataflow import Dataflow
from ..sparsity.kept import Kept
from .choice import KeptInputs, Sparsity, kept_inputs_of
from .cost import LayerCost, dense_cost, kept_cost, series_cost, weights_cost
from .sparsify import linear_names, linear_of

TOKENS = 128
"""Tokens of a text, unless it is said."""

COMPRESSED = Dataflow.COLUMN_SPARSE_OUTPUT
NO_STEPS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


class Measure(Enum):
    """What a search spends as little of as it can."""

    MULTIPLY_ADDS = "multiply-adds"
    CYCLES = "cycles"
    BYTES = "bytes"
    ENERGY = "energy"
    EDP = "edp"


@dataclass(frozen=True)
class Figures:
    """Of one linear layer, or of several together.

    Parameters
    ----------
    multiply_adds : int
        Of the array, over its elements, for each tile of tokens: slots.
    cycles : int
        Of the array.
    bytes : int
        Of weights, from DRAM.
    energy : int
        Picojoules.
    """

    multiply_adds: int = 0
    cycles: int = 0
    bytes: int = 0
    energy: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.multiply_adds + other.multiply_adds,
            self.cycles + other.cycles,
            self.bytes + other.bytes,
            self.energy + other.energy,
        )

    @property
    def edp(self) -> int:
        """Energy times delay, in picojoules times cycles."""
        return self.energy * self.cycles

    def of(self, measure: Measure) -> int:
        """Return one of the figures."""
        return int(getattr(self, measure.name.lower()))

    def over(self, dense: Figures) -> dict[str, float]:
        """Return all figures over those of a dense model, by their names."""
        return {
            measure.name.lower(): round(self.of(measure) / dense.of(measure), 4)
            for measure in Measure
        }


class CostModel:
    """Predicts the figures of linear layers on one machine.

    Parameters
    ----------
    config : AcceleratorConfig
    tokens : int
        Rows of activations.
    table : EnergyTable, optional
        Energies of events; by default that of `energy.toml`.
    """

    def __init__(
        self, config: AcceleratorConfig, tokens: int = TOKENS, table: EnergyTable | None = None
    ) -> None:
        self.config, self.tokens = config, tokens
        self.table = default_table() if table is None else table

    def dense(self, n: int, k: int) -> Figures:
        """Return the figures of dense weights [n, k] in the flow that takes fewest cycles."""
        return self._dense(dense_cost(n, k, self.config.array), n, k)

    def taken(self, weight: NDArray, sparsity: Sparsity) -> Figures:
        """Return those of a layer that takes a series of its weights, or of its inputs, at most.

        Raises
        ------
        SparsityError
            If the machine's blocks do not hold it.
        """
        n, k = weight.shape
        if isinstance(sparsity, KeptInputs):
            return self._kept(sparsity, n, k)
        cost = series_cost(n, k, sparsity, self.config.array)
        # Every output keeps as many of a block as the block has slots.
        return self._compressed(cost, n, k, n * int(cost.steps[0]))

    def weights(self, weight: NDArray) -> Figures:
        """Return those of these very weights, compressed if they have any zero."""
        n, k = weight.shape
        cost = weights_cost(weight, self.config.array)
        return self._compressed(cost, n, k, int(np.count_nonzero(weight)))

    def dense_model(self, model: BertModel) -> Figures:
        """Return those of all linear layers of a model, dense."""
        shapes = (linear_of(model, name).weight.shape for name in linear_names(model))
        return sum((self.dense(*shape) for shape in shapes), start=Figures())

    def model(self, model: BertModel) -> Figures:
        """Return those of all linear layers as they are, with the inputs that are kept."""
        kept = kept_inputs_of(model)
        weights = {name: linear_of(model, name).weight for name in linear_names(model)}
        parts = (
            self.taken(weight, kept[name]) if name in kept else self.weights(weight)
            for name, weight in weights.items()
        )
        return sum(parts, start=Figures())

    def _dense(self, cost: LayerCost, n: int, k: int) -> Figures:
        flow, cycles = self._dense_flow(n, k)
        lines = read_lines(flow, self.tokens, n, k, self.config, NO_STEPS, 0)
        return self._figures(cost, n, cycles, lines, self.tokens * n * k)

    def _compressed(self, cost: LayerCost, n: int, k: int, used: int) -> Figures:
        """Return the figures of `used` non-zeros, compressed only where that saves cycles."""
        if not len(cost.steps):
            return self._dense(cost, n, k)
        operands = self.tokens, n, k, self.config, cost.steps, cost.bytes // WORD_BYTES
        cycles = array_cycles(COMPRESSED, *operands)
        if cycles >= self._dense_flow(n, k)[1]:
            dense = dense_cost(n, k, self.config.array)
            return self._dense(LayerCost(cost.slots, dense.bytes), n, k)
        return self._figures(cost, n, cycles, read_lines(COMPRESSED, *operands), self.tokens * used)

    def _kept(self, kept: KeptInputs, n: int, k: int) -> Figures:
        cost = kept_cost(n, k, kept.term, self.config.array)
        form = Kept(kept.term, self.config)
        tiles = -(-self.tokens // self.config.array.columns)
        steps = np.full(tiles, form.slots(k))
        operands = n, self.tokens, k, self.config, steps, form.words(self.tokens, k)
        cycles, lines = array_cycles(COMPRESSED, *operands), read_lines(COMPRESSED, *operands)
        return self._figures(cost, n, cycles, lines, self.tokens * n * form.slots(k))

    def _dense_flow(self, n: int, k: int) -> tuple[Dataflow, int]:
        """Return the dense flow of fewest cycles, and these; operands may be swapped."""
        limit = self.config.array.partial_rows
        found = {
            Dataflow.DENSE_OUTPUT: self._dense_cycles(Dataflow.DENSE_OUTPUT, self.tokens, n, k)
        }
        if limit:
            found[Dataflow.DENSE_WEIGHT] = min(
                sum(
                    self._dense_cycles(Dataflow.DENSE_WEIGHT, min(limit, rows - first), others, k)
                    for first in range(0, rows, limit)
                )
                for rows, others in ((self.tokens, n), (n, self.tokens))
            )
        return min(found.items(), key=lambda item: item[1])

    def _dense_cycles(self, flow: Dataflow, m: int, n: int, k: int) -> int:
        return array_cycles(flow, m, n, k, self.config, NO_STEPS, 0)

    def _figures(
        self, cost: LayerCost, n: int, cycles: int, lines: int, multiplies: int
    ) -> Figures:
        counted = dict.fromkeys((counter.name for counter in COUNTERS), 0) | {
            "cycles": cycles,
            "array_multiplies": multiplies,
            "array_read_lines": lines,
            "array_written_words": -(-self.tokens * n // WORD_RESULTS),
            "load_written_words": cost.bytes // WORD_BYTES,
            "dram_read_bytes": cost.bytes,
        }
        energy = measure_energy(counted, self.config, self.table)
        return Figures(cost.slots, cycles, cost.bytes, round(energy.total))
