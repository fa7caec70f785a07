"""`ageha simulate`: run a program file on the simulated Verilog."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ...bench.execute import memory_bytes, run_rtl
from ...bench.measure import measure
from ...bench.record import RunRecord
from ...sw.program import Program, ProgramError
from ...sw.tensor import Tensor, TensorError
from ..arrays import read_array
from ..console import output, step
from ..errors import InputError, input_errors, machine_errors
from ..options import (
    MACHINE,
    Bandwidth,
    ConfigFile,
    JsonFile,
    Latency,
    Seed,
    Settings,
    Stalls,
    machine,
    memory,
)
from ..output import require_writable, require_writable_folder, staged_folder, write_json
from ..simulator import simulator
from ..tables import counter_table

MEMORY_LIMIT = 1 << 30
"""Bytes of the largest simulated memory."""


def _read_array(tensor: Tensor, path: Path) -> NDArray:
    array = read_array("--input", path)
    with input_errors(TensorError, prefix=f"--input {path}: "):
        list(tensor.pack(array))
    return array


def read_inputs(program: Program, given: Sequence[str]) -> dict[str, NDArray]:
    """Return the input tensors of `program` from ``NAME=FILE.npy`` or, for one input, ``FILE.npy``.

    Raises
    ------
    InputError
        If an input is missing, unknown, unreadable, or has another shape or dtype.
    """
    tensors = {tensor.name: tensor for tensor in program.inputs}
    known = ", ".join(tensors) or "none"
    arrays = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals and len(tensors) == 1:
            name, path = next(iter(tensors)), text
        if name not in tensors:
            raise InputError(f"--input must be NAME=FILE with NAME one of {known}, not {text!r}")
        arrays[name] = _read_array(tensors[name], Path(path))
    missing = [name for name in tensors if name not in arrays]
    if missing:
        raise InputError(f"--input {missing[0]} is missing; the inputs of the program are {known}")
    return arrays


def simulate(
    program_file: Annotated[Path, typer.Argument(help="A program file.", metavar="PROGRAM")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="An input tensor from a .npy file. Repeatable; the name may be left out if the "
            "program has one input.",
            metavar="[NAME=]FILE",
        ),
    ] = None,
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the outputs go.")
    ] = Path("build/simulate"),
    preset: Annotated[
        str | None,
        typer.Option(
            help="The machine at hand, which the program must be for; by default the program's.",
            metavar="NAME",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    latency: Latency = 1,
    bandwidth: Bandwidth = 1.0,
    stalls: Stalls = 0,
    seed: Seed = 1,
    json_file: JsonFile = None,
) -> None:
    """Run a program on the simulated Verilog and show the hardware's counters.

    Writes each output tensor as a .npy file, and run.json, which `ageha report` draws.
    """
    memory_settings = memory(latency, bandwidth, stalls, seed)
    at_hand = machine(preset, config, settings) if preset else None
    if at_hand is None and (config or settings):
        raise InputError("--config and --set need --preset")
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    with input_errors(ProgramError):
        program = Program.load(program_file, at_hand)
    inputs = read_inputs(program, given or ())
    size = memory_bytes(program)
    if size > MEMORY_LIMIT:
        raise InputError(
            f"PROGRAM {program_file}: windows must take at most {MEMORY_LIMIT} bytes to be "
            f"simulated, not {size}"
        )
    library = simulator(program.config)
    with machine_errors(), step("Simulating"):
        execution = run_rtl(program, inputs, memory_settings, library)
    case = measure(program_file.name, program, execution)
    record = RunRecord(
        title=program_file.name,
        device="rtl",
        preset=program.config.name,
        parameters=program.config.to_dict(),
        memory=asdict(memory_settings),
        cases=[case],
    )
    with staged_folder("--output", target) as folder:
        for name, array in execution.outputs.items():
            np.save(folder / f"{name}.npy", array)
        (folder / "run.json").write_text(record.to_json(), encoding="utf-8")
    output.print(counter_table(execution.counters))
    for name, array in execution.outputs.items():
        output.print(f"{target / name}.npy: {array.dtype} {list(array.shape)}", markup=False)
    write_json("--json", json_file, {"counters": dict(execution.counters)})
