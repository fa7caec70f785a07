"""`ageha bench gemm` and `ageha bench sparse`: single products on the simulated Verilog."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...bench.activations import INPUTS, OUTPUTS, ActivationBench, ActivationCase
from ...bench.activations import SERIES as ACTIVATION_SERIES
from ...bench.activations import TOKENS as ACTIVATION_TOKENS
from ...bench.gemm import CASES, LARGE_CASES, GemmCase, measure_gemm
from ...bench.scale_sim import ScaleSimError, reference_cycles
from ...bench.sparse import (
    TOKENS,
    SparseBench,
    cases,
    pruned_cases,
    pruned_schemes,
    schemes,
    shaped,
    summary,
)
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.bert import load
from ...sw.gemm.flows import DENSE_FLOWS, is_stationary
from ...sw.gemm.matrices import check_sizes
from ...sw.sparsity.dataflow import Dataflow
from ...sw.sparsity.errors import SparsityError
from ...sw.sparsity.kept import Kept, single_term
from ...sw.sparsity.tasd import parse_series
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..layers import ALL, parse_layers
from ..options import ConfigFile, EnergyFile, JsonFile, Preset, Settings, energies, machine
from ..output import require_writable, write_json
from ..simulator import simulator

GEMM_COLUMNS = ("case", "flow", "cycles", "utilization", "folds", "reference_cycles", "speedup")
SPARSE_COLUMNS = (
    "case",
    "flow",
    "scheme",
    "density",
    "cycles",
    "dense_cycles",
    "speedup",
    "ideal_speedup",
    "layer_speedup",
    "edp_improvement",
    "relative_error",
)
SUMMARY_COLUMNS = (
    "flow",
    "scheme",
    "cases",
    "least_utilization",
    "mean_utilization",
    "least_speedup",
    "mean_speedup",
)

LEAST_DENSITY = 0.01
"""A matrix without any weight left has no speed-up."""

ACTIVATION_COLUMNS = (
    "case",
    "series",
    "cycles",
    "utilization",
    "speedup",
    "ideal_speedup",
    "vector_cycles",
    "dense_vector_cycles",
    "words",
    "relative_error",
)


class WeightsChoice(Enum):
    """Whose weights `bench sparse` multiplies with."""

    MINILM = "minilm"
    BERT_BASE = "bert-base"


Complete = Annotated[
    bool, typer.Option("--all", help="Everything, which takes long, and not a choice of minutes.")
]


def parse_shape(text: str) -> GemmCase:
    """Return the case in a text such as ``128x384x384``.

    Raises
    ------
    InputError
        If it is something else, or a size is not from 1 to 65535.
    """
    sizes = text.split("x")
    if len(sizes) != 3 or not all(size.isascii() and size.isdigit() for size in sizes):
        raise InputError(f"--shape must be MxNxK such as 128x384x384, not {text!r}")
    m, n, k = map(int, sizes)
    with input_errors(CompileError, prefix=f"--shape {text}: "):
        check_sizes(m, n, k)
    return GemmCase("product", m, n, k)


def gemm(
    complete: Complete = False,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Only this product. Repeatable.", metavar="MxNxK"),
    ] = None,
    flow: Annotated[
        list[str] | None,
        typer.Option(help="Only this flow. Repeatable.", metavar="dOS|dWS|dIS"),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Measure dense products with resident operands on three flows, next to SCALE-Sim.

    Without SCALE-Sim (`make scale-sim`) its closed formulas count.
    """
    parameters = machine(preset, config, settings)
    flows: Sequence[Dataflow] = [*map(_dense_flow, flow)] if flow else DENSE_FLOWS
    if not parameters.array.partial_rows and any(map(is_stationary, flows)):
        raise InputError("array.partial_rows must be at least 16 for dWS and dIS, not 0")
    require_writable("--json", json_file)
    chosen: tuple[GemmCase, ...] = (*CASES, *LARGE_CASES) if complete else CASES
    if shape:
        chosen = tuple(map(parse_shape, shape))
    library = simulator(parameters)
    records = []
    for each in flows:
        with input_errors(ScaleSimError), step(f"Reference, {each}"):
            cycles, name = reference_cycles(each, [case.shape for case in chosen], parameters.array)
        for case, reference in zip(chosen, cycles, strict=True):
            with input_errors(ValueError), machine_errors(), step(f"{case.text}, {each}"):
                records.append(measure_gemm(case, each, parameters, library, (reference, name)))
    _finish(records, GEMM_COLUMNS, json_file)


