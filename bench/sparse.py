"""Sparse products: how much of what a flow may skip is time and energy that is saved.

The feed-forward weights of all-MiniLM-L6-v2, pruned for a flow, or weights in the shapes of
BERT-base of which 95 % are zero, on activations of random numbers.
Each matrix is multiplied twice: with resident operands, as many as fit at a time, where the
hardware's counter `array_busy` holds the cycles of the array and nothing else; and, unless that is
all that is asked for, from DRAM with loads and stores beside the array, where all cycles count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.energy import EnergyTable, default_table
from ..sw.frontend.bert import BertModel
from ..sw.gemm.compiler import CompiledGemm, compile_gemm
from ..sw.gemm.flows import DENSE_TWIN, SPARSE_FLOWS
from ..sw.gemm.matrices import random_activations
from ..sw.gemm.prune import Pruning, prune
from ..sw.sparsity.dataflow import Dataflow
from ..sw.sparsity.order import fullest_first
from ..sw.sparsity.prune import prune_unstructured
from ..sw.sparsity.steps import ideal_cycles
from ..sw.sparsity.tasd import parse_series
from .energy import energy_figures, improvement
from .remembered import remembered_run
from .resident import Resident

COLUMN_SPARSE = Dataflow.COLUMN_SPARSE_OUTPUT

TOKENS = 128
QUICK_DENSITIES = (0.1, 0.5)
DENSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PATTERNS = ("1:8", "1:4", "2:4", "4:8")
SERIES = ("4:8+1:8", "2:4+1:8", "2:4+2:8")
UNSTRUCTURED = (0.1, 0.05)
"""Shares of weights that stay, without any structure."""

PRUNED = 0.05
"""Share of the weights that stay in the cases of `pruned_cases`, without any structure."""

PRUNED_SHAPES = {"query": (768, 768), "expand": (3072, 768), "contract": (768, 3072)}
"""Weights [n, k] of BERT-base."""

PRUNED_SERIES = ("1:8", "2:16", "1:4", "4:16", "2:8+1:16")
"""Series that pruned weights are decomposed into; they drop some of them."""

MATRICES = ("expand", "contract")
SEED = 1


@dataclass(frozen=True)
class Scheme:
    """How a matrix is made sparse, and the flow that uses it.

    Parameters
    ----------
    flow : Dataflow
    name : str
        ``magnitude``, shaped to the flow; ``unstructured``; or a series of N:M terms.
    density : float, optional
        Share that stays; a series has none.
    """

    flow: Dataflow
    name: str
    density: float | None = None

    @property
    def text(self) -> str:
        """The name, with the density if there is one."""
        return self.name if self.density is None else f"{self.name} {self.density:g}"

    def apply(self, weights: NDArray, config: AcceleratorConfig) -> NDArray:
        """Return `weights` [n, k] with zeros.

        Unstructured weights come in falling order of the fullness of their outputs.
        """
        if self.name == "unstructured":
            assert self.density is not None
            pruned = prune_unstructured(weights, self.density)
            return pruned[fullest_first(pruned)]
        series = () if self.density is not None else parse_series(self.name)
        return prune(weights, self.flow, Pruning(self.density, series), config.array)

    def reference(self, weights: NDArray, config: AcceleratorConfig) -> NDArray:
        """Return `weights` in the order of outputs that `apply` gives."""
        if self.name == "unstructured":
            assert self.density is not None
            return weights[fullest_first(prune_unstructured(weights, self.density))]
        return weights


def shaped(densities: Iterable[float]) -> Iterator[Scheme]:
    """Yield weights pruned for every flow, each to all of `densities`."""
    for density in densities:
        for flow in SPARSE_FLOWS:
            yield Scheme(flow, "magnitude", density)


def schemes(*, complete: bool, block: int) -> Iterator[Scheme]:
    """Yield what is measured on each matrix; `block` is the array's, which bounds N:M terms."""
    yield from shaped(DENSITIES if complete else QUICK_DENSITIES)
    for name in (*PATTERNS, *SERIES):
        if all(block % term.m == 0 for term in parse_series(name)):
            yield Scheme(COLUMN_SPARSE, name)
    for density in UNSTRUCTURED:
        yield Scheme(COLUMN_SPARSE, "unstructured", density)


