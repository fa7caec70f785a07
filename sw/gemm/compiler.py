"""Compile one product: choose the flow and the tiles, and take the graph to microcode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..gir import Graph
from ..gir_text import to_text
from ..gir_verify import verify
from ..package import package
from ..passes.allocate import allocate
from ..passes.schedule import schedule
from ..passes.synchronise import synchronise
from ..prediction import predict
from ..program import Program
from ..sparsity.dataflow import Dataflow
from ..sparsity.errors import SparsityError
from ..sparsity.steps import ideal_cycles
from .compressed import Compressed, compress
from .flows import SPARSE_FLOWS, is_stationary
from .lower import Lowered, lower
from .matrices import activations_of, check_sizes, check_values, quantise
from .problem import Gemm
from .prune import Pruning, prune
from .tiles import Planner, Tiling

PASSES = ("lower", "schedule", "allocate", "synchronise")
"""The passes, in order; `dump_after` takes one of these names."""

TRIED = 2
"""Tilings of a flow whose graphs are built, the best by the planner first."""

FAR_AHEAD = 1 << 40
"""Loads may run ahead as far as there are copies of their buffers."""


@dataclass(frozen=True)
class CompiledGemm:
    """A program and what it computes.

    Parameters
    ----------
    program : Program
        Output ``output``, int16 [m, n]; input ``input``, int8 [m, k], unless the activations
        are constants.
    gemm : Gemm
    predicted : mapping
        Predicted cycles of each flow that was tried, or why it cannot run.
    """

    program: Program
    gemm: Gemm
    predicted: Mapping[Dataflow, int | str]

    @property
    def inputs(self) -> dict[str, NDArray]:
        """The activations that were given, as the program takes them."""
        return {tensor.name: self.gemm.activations for tensor in self.program.inputs}


@dataclass(frozen=True)
class _Built:
    """A flow taken through all passes."""

    gemm: Gemm
    compressed: Compressed | None
    tiling: Tiling
    lowered: Lowered
    graph: Graph
    cycles: int


def compile_gemm(
    weights: NDArray,
    activations: NDArray,
    config: AcceleratorConfig,
    *,
    flows: Sequence[Dataflow] = tuple(Dataflow),
    swapped: bool = False,
    pruning: Pruning | None = None,
    depths: tuple[int, ...] = (2, 1),
    dump_after: str | None = None,
    dump: Callable[[str], None] = print,
) -> CompiledGemm:
    """Compile ``Y[m, n] = activations · weightsᵀ``.

    Parameters
    ----------
    weights : [n, k]
        int8 numbers as they are; floats are quantised with a scale a row, which the results carry.
    activations : int8 numbers [m, k]
        What the program is to be tried with; constants of the program where they are compressed.
    config : AcceleratorConfig
    flows : sequence of Dataflow
        Of these the one with the fewest predicted cycles is taken.
    swapped : bool
        Exchange the roles of the operands: sparse flows compress the activations.
    pruning : Pruning, optional
        How to prune the compressed operand before it is quantised; dense flows are left out then.
    depths : tuple of int
        Copies of tiles that may be tried: 2 loads one while another is used; with 1 alone the
        array has the scratchpad for itself.
    dump_after : str, optional
        One of `PASSES`; the text of the graph after that pass goes to `dump`.

    Raises
    ------
    CompileError
        If a matrix is not finite numbers of 1 to 65535 each way, the operands differ in k, or no
        flow can run; the message names figure and limit.
    """
    if dump_after is not None and dump_after not in PASSES:
        raise CompileError(f"dump_after must be one of {', '.join(PASSES)}, not {dump_after!r}")
    _check(weights, activations)
    given = activations_of(activations)
    if pruning is not None:
        flows = [flow for flow in flows if flow in pruning.flows()] or list(flows)
    built: dict[Dataflow, _Built] = {}
    predicted: dict[Dataflow, int | str] = {}
    for flow in flows:
        try:
            gemm = _gemm(weights, given, flow, swapped, pruning, config)
            built[flow] = _build(gemm, config, depths)
            predicted[flow] = built[flow].cycles
        except CompileError as error:
            predicted[flow] = str(error)
    if not built:
        raise CompileError(next(str(reason) for reason in predicted.values()))
    best = min(built.values(), key=lambda item: item.cycles)
    if dump_after is not None:
        dump(to_text(_passes(best.lowered.graph, config)[dump_after]))
    metadata = {
        **_describe(best, config),
        "pruning": pruning.scheme if pruning else "",
        "relative_error": _relative_error(best.gemm, given, weights),
    }
    program = package(best.graph, best.lowered.constants, (0, best.gemm.fraction), metadata, config)
    return CompiledGemm(program, best.gemm, predicted)


def _check(weights: NDArray, activations: NDArray) -> None:
    for name, matrix in (("weights", weights), ("activations", activations)):
        if matrix.ndim != 2:
            raise CompileError(f"{name} must have 2 axes, not {matrix.ndim}")
    (n, k), m = weights.shape, len(activations)
    check_sizes(m, n, k)
    check_values(weights, (n, k), "weights")
    check_values(activations, (m, k), "activations")


def _gemm(
    weights: NDArray,
    activations: NDArray[np.int8],
    flow: Dataflow,
    swapped: bool,
    pruning: Pruning | None,
    config: AcceleratorConfig,
) -> Gemm:
    _check_flow(flow, weights.shape[1], config)
    if pruning is not None and swapped:
        activations = prune(activations, flow, pruning, config.array)
    elif pruning is not None:
        weights = prune(weights, flow, pruning, config.array)
    quantised = quantise(weights, "weights")
    return Gemm(quantised.values, quantised.scales, activations, flow, swapped)


def _check_flow(flow: Dataflow, k: int, config: AcceleratorConfig) -> None:
    """Refuse a flow that the machine does not have, or not for so many inputs."""
    array = config.array
    if flow in SPARSE_FLOWS and array.block == 1:
        raise CompileError(f"{flow}: needs array.block of 4, 8 or 16, not 1")
    if is_stationary(flow) and array.partial_rows == 0:
        raise CompileError(f"{flow}: needs array.partial_rows of at least 16, not 0")
    limit = array.block * array.panel_blocks
    if flow in (Dataflow.SPARSE_OUTPUT, Dataflow.COLUMN_SPARSE_OUTPUT) and k > limit:
        raise CompileError(
            f"{flow}: k must be at most array.block x array.panel_blocks = {limit}, not {k}"
        )


def _build(gemm: Gemm, config: AcceleratorConfig, depths: tuple[int, ...]) -> _Built:
    """Return `gemm` with the best of some tilings, judged by the simulation of its units."""
    compressed = None
    if gemm.compressed_role is not None:
        try:
            compressed = compress(gemm.flow, gemm.operand(gemm.compressed_role), config.array)
        except SparsityError as error:
            raise CompileError(f"{gemm.flow}: {error}") from None
    planner = Planner(gemm, compressed, config)
    results = (
        _Built(gemm, compressed, tiling, lowered, graph, predict(graph, config).cycles)
        for tiling, lowered, graph in _graphs(planner, gemm, config, depths)
    )
    return min(islice(results, TRIED), key=lambda item: item.cycles)


def _graphs(
    planner: Planner, gemm: Gemm, config: AcceleratorConfig, depths: tuple[int, ...]
) -> Iterator[tuple[Tiling, Lowered, Graph]]:
    """Yield tilings that fit with their graphs; the last failure is raised if none does."""
    failure = None
    found = False
    for candidate in planner.candidates(depths):
        try:
            lowered = lower(gemm, candidate.tiling, planner, config)
            graph = _passes(lowered.graph, config)[PASSES[-1]]
        except ValueError as error:
            failure = CompileError(f"{gemm.flow}: {error}")
            continue
        found = True
        yield candidate.tiling, lowered, graph
    if not found:
        assert failure is not None
        raise failure


def _passes(graph: Graph, config: AcceleratorConfig) -> dict[str, Graph]:
    """Return the graph after each pass."""
    scheduled = schedule(graph, config, FAR_AHEAD)
    allocated = allocate(scheduled, config)
    synchronised = synchronise(allocated, config)
    verify(synchronised, config)
    return dict(zip(PASSES, (graph, scheduled, allocated, synchronised), strict=True))


def _describe(built: _Built, config: AcceleratorConfig) -> dict[str, Any]:
    gemm, array = built.gemm, config.array
    role = gemm.compressed_role
    if role is None or built.compressed is None:
        ideal = -(-gemm.m * gemm.n * gemm.k // (array.rows * array.columns))
        sizes = {}
        density = 1.0
    else:
        matrix = gemm.operand(role)
        others = gemm.n if gemm.compresses_activations else gemm.m
        ideal = ideal_cycles(gemm.flow, matrix, others, array.rows, array.columns, array.block)
        size = built.compressed.size
        sizes = {"compressed_bytes": size.total, "dense_bytes": size.dense}
        density = float(np.count_nonzero(matrix) / matrix.size)
    return {
        "m": gemm.m,
        "n": gemm.n,
        "k": gemm.k,
        "flow": gemm.flow.value,
        "swapped": gemm.swapped,
        "density": round(density, 6),
        **sizes,
        "tiles": [built.tiling.a, built.tiling.b],
        "ideal_cycles": ideal,
        "predicted_cycles": built.cycles,
        "labels": [item.product for item in built.graph.operations()],
    }


def _relative_error(gemm: Gemm, activations: NDArray[np.int8], weights: NDArray) -> float:
    """Return the norm of what pruning and quantisation change in the product, over its norm."""
    wanted = activations.astype(np.float64) @ weights.astype(np.float64).T
    scaled = gemm.weights * gemm.weight_scales[:, None]
    error = gemm.activations.astype(np.float64) @ scaled.T - wanted
    norm = float(np.linalg.norm(wanted))
    return round(float(np.linalg.norm(error)) / norm, 6) if norm else 0.0
