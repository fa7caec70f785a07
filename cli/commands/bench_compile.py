"""`ageha bench compile`: how long the compiler takes, and what its choices gain."""

from typing import Annotated

import typer

from ...bench.compile import CASES, WORKLOADS, measure_compile
from ...sw.errors import CompileError
from ..console import output, step
from ..errors import InputError, input_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, write_json
from ..tables import record_table

COLUMNS = (
    "case",
    "seconds",
    "processor_seconds",
    "instructions",
    "program_bytes",
    "candidates",
    "search_gain",
    "predicted_cycles",
    "peak_memory_bytes",
)


def bench_compile(
    workload: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(WORKLOADS)}; all by default. Repeatable.", metavar="NAME"),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Compile whole models and layers, each from nothing in a process of its own."""
    parameters = machine(preset, config, settings)
    require_writable("--json", json_file)
    for name in workload or ():
        if name not in WORKLOADS:
            raise InputError(f"--workload must be one of {', '.join(WORKLOADS)}, not {name}")
    records = []
    for case in CASES:
        if case.workload in (workload or WORKLOADS):
            with (
                input_errors(CompileError, prefix=f"{case.name}: "),
                step(f"Compiling {case.name}"),
            ):
                records.append(measure_compile(case, parameters))
    output.print(record_table(records, COLUMNS))
    write_json("--json", json_file, records)
