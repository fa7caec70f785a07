"""`ageha bench compile`: how long the compiler takes, and what its choices gain."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any

import typer

from ...bench.compile import CASES, WORKLOADS, CompileCase, measure_compile
from ...bench.fusion import FORMS, FUSION_CASES, FusionMismatch, mean_speedups, measure_fusion
from ...bench.optimum import measure_optimum, optimum_cases
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, write_json
from ..simulator import simulator
from ..tables import record_table


class Study(Enum):
    """What `bench compile` looks at."""

    TIME = "time"
    FUSION = "fusion"
    OPTIMUM = "optimum"


TIME_COLUMNS = (
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
FUSION_COLUMNS = ("case", "source", *(f"{form.name}_cycles" for form in FORMS), "speedup")
OPTIMUM_COLUMNS = (
    "case",
    "space",
    "candidates",
    "heuristic_cycles",
    "cycles",
    "optimum_cycles",
    "distance",
)


def bench_compile(
    study: Annotated[
        Study,
        typer.Option(
            help="time: how long the compiler takes; fusion: what fusion, overlap and search gain; "
            "optimum: the search against all tilings of small layers.",
            metavar="time|fusion|optimum",
        ),
    ] = Study.TIME,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(WORKLOADS)}; all by default. Repeatable. Not for optimum.",
            metavar="NAME",
        ),
    ] = None,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="fusion: count cycles on the simulated Verilog.")
    ] = False,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Compile whole models and layers, each from nothing in a process of its own; or a study."""
    parameters = machine(preset, config, settings)
    require_writable("--json", json_file)
    for name in workload or ():
        if name not in WORKLOADS:
            raise InputError(f"--workload must be one of {', '.join(WORKLOADS)}, not {name}")
    if rtl and study is not Study.FUSION:
        raise InputError("--rtl goes with --study fusion only")
    chosen = tuple(workload or WORKLOADS)
    if study is Study.FUSION:
        records = _fusion(chosen, parameters, rtl)
        columns = FUSION_COLUMNS
    elif study is Study.OPTIMUM:
        if workload:
            raise InputError("--study optimum takes no --workload")
        records = [measure_optimum(case) for case in optimum_cases()]
        columns = OPTIMUM_COLUMNS
    else:
        records = _each(CASES, chosen, lambda case: measure_compile(case, parameters))
        columns = TIME_COLUMNS
    output.print(record_table(records, columns))
    if study is Study.FUSION:
        for name, ratio in mean_speedups(records):
            output.print(f"{name} over {FORMS[-1].name}, geometric mean: {ratio:.2f}")
    write_json("--json", json_file, records)


def _fusion(workloads: Sequence[str], config: AcceleratorConfig, rtl: bool) -> list[dict[str, Any]]:
    library = simulator(config) if rtl else None
    try:
        with machine_errors():
            return _each(
                FUSION_CASES, workloads, lambda case: measure_fusion(case, config, library)
            )
    except FusionMismatch as error:
        raise ResultError(str(error)) from None


def _each(
    cases: Sequence[CompileCase],
    workloads: Sequence[str],
    measure: Callable[[CompileCase], dict[str, Any]],
) -> list[dict[str, Any]]:
    records = []
    for case in cases:
        if case.workload in workloads:
            errors = input_errors(CompileError, prefix=f"{case.name}: ")
            with errors, step(f"Compiling {case.name}"):
                records.append(measure(case))
    return records
