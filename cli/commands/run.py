"""`ageha run`: a sentence in, a bit-exact encoder layer out of the Verilog."""

import time
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ...bench.execute import Execution, build_library, run_golden, run_rtl
from ...bench.measure import measure
from ...bench.minilm import SENTENCES, TITLE, Job, MiniLm
from ...bench.record import Case, RunRecord
from ...sw.errors import CompileError, FrontendError
from ...verif.devices.library import MemorySettings
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
from ..output import require_writable, require_writable_folder, staged_folder, write_json
from ..page.page import render_page
from ..tables import case_table
from .run_program import run_program_file


class DeviceChoice(Enum):
    """What a run uses."""

    GOLDEN = "golden"
    RTL = "rtl"
    BOTH = "both"


class WorkloadChoice(Enum):
    """What a run computes."""

    MINILM = "minilm"


def run(
    program: Annotated[
        Path | None,
        typer.Argument(
            help="A program file from `ageha compile gemm`, run with the tensors beside it on "
            "the machine that it is for; without one, the model runs on sentences.",
            metavar="[PROGRAM]",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="A sentence. Repeatable; two are built in.", metavar="SENTENCE"),
    ] = None,
    workload: Annotated[
        WorkloadChoice, typer.Option(help="The model.", metavar="NAME")
    ] = WorkloadChoice.MINILM,
    device: Annotated[
        DeviceChoice,
        typer.Option(
            help="golden: the NumPy model; rtl: the simulated Verilog; both: compare them.",
            metavar="golden|rtl|both",
        ),
    ] = DeviceChoice.BOTH,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Another model of the family: a folder with config.json, model.safetensors and "
            "tokenizer.json.",
            metavar="FOLDER",
        ),
    ] = None,
    target: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where run.json and the report go."),
    ] = Path("build/run"),
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    latency: Latency = 1,
    bandwidth: Bandwidth = 1.0,
    stalls: Stalls = 0,
    seed: Seed = 1,
    json_file: JsonFile = None,
) -> None:
    """Run an encoder layer on sentences and compare the Verilog, its golden model and floats.

    The sentences are tokenised and embedded on the host; encoder layer 0, whole, runs on the
    machine. Writes run.json and report.html.
    """
    parameters = machine(preset, config, settings)
    memory_settings = memory(latency, bandwidth, stalls, seed)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    if program is not None:
        if text or model:
            raise InputError("PROGRAM has its own input: --text and --model go without one")
        used = device is not DeviceChoice.RTL, device is not DeviceChoice.GOLDEN
        run_program_file(program, used, memory_settings, target, json_file)
        return
    with input_errors(FrontendError, CompileError):
        with step("Reading the model"):
            mini = MiniLm(parameters, model)
        for sentence in text or SENTENCES:
            mini.tokenizer.encode(sentence)
        with step("Compiling"):
            jobs = [mini.job(sentence) for sentence in text or SENTENCES]
    library = None
    if device is not DeviceChoice.GOLDEN:
        with (
            input_errors(VerilatorError),
            step(f"Building the simulator of {parameters.name} (minutes, the first time)"),
        ):
            library = build_library(parameters)
    cases = [run_job(job, device, memory_settings, library) for job in jobs]
    record = RunRecord(
        title=TITLE if model is None else f"{model.resolve().name}, encoder layer 0",
        device=device.value,
        preset=parameters.name,
        parameters=parameters.to_dict(),
        memory={} if library is None else asdict(memory_settings),
        cases=cases,
    )
    with staged_folder("--output", target) as folder:
        (folder / "run.json").write_text(record.to_json(), encoding="utf-8")
        (folder / "report.html").write_text(render_page(record), encoding="utf-8")
    output.print(case_table(cases))
    output.print(f"report: {target / 'report.html'}", markup=False)
    write_json("--json", json_file, [summary(record, case) for case in cases])
    if record.is_equal is False:
        raise ResultError("the Verilog differs from the golden model")


def run_job(job: Job, device: DeviceChoice, settings: MemorySettings, library: Path | None) -> Case:
    """Run one sentence on the chosen devices and return its figures.

    Raises
    ------
    ResultError
        If a device stops.
    """
    golden: Execution | None = None
    rtl: Execution | None = None
    start = time.monotonic()
    with machine_errors():
        if device is not DeviceChoice.RTL:
            with step(f"Golden model, {len(job.tokens)} tokens"):
                golden = run_golden(job.program, job.inputs)
        if device is not DeviceChoice.GOLDEN:
            with step(f"Verilog, {len(job.tokens)} tokens"):
                start = time.monotonic()
                rtl = run_rtl(job.program, job.inputs, settings, library)
    main = rtl or golden
    assert main is not None
    return measure(
        job.name,
        job.program,
        main,
        golden=golden if rtl else None,
        tokens=job.tokens,
        reference=job.reference,
        seconds=time.monotonic() - start,
    )


def summary(record: RunRecord, case: Case) -> dict[str, object]:
    """Return the figures of one sentence for other programs to read."""
    return {
        "workload": record.title,
        "preset": record.preset,
        "device": record.device,
        "text": case.name,
        "tokens": len(case.tokens),
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "utilization": round(case.utilization, 4),
        "predicted_cycles": case.predicted_cycles,
        "busy": dict(case.busy),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "mismatches": case.mismatches,
        "elements": case.elements,
        "cosine": case.mean_cosine,
        "seconds": case.seconds,
    }
