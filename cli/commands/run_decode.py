"""`ageha run --workload decode`: one token through decoder layers, against a cache."""

from pathlib import Path

from ...bench.decode import DecodeWorkload, decode_model, decode_record, run_decode
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError, FrontendError
from ...verif.devices.library import MemorySettings
from ..console import step
from ..errors import ResultError, input_errors, machine_errors
from ..jobs import DeviceChoice
from ..layers import parse_layers
from ..output import write_json
from ..run_folder import make_record, write_run
from ..simulator import simulator
from .bench_decode import check_lengths


def run_decode_workload(
    config: AcceleratorConfig,
    device: DeviceChoice,
    settings: MemorySettings,
    model: tuple[Path | None, str],
    past: int,
    target: Path,
    json_file: Path | None,
) -> None:
    """Run one token, and write the record and the report.

    Parameters
    ----------
    config : AcceleratorConfig
    device : DeviceChoice
        If both, they must agree in every element.
    settings : MemorySettings
    model : tuple of Path or None and str
        Folder of a model of the LLaMA family, or None for a layer with random weights; its layers.
    past : int
        Tokens in the cache.
    target : Path
        Where run.json and the report go.
    json_file : Path, optional

    Raises
    ------
    InputError
        If the model cannot be read, or the machine cannot run it.
    ResultError
        If a device stops, or the devices differ.
    """
    folder, layers = model
    with input_errors(FrontendError, CompileError), step("Reading the model"):
        weights = decode_model(folder)
        check_lengths([past], weights.config)
        chosen = tuple(parse_layers(layers, weights.config.layers))
        name = "decode" if folder is None else folder.resolve().name
        workload = DecodeWorkload(config, weights, chosen, past, name)
    with input_errors(CompileError), step("Compiling"):
        job = workload.job(past)
    library = simulator(config) if device.rtl else None
    with machine_errors(), step(f"Running a token after {past}"):
        case = run_decode(job, settings, library, golden=device.golden)
    write_run(
        make_record(f"{name}, one token after {past}", device, config, settings, [case]), target
    )
    write_json("--json", json_file, [decode_record(case, config)])
    if case.mismatches:
        raise ResultError("the Verilog differs from the golden model")