@dataclass(frozen=True)
class SparseCase:
    """One matrix of a model.

    Parameters
    ----------
    name : str
    weights : float [n, k]
    """

    name: str
    weights: NDArray


def cases(model: BertModel, layers: Sequence[int] | None = None) -> list[SparseCase]:
    """Return the feed-forward weights of `layers`, or the first matrix of layer 0."""
    names = MATRICES[:1] if layers is None else MATRICES
    return [
        SparseCase(f"minilm {layer}.{name}", getattr(model.layers[layer], name).weight)
        for layer in layers or (0,)
        for name in names
    ]


def pruned_schemes(*, block: int) -> Iterator[Scheme]:
    """Yield what is measured on each matrix of `pruned_cases`: as it is, and as series."""
    yield Scheme(COLUMN_SPARSE, "unstructured", PRUNED)
    for name in PRUNED_SERIES:
        if all(block % term.m == 0 for term in parse_series(name)):
            yield Scheme(COLUMN_SPARSE, name)


def pruned_cases(*, complete: bool) -> list[SparseCase]:
    """Return normal random weights in the shapes of BERT-base, pruned by magnitude.

    All shapes, or the first two.
    """
    shapes = [*PRUNED_SHAPES.items()][: None if complete else 2]
    generator = np.random.default_rng(SEED)
    return [
        SparseCase(f"bert-base {name}", prune_unstructured(generator.normal(size=shape), PRUNED))
        for name, shape in shapes
    ]


@dataclass(frozen=True)
class Whole:
    """A product from DRAM to DRAM.

    Parameters
    ----------
    cycles : int
        All cycles that the hardware counted.
    predicted : int
        The same by the compiler's model.
    energy : mapping
        `energy_figures` of the run.
    """

    cycles: int
    predicted: int
    energy: Mapping[str, Any]


@dataclass(frozen=True)
class Timing:
    """What the hardware counted.

    Parameters
    ----------
    array : int
        Cycles of the array alone, operands resident.
    mismatches : int
        Elements of all runs that differ from the golden model's.
    whole : Whole, optional
        The product from DRAM to DRAM, if it was measured.
    """

    array: int
    mismatches: int
    whole: Whole | None


