"""`ageha bench`: measurements, as tables and as JSON records."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...bench.attention import LENGTHS, measure_layer
from ...bench.execute import build_library
from ...bench.generate import generate_design
from ...bench.record import RunRecord
from ...bench.simulate import SimulationMismatch, measure_simulation
from ...hw.config import PRESETS, AcceleratorConfig
from ...sw.errors import CompileError
from ...verif.verilator import VerilatorError
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..options import (
    Bandwidth,
    ConfigFile,
    JsonFile,
    Latency,
    Preset,
    Seed,
    Settings,
    Stalls,
    machine,
    memory,
)
from ..output import require_writable, write_file, write_json
from ..page.page import render_page
from .run import read_minilm

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
        table.add_row(name, *(_text(record[name]) for record in records))
    output.print(table)


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _machines(presets: list[str] | None, default: Sequence[str]) -> list[AcceleratorConfig]:
    return [machine(name, None, None) for name in presets or default]


@bench.command(epilog="Example: `ageha bench attention --sequence 128 --json build/attention.json`")
def attention(
    sequence: Annotated[
        list[int] | None,
        typer.Option(help="Tokens. Repeatable; 32, 128 and 256 by default.", metavar="N"),
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Encoder layers: 0, 0,2, 0-5 or all.", metavar="LAYERS")
    ] = "0",
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
    json_file: JsonFile = None,
) -> None:
    """Run encoder layers of all-MiniLM-L6-v2 at several lengths on the simulated Verilog."""
    parameters = machine(preset, config, settings)
    memory_settings = memory(latency, bandwidth, stalls, seed)
    require_writable("--json", json_file)
    require_writable("--report", page)
    with step("Reading the model"):
        mini = read_minilm(parameters, None, layers)
    for length in sequence or LENGTHS:
        _check_length(length, mini.tokenizer.maximum_tokens)
    with input_errors(VerilatorError), step(f"Building the simulator of {parameters.name}"):
        library = build_library(parameters)
    runs = []
    for length in sequence or LENGTHS:
        with input_errors(CompileError), machine_errors(), step(f"Running {length} tokens"):
            runs.append(measure_layer(mini, length, memory_settings, library))
    records = [record for record, _ in runs]
    rows = ["cycles", "ideal_cycles", "roofline_cycles", "predicted_cycles", "utilization"]
    rows += ["array_busy", "bytes_moved", "compulsory_bytes", "cosine", "mismatches"]
    print_records(records, "case", rows)
    write_json("--json", json_file, records)
    stored = RunRecord(
        title=mini.title,
        device="both",
        preset=parameters.name,
        parameters=parameters.to_dict(),
        memory=asdict(memory_settings),
        cases=[case for _, case in runs],
    )
    if page is not None:
        write_file("--report", page, render_page(stored))
    if not stored.is_equal:
        raise ResultError("the Verilog differs from the golden model")


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
def generate(presets: Presets = None, json_file: JsonFile = None) -> None:
    """Measure how long generation takes and how much Verilog comes out."""
    machines = _machines(presets, tuple(PRESETS))
    require_writable("--json", json_file)
    records = []
    for config in machines:
        with step(f"Generating {config.name}"), tempfile.TemporaryDirectory() as folder:
            records.append(generate_design(config, Path(folder)))
    print_records(records, "preset", ["seconds", "verilog_lines", "modules"])
    write_json("--json", json_file, records)