def sparse(
    complete: Complete = False,
    tokens: Annotated[
        int, typer.Option(help="Rows of activations, 1 to 65535.", metavar="M")
    ] = TOKENS,
    weights: Annotated[
        WeightsChoice,
        typer.Option(
            help="minilm: feed-forward weights, pruned for each flow; bert-base: random weights "
            "in its shapes, 95 % of them zero.",
            metavar="minilm|bert-base",
        ),
    ] = WeightsChoice.MINILM,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Both matrices of these layers of minilm: 0, 0,2, 0-5 or all. Without --all or "
            "this, one of layer 0.",
            metavar="LAYERS",
        ),
    ] = None,
    density: Annotated[
        list[float] | None,
        typer.Option(
            help="Only weights of minilm of which each flow keeps this share, 0.01 to 1. "
            "Repeatable.",
            metavar="SHARE",
        ),
    ] = None,
    resident: Annotated[
        bool,
        typer.Option(
            "--resident",
            help="Only with resident operands: the array alone, in half the time.",
        ),
    ] = False,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    energy: EnergyFile = None,
    json_file: JsonFile = None,
) -> None:
    """Measure sparse products of weights of all-MiniLM-L6-v2 or BERT-base, time and energy.

    Speed-up is over the dense flow that keeps the same operand in the array, both measured.
    Every run is kept, so that the command, given again after it was cut, goes on where it was.
    """
    parameters = machine(preset, config, settings)
    if parameters.array.block == 1 or not parameters.array.partial_rows:
        raise InputError("array.block and array.partial_rows must allow all flows")
    table = energies(energy)
    require_writable("--json", json_file)
    for share in density or ():
        if not LEAST_DENSITY <= share <= 1:
            raise InputError(f"--density must be from {LEAST_DENSITY} to 1, not {share}")
    with input_errors(CompileError, prefix="--tokens: "):
        check_sizes(tokens, 1, 1)
    block = parameters.array.block
    if weights is WeightsChoice.MINILM:
        with input_errors(FrontendError), step("Reading the model"):
            model = load(None)
        wanted = layers or (ALL if complete else None)
        chosen = cases(model, parse_layers(wanted, len(model.layers)) if wanted else None)
        tried = list(shaped(density) if density else schemes(complete=complete, block=block))
    elif layers or density:
        name = "--layers" if layers else "--density"
        raise InputError(f"{name} is for --weights minilm, not {weights.value}")
    else:
        chosen, tried = pruned_cases(complete=complete), list(pruned_schemes(block=block))
    bench = SparseBench(parameters, simulator(parameters), tokens, table, resident=resident)
    records: list[dict[str, Any]] = []
    for case in chosen:
        for scheme in tried:
            place = f"{len(records) + 1} of {len(chosen) * len(tried)}"
            description = f"{place}: {case.name}, {scheme.flow}, {scheme.text}"
            with input_errors(CompileError), machine_errors(), step(description):
                records.append(bench.measure(case, scheme))
    if len(chosen) > 1:
        output.print(_table(summary(records), SUMMARY_COLUMNS))
    columns = [name for name in SPARSE_COLUMNS if name in records[0]]
    _finish(records, columns, json_file)


def activations(
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Only this series, such as 4:8. Repeatable.", metavar="N:M"),
    ] = None,
    shape: Annotated[
        str, typer.Option(help="Tokens, outputs and inputs of the product.", metavar="MxNxK")
    ] = f"{ACTIVATION_TOKENS}x{OUTPUTS}x{INPUTS}",
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Measure products of activations of which the vector unit keeps N of every M.

    GELU, quantisation and selection in one instruction, the product in another; cycles of each.
    """
    parameters = machine(preset, config, settings)
    require_writable("--json", json_file)
    sizes = parse_shape(shape)
    case = ActivationCase(sizes.m, sizes.n, sizes.k)
    largest = parameters.largest_kept_group
    known = [text for text in ACTIVATION_SERIES if int(text.rpartition(":")[2]) <= largest]
    chosen = keep or known or ACTIVATION_SERIES[:1]
    with input_errors(SparsityError, prefix="--keep: "):
        for text in chosen:
            Kept(single_term(parse_series(text)), parameters).check(case.inputs)
    library = simulator(parameters)
    with input_errors(CompileError), machine_errors(), step(f"{case.text}, dense"):
        measured = ActivationBench(parameters, library, case)
    records = []
    for text in chosen:
        with machine_errors(), step(f"{case.text}, {text}"):
            records.append(measured.measure(text))
    _finish(records, ACTIVATION_COLUMNS, json_file)


def _dense_flow(text: str) -> Dataflow:
    if text not in DENSE_FLOWS:
        raise InputError(f"--flow must be one of {', '.join(DENSE_FLOWS)}, not {text!r}")
    return Dataflow(text)


def _finish(
    records: Sequence[dict[str, Any]], columns: Sequence[str], json_file: Path | None
) -> None:
    output.print(_table(records, columns))
    if records and "reference" in records[0]:
        output.print(f"reference: {records[0]['reference']}", markup=False)
    write_json("--json", json_file, records)
    wrong = [record["case"] for record in records if record["mismatches"]]
    if wrong:
        raise ResultError(f"the Verilog differs from the golden model in {', '.join(wrong)}")


def _table(records: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(*columns)
    for record in records:
        table.add_row(*(_text(record[name]) for name in columns))
    return table


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
