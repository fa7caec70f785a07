"""`ageha run PROGRAM`: a compiled program on the devices, compared with what it should give."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...bench.execute import Execution, run_golden, run_rtl
from ...bench.measure import measure, mismatches
from ...bench.record import Case, RunRecord
from ...sw.program import Program, ProgramError
from ...verif.devices.library import MemorySettings
from ..arrays import read_array
from ..console import output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..jobs import DeviceChoice
from ..output import write_json
from ..program_files import float_path, tensor_path
from ..run_folder import make_record, write_run
from ..simulator import simulator
from .simulate import read_inputs


def run_program_file(
    path: Path,
    device: DeviceChoice,
    settings: MemorySettings,
    target: Path,
    json_file: Path | None,
) -> None:
    """Run a program with the inputs that lie beside it.

    The golden model and the simulated Verilog must agree in every element, and both with
    ``NAME.output.npy`` where that lies beside the program.

    Parameters
    ----------
    path : Path
        Program; its inputs are ``NAME.TENSOR.npy`` in the same folder.
    device : DeviceChoice
    settings : MemorySettings
    target : Path
        Where run.json and the report go.
    json_file : Path, optional

    Raises
    ------
    InputError
        If the program or an input is missing or wrong.
    ResultError
        If a device stops, or a result is wrong.
    """
    with input_errors(ProgramError):
        program = Program.load(path)
    inputs = read_inputs(
        program, [f"{tensor.name}={tensor_path(path, tensor.name)}" for tensor in program.inputs]
    )
    golden, rtl = _execute(program, inputs, device, settings)
    main = rtl or golden
    assert main is not None
    case = measure(path.name, program, main, golden=golden if rtl else None)
    record = make_record(path.name, device, program.config, settings, [case])

    def write_outputs(folder: Path) -> None:
        for name, array in main.outputs.items():
            np.save(folder / f"{name}.npy", array)

    write_run(record, target, write_outputs)
    wrong = _compare(path, main)
    ratio = _signal_to_noise(path, program, main)
    write_json("--json", json_file, [_summary(record, case, wrong) | ratio])
    if record.is_equal is False:
        raise ResultError("the Verilog differs from the golden model")
    if wrong:
        raise ResultError(f"{wrong} elements differ from those beside the program")


def _execute(
    program: Program,
    inputs: dict[str, NDArray],
    device: DeviceChoice,
    settings: MemorySettings,
) -> tuple[Execution | None, Execution | None]:
    golden = rtl = None
    with machine_errors():
        if device.golden:
            with step("Golden model"):
                golden = run_golden(program, inputs)
        if device.rtl:
            library = simulator(program.config)
            with step("Verilog"):
                rtl = run_rtl(program, inputs, settings, library)
    return golden, rtl


def _compare(path: Path, execution: Execution) -> int | None:
    """Return how many elements differ from the files beside the program; None without files."""
    wanted = {
        name: read_array("PROGRAM", tensor_path(path, name))
        for name in execution.outputs
        if tensor_path(path, name).exists()
    }
    if not wanted:
        return None
    found = {name: execution.outputs[name] for name in wanted}
    try:
        wrong, elements = mismatches(found, wanted)
    except ValueError as error:
        raise InputError(f"PROGRAM {path}: {error} than the files beside it") from None
    equal = f"all {elements:,} equal" if not wrong else f"{wrong:,} of {elements:,} differ"
    output.print(f"NumPy's product beside the program: {equal}", markup=False)
    return wrong


def _signal_to_noise(path: Path, program: Program, execution: Execution) -> dict[str, float]:
    """Return signal to noise against the floats beside the program, nothing without them."""
    if not float_path(path).exists():
        return {}
    (tensor,) = program.outputs
    wanted = read_array("PROGRAM", float_path(path))
    found = tensor.to_float(execution.outputs[tensor.name])
    if wanted.shape != found.shape:
        raise InputError(
            f"PROGRAM {path}: the result has shape {found.shape}, the floats beside it "
            f"{wanted.shape}"
        )
    noise, signal = np.sum((found - wanted) ** 2), np.sum(wanted**2)
    if not noise or not signal:
        return {}
    ratio = round(float(10 * np.log10(signal / noise)), 2)
    output.print(f"signal to noise against float64: {ratio} dB", markup=False)
    return {"snr_db": ratio}


def _summary(record: RunRecord, case: Case, wrong: int | None) -> dict[str, object]:
    return {
        "program": record.title,
        "preset": record.preset,
        "device": record.device,
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "predicted_cycles": case.predicted_cycles,
        "busy": dict(case.busy),
        "array_active": case.array_active,
        "bytes_moved": case.bytes_read + case.bytes_written,
        "mismatches": case.mismatches,
        "mismatches_to_numpy": wrong,
    }
