"""`ageha run --workload digits`: a butterfly network classifies the test images."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

from ...bench.digits import TITLE, Classification, DigitsWorkload
from ...bench.execute import Execution, memory_bytes, run_golden, run_rtl
from ...bench.measure import measure
from ...bench.record import Case, RunRecord
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.digits import TEST_IMAGES
from ...verif.devices.golden import GoldenDevice
from ...verif.devices.library import MemorySettings
from ...verif.devices.rtl import RtlDevice
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..jobs import DeviceChoice
from ..output import write_json
from ..run_folder import make_record, write_run
from ..simulator import simulator

LARGEST_LOSS = 0.01
"""Accuracy that the machine may lose against the float model."""


def run_digits(
    config: AcceleratorConfig,
    device: DeviceChoice,
    settings: MemorySettings,
    images: int,
    target: Path,
    json_file: Path | None,
) -> None:
    """Classify test images, and write the record and the report of the first one.

    Parameters
    ----------
    config : AcceleratorConfig
    device : DeviceChoice
        If both, they must agree in every element.
    settings : MemorySettings
    images : int
        How many of the test images.
    target : Path
        Where run.json and the report go.
    json_file : Path, optional

    Raises
    ------
    InputError
        If the machine cannot run the model, or there are not so many images.
    ResultError
        If a device stops, the devices differ, or the accuracy is more than a point below the float
        model's.
    """
    if not 1 <= images <= TEST_IMAGES:
        raise InputError(f"--images must be from 1 to {TEST_IMAGES}, not {images}")
    with input_errors(FrontendError, CompileError), step("Compiling"):
        workload = DigitsWorkload(config, images)
    start = time.monotonic()
    golden, rtl = _classify(workload, device, settings)
    case, found = _first_image(workload, golden, rtl, time.monotonic() - start)
    record = make_record(TITLE, device, config, settings, [case])
    write_run(record, target)
    figures = workload.figures(found)
    output.print(accuracy_table(figures))
    write_json("--json", json_file, [_summary(record, case) | figures])
    if case.mismatches:
        raise ResultError("the Verilog differs from the golden model")
    if figures["accuracy"] < figures["float_accuracy"] - LARGEST_LOSS:
        raise ResultError("the accuracy is more than a point below the float model's")


Runs = tuple[Classification, Execution] | None


def _classify(
    workload: DigitsWorkload, choice: DeviceChoice, settings: MemorySettings
) -> tuple[Runs, Runs]:
    """Return what each device makes of all images, and its run of the first one."""
    config, count = workload.config, len(workload.labels)
    golden = rtl = None
    with machine_errors():
        if choice.golden:
            device = GoldenDevice(config, memory_bytes(workload.program))
            with step(f"Golden model, {count} images", count) as progress:
                found = workload.run(device, progress)
            golden = found, run_golden(workload.program, workload.inputs(0))
        if choice.rtl:
            library = simulator(config)
            size = memory_bytes(workload.program)
            with (
                RtlDevice(config, size, settings=settings, library=library) as simulated,
                step(f"Verilog, {count} images", count) as progress,
            ):
                found = workload.run(simulated, progress)
            rtl = found, run_rtl(workload.program, workload.inputs(0), settings, library)
    return golden, rtl


def _first_image(
    workload: DigitsWorkload, golden: Runs, rtl: Runs, seconds: float
) -> tuple[Case, Classification]:
    """Return the figures of the first image, with the mismatches of all, and all results."""
    main = rtl or golden
    assert main is not None
    found, execution = main
    case = measure(
        f"digit {workload.labels[0]}",
        workload.program,
        execution,
        golden=golden[1] if golden and rtl else None,
        tokens=["logits"],
        reference=workload.reference[:1],
        seconds=seconds,
    )
    if golden and rtl:
        different = int(np.count_nonzero(golden[0].logits != rtl[0].logits))
        case = replace(case, mismatches=different, elements=found.logits.size)
    return case, found


def accuracy_table(figures: Mapping[str, float | int]) -> Table:
    """Return accuracy and size of the butterfly model beside those of its dense twin."""
    table = Table("", "butterfly", "dense twin")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("test images", f"{figures['images']}", f"{figures['images']}")
    table.add_row("accuracy, machine", f"{figures['accuracy']:.2%}", "")
    table.add_row(
        "accuracy, floats",
        f"{figures['float_accuracy']:.2%}",
        f"{figures['dense_float_accuracy']:.2%}",
    )
    for name, text in (("parameters", "parameters"), ("multiply_adds", "multiply-adds an image")):
        table.add_row(text, f"{figures[name]:,}", f"{figures[f'dense_{name}']:,}")
    return table


def _summary(record: RunRecord, case: Case) -> dict[str, object]:
    return {
        "workload": "digits",
        "preset": record.preset,
        "device": record.device,
        "cycles": case.cycles,
        "predicted_cycles": case.predicted_cycles,
        "busy": dict(case.busy),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "mismatches": case.mismatches,
        "seconds": case.seconds,
    }
