"""`ageha bench`: measurements, as tables and as JSON records."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...bench.attention import LENGTHS, measure_layer
from ...bench.decode import LENGTHS as DECODE_LENGTHS
from ...bench.decode import PROMPTS
from ...bench.energy import energy_figures
from ...bench.generate import generate_design, measure_clock, measure_resources
from ...bench.history import HistoryError, read_history, update_history
from ...bench.minilm import MiniLm
from ...bench.record import Case, RunRecord
from ...bench.resources import Unit
from ...bench.simulate import SimulationMismatch, measure_simulation
from ...gen.synthesis import SynthesisError, target_named
from ...hw.config import PRESETS, AcceleratorConfig
from ...sw.errors import CompileError
from ...verif.devices.library import MemorySettings
from ...verif.verilator import VerilatorError
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..jobs import Keep, Weights
from ..options import (
    Bandwidth,
    ConfigFile,
    EnergyFile,
    JsonFile,
    Latency,
    Preset,
    Seed,
    Settings,
    Stalls,
    energies,
    machine,
    memory,
)
from ..output import require_writable, write_file, write_json
from ..page.page import render_page
from ..simulator import simulator
from ..tables import change_lines, figure_text
from .bench_blocks import bench_blocks
from .bench_decode import bench_decode
from .run import read_minilm


class WorkloadChoice(Enum):
    """What `bench attention` runs."""

    MINILM = "minilm"
    BERT_BASE = "bert-base"
    VIT_BASE = "vit-base"
    FNET = "fnet"
    FABNET_BASE = "fabnet-base"
    DECODE = "decode"
    PREFILL = "prefill"
    ITA = "ita"


ITA_FIGURES = ("attention_cycles", "reference_cycles", "ratio", "predicted_cycles", "cycles")
"""What is printed of each run of attention alone."""

bench = typer.Typer(help="Measure; every figure comes from the hardware's counters.")

Presets = Annotated[
    list[str] | None,
    typer.Option(
        "--preset", help="A machine: tiny, ecp5, base or large. Repeatable.", metavar="NAME"
    ),
]


def print_records(records: Sequence[dict[str, Any]], title: str, rows: Sequence[str]) -> None:
    """Print `records` as a table: a column each, headed by its `title`, and a row a figure."""
    table = Table("", *(record[title] for record in records))
    for column in table.columns[1:]:
        column.justify = "right"
    for name in rows:
        table.add_row(name, *(figure_text(record[name]) for record in records))
    output.print(table)


def _print_by_row(records: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print `records` as a table: a row each, and a column a figure."""
    table = Table("case", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for record in records:
        table.add_row(record["case"], *(figure_text(record[name]) for name in columns))
    output.print(table)


def _machines(presets: list[str] | None, default: Sequence[str]) -> list[AcceleratorConfig]:
    return [machine(name, None, None) for name in presets or default]


@bench.command(epilog="Example: `ageha bench attention --sequence 128 --json build/attention.json`")
def attention(
    workload: Annotated[
        WorkloadChoice,
        typer.Option(
            help="minilm: real sentences; decode: one token through a decoder layer; prefill: "
            "a prompt; the others: "
            "a layer or blocks with random weights; ita: attention alone.",
            metavar="minilm|bert-base|vit-base|fnet|fabnet-base|decode|prefill|ita",
        ),
    ] = WorkloadChoice.MINILM,
    sequence: Annotated[
        list[int] | None,
        typer.Option(
            help="Tokens, those in the cache for decode. Repeatable; minilm: 32, 128, 256 by "
            "default, decode: 128 to 1024.",
            metavar="N",
        ),
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Encoder layers: 0, 0,2, 0-5 or all.", metavar="LAYERS")
    ] = "0",
    weights: Weights = None,
    keep: Keep = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", help="Also draw the runs as an HTML page.", metavar="FILE"),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    latency: Latency = 1,
    bandwidth: Bandwidth = 1.0,
    stalls: Stalls = 0,
    seed: Seed = 1,
    energy: EnergyFile = None,
    json_file: JsonFile = None,
) -> None:
    """Run encoder layers of all-MiniLM-L6-v2, or other blocks, on the simulated Verilog."""
    parameters = machine(preset, config, settings)
    memory_settings = memory(latency, bandwidth, stalls, seed)
    table = energies(energy)
    require_writable("--json", json_file)
    require_writable("--report", page)
    for option, value in (("--keep", keep), ("--weights", weights)):
        if value and workload is not WorkloadChoice.MINILM:
            raise InputError(f"--workload {workload.value} takes no {option}")
    if workload is WorkloadChoice.MINILM:
        with step("Reading the model"):
            mini = read_minilm(parameters, None, layers, weights, keep or ())
        title, runs = mini.title, _minilm_runs(mini, memory_settings, sequence or LENGTHS)
    elif workload is WorkloadChoice.DECODE:
        title = "decode, a layer of TinyLlama's sizes, random weights"
        runs = bench_decode(sequence or DECODE_LENGTHS, parameters, memory_settings)
    elif workload is WorkloadChoice.PREFILL:
        title = "prefill, a layer of TinyLlama's sizes, random weights"
        runs = bench_decode(sequence or PROMPTS, parameters, memory_settings, is_prompt=True)
    else:
        title = f"{workload.value}, random weights"
        runs = bench_blocks(workload.value, sequence, parameters, memory_settings)
    records = [record | energy_figures(case.counters, parameters, table) for record, case in runs]
    if workload is WorkloadChoice.ITA:
        _print_by_row(records, ITA_FIGURES)
    else:
        shown = [name for name, value in records[0].items() if isinstance(value, int | float)]
        print_records(records, "case", shown)
    write_json("--json", json_file, records)
    stored = RunRecord(
        title=title,
        device="both",
        preset=parameters.name,
        parameters=parameters.to_dict(),
        memory=asdict(memory_settings),
        cases=[case for _, case in runs],
    )
    if page is not None:
        write_file("--report", page, render_page(stored, table))
    if not stored.is_equal:
        raise ResultError("the Verilog differs from the golden model")


def _minilm_runs(
    mini: MiniLm, settings: MemorySettings, lengths: Sequence[int]
) -> list[tuple[dict[str, Any], Case]]:
    """Return the figures of encoder layers at several lengths."""
    config = mini.config
    for length in lengths:
        _check_length(length, mini.tokenizer.maximum_tokens)
    library = simulator(config)
    runs = []
    for length in lengths:
        with input_errors(CompileError), machine_errors(), step(f"Running {length} tokens"):
            runs.append(measure_layer(mini, length, settings, library))
    return runs


def _check_length(length: int, limit: int) -> None:
    if not 1 <= length <= limit:
        raise InputError(
            f"--sequence must be from 1 to {limit}, the limit of the model, not {length}"
        )


@bench.command(epilog="Example: `ageha bench simulate --preset base --json build/simulate.json`")
def simulate(presets: Presets = None, json_file: JsonFile = None) -> None:
    """Measure how fast a whole program is simulated, next to the bare clock."""
    machines = _machines(presets, ("tiny", "base"))
    require_writable("--json", json_file)
    records = []
    for config in machines:
        with input_errors(VerilatorError), step(f"Building and running {config.name}"):
            try:
                records.append(measure_simulation(config))
            except SimulationMismatch as error:
                raise ResultError(str(error)) from None
    rows = ["build_seconds", "cycles", "cycles_per_second", "bare_cycles_per_second", "ratio"]
    print_records(records, "preset", rows)
    write_json("--json", json_file, records)


@bench.command(epilog="Example: `ageha bench generate --preset large --json build/generate.json`")
def generate(
    presets: Presets = None,
    synthesise: Annotated[
        str | None,
        typer.Option(help="Also synthesise for ecp5, xc7 or xcup.", metavar="NAME"),
    ] = None,
    unit: Annotated[
        Unit, typer.Option(help="What is synthesised.", metavar="accelerator|array|...")
    ] = Unit.ACCELERATOR,
    placements: Annotated[
        int,
        typer.Option(
            help="Also place and route so often on an ECP5, each time with another seed; the "
            "median of the clocks counts.",
            metavar="N",
            min=0,
        ),
    ] = 0,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Also put what was synthesised in this file, and show what has changed.",
            metavar="FILE",
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Measure how long generation takes, how much Verilog comes out, and what an FPGA needs."""
    machines = [machine(name, config, settings) for name in presets or tuple(PRESETS)]
    with input_errors(SynthesisError, prefix="--synthesise: "):
        target = target_named(synthesise) if synthesise else None
    if placements and (target is None or target.name != "ecp5"):
        raise InputError("--placements needs --synthesise ecp5: others are synthesis only")
    if history is not None and target is None:
        raise InputError("--history needs --synthesise: without it, there is nothing to put in it")
    require_writable("--json", json_file)
    require_writable("--history", history)
    if history is not None:
        with input_errors(HistoryError, prefix="--history "):
            read_history(history)
    records = []
    for parameters in machines:
        with step(f"Generating {parameters.name}"), tempfile.TemporaryDirectory() as folder:
            record = generate_design(parameters, Path(folder))
        if target:
            text = f"Synthesising {parameters.name} (minutes, the first time)"
            with input_errors(SynthesisError), step(text):
                record |= measure_resources(parameters, target, unit)
        if placements:
            text = f"Placing and routing {parameters.name} (many minutes, the first time)"
            with input_errors(SynthesisError), step(text):
                record |= measure_clock(parameters, unit, placements)
        records.append(record | {"case": " ".join((parameters.name, *(settings or ())))})
    resources = ["lut", "lutram", "ff", "dsp", "bram"] if target else []
    clocks = ["fmax_mhz"] if placements else []
    print_records(records, "case", ["seconds", "verilog_lines", "modules", *resources, *clocks])
    if history is not None:
        with input_errors(HistoryError, prefix="--history "):
            changes = update_history(history, records)
        for line in change_lines(changes) if changes else [f"{history}: nothing has changed"]:
            output.print(line, markup=False, highlight=False, soft_wrap=True)
    write_json("--json", json_file, records)