class SparseBench:
    """Measures schemes on one machine.

    Dense products are measured once a shape and flow: what the machine does in a dense flow does
    not depend on the numbers. Runs are kept by content, so that a measurement that was cut goes on
    where it was.

    Parameters
    ----------
    config : AcceleratorConfig
    library : Path
        From `execute.build_library`.
    tokens : int
        Rows of activations.
    energies : EnergyTable, optional
        Those of 45 nm unless given.
    resident : bool
        Whether products run with resident operands only, which takes half the time.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        library: Path,
        tokens: int = TOKENS,
        energies: EnergyTable | None = None,
        *,
        resident: bool = False,
    ) -> None:
        self.config, self.library, self.tokens = config, library, tokens
        self.energies = energies or default_table()
        self.resident = resident
        self._dense: dict[tuple[Dataflow, tuple[int, ...]], Timing] = {}

    def measure(self, case: SparseCase, scheme: Scheme) -> dict[str, Any]:
        """Return the record of one matrix and scheme.

        Returns
        -------
        dict
            ``bench, preset, case, flow, scheme, density, cycles, ideal_cycles, utilization,
            dense_cycles, speedup, ideal_speedup, compressed_bytes, dense_bytes, relative_error,
            mismatches``, and of whole products ``layer_cycles, predicted_cycles,
            dense_layer_cycles, layer_speedup, energy_pj, edp, energy_parts, dense_energy_pj,
            dense_edp, edp_improvement``.
            `ideal_cycles` is what the flow's own skip rule leaves, `dense_cycles` the measured
            time of its dense twin, `layer_` stands for whole products from DRAM to DRAM, whose
            cycles the compiler predicts and to which energies belong, `edp_improvement` is the
            share of the energy-delay product of the dense twin that is saved, and
            `relative_error` is that of the product, pruning and quantisation together.

        Raises
        ------
        CompileError, DeviceError, DriverError, SimulationError
        """
        weights = scheme.apply(case.weights, self.config)
        compiled = self._compile(weights, scheme.flow)
        timing = self._time(compiled)
        twin = DENSE_TWIN[scheme.flow]
        dense = self._time_dense(case.weights, twin)
        metadata = compiled.program.metadata
        ideal = metadata["ideal_cycles"]
        array = self.config.array
        ideal_dense = ideal_cycles(
            twin, compiled.gemm.weights, self.tokens, array.rows, array.columns, array.block
        )
        return {
            "bench": "sparse",
            "preset": self.config.name,
            "case": case.name,
            "flow": scheme.flow.value,
            "scheme": scheme.text,
            "density": metadata["density"],
            "cycles": timing.array,
            "ideal_cycles": ideal,
            "utilization": round(ideal / timing.array, 4),
            "dense_cycles": dense.array,
            "speedup": round(dense.array / timing.array, 4),
            "ideal_speedup": round(ideal_dense / ideal, 4),
            "compressed_bytes": metadata["compressed_bytes"],
            "dense_bytes": metadata["dense_bytes"],
            "relative_error": self._error(compiled, scheme.reference(case.weights, self.config)),
            "mismatches": timing.mismatches + dense.mismatches,
            **_whole_figures(timing.whole, dense.whole),
        }

    def _time_dense(self, weights: NDArray, flow: Dataflow) -> Timing:
        key = flow, weights.shape
        if key not in self._dense:
            self._dense[key] = self._time(self._compile(weights, flow))
        return self._dense[key]

    def _compile(self, weights: NDArray, flow: Dataflow) -> CompiledGemm:
        activations = random_activations(self.tokens, weights.shape[1], SEED)
        return compile_gemm(weights, activations, self.config, flows=[flow])

    def _time(self, compiled: CompiledGemm) -> Timing:
        alone = [
            remembered_run(program, inputs, self.library)
            for program, inputs in Resident(compiled.gemm, self.config).programs()
        ]
        cycles = sum(run.counters["array_busy"] for run in alone)
        wrong = sum(run.mismatches for run in alone)
        if self.resident:
            return Timing(cycles, wrong, None)
        run = remembered_run(compiled.program, compiled.inputs, self.library)
        whole = Whole(
            run.counters["cycles"],
            compiled.program.metadata["predicted_cycles"],
            energy_figures(run.counters, self.config, self.energies),
        )
        return Timing(cycles, wrong + run.mismatches, whole)

    @staticmethod
    def _error(compiled: CompiledGemm, reference: NDArray) -> float:
        product = compiled.gemm
        exact = product.activations.astype(np.float64)
        wanted = exact @ reference.astype(np.float64).T
        found = exact @ (product.weights * product.weight_scales[:, None]).T
        return round(float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)), 6)


def _whole_figures(sparse: Whole | None, dense: Whole | None) -> dict[str, Any]:
    """Return the figures of whole products, empty unless both were measured."""
    if sparse is None or dense is None:
        return {}
    return {
        "layer_cycles": sparse.cycles,
        "predicted_cycles": sparse.predicted,
        "dense_layer_cycles": dense.cycles,
        "layer_speedup": round(dense.cycles / sparse.cycles, 4),
        **sparse.energy,
        "dense_energy_pj": dense.energy["energy_pj"],
        "dense_edp": dense.energy["edp"],
        "edp_improvement": improvement(sparse.energy["edp"], dense.energy["edp"]),
    }


def summary(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what records of several matrices have in common, by flow and scheme.

    Returns
    -------
    list of dict
        ``flow, scheme, cases, least_utilization, mean_utilization, least_speedup, mean_speedup``,
        in the order in which flows and schemes first occur.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["flow"], record["scheme"]), []).append(record)
    rows = []
    for (flow, scheme), group in groups.items():
        row: dict[str, Any] = {"flow": flow, "scheme": scheme, "cases": len(group)}
        for name in ("utilization", "speedup"):
            values = [record[name] for record in group]
            row |= {f"least_{name}": min(values), f"mean_{name}": round(fmean(values), 4)}
        rows.append(row)
    return rows
