"""`ageha run --workload decode`: one token through decoder layers, against a cache."""

from dataclasses import asdict
from pathlib import Path

from ...bench.decode import DecodeWorkload, decode_model, decode_record, run_decode
from ...bench.execute import build_library
from ...bench.record import RunRecord
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError, FrontendError
from ...verif.devices.library import MemorySettings
from ...verif.verilator import VerilatorError
from ..console import output, step
from ..errors import ResultError, input_errors, machine_errors
from ..layers import parse_layers
from ..output import staged_folder, write_json
from ..page.page import render_page
from ..tables import case_table
from .bench_decode import check_lengths


def run_decode_workload(
    config: AcceleratorConfig,
    devices: tuple[bool, bool],
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
    devices : tuple of bool
        Whether to use the golden model and the Verilog; they must agree in every element.
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
    golden, rtl = devices
    library = None
    if rtl:
        text = f"Building the simulator of {config.name} (minutes, the first time)"
        with input_errors(VerilatorError), step(text):
            library = build_library(config)
    with machine_errors(), step(f"Running a token after {past}"):
        case = run_decode(job, settings, library, golden=golden)
    record = RunRecord(
        title=f"{name}, one token after {past}",
        device="both" if golden and rtl else "rtl" if rtl else "golden",
        preset=config.name,
        parameters=config.to_dict(),
        memory=asdict(settings) if rtl else {},
        cases=[case],
    )
    with staged_folder("--output", target) as written:
        (written / "run.json").write_text(record.to_json(), encoding="utf-8")
        (written / "report.html").write_text(render_page(record), encoding="utf-8")
    output.print(case_table([case]))
    output.print(f"report: {target / 'report.html'}", markup=False)
    write_json("--json", json_file, [decode_record(case, config)])
    if case.mismatches:
        raise ResultError("the Verilog differs from the golden model")
