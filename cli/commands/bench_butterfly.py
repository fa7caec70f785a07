"""`ageha bench butterfly`: butterfly products and Fourier transforms on the simulated Verilog."""

from enum import Enum
from typing import Annotated, Any

import typer
from rich.table import Table

from ...bench.butterfly import SIZES, TILES, ButterflyCase, fits, measure_butterfly
from ...bench.execute import build_library
from ...hw.isa import Axis
from ...verif.verilator import VerilatorError
from ..console import messages, output, step
from ..errors import InputError, input_errors, machine_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, write_json

COLUMNS = (
    "case",
    "cycles",
    "ideal_cycles",
    "utilization",
    "pass_efficiency",
    "snr_db",
    "fp16_snr_db",
)
LIMITS = 4, 8192


class ModeChoice(Enum):
    """What `bench butterfly` transforms."""

    BPMM = "bpmm"
    FFT = "fft"
    IFFT = "ifft"
    HIERARCHICAL = "hierarchical"


class AxisChoice(Enum):
    """Along which axis of a matrix [tokens, hidden]."""

    HIDDEN = "hidden"
    TOKENS = "tokens"


def butterfly(
    mode: Annotated[
        list[ModeChoice] | None,
        typer.Option(help="bpmm, fft, ifft or hierarchical. Repeatable.", metavar="MODE"),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option("--n", help="Points: 4, 8, ... 8192. Repeatable.", metavar="N"),
    ] = None,
    axis: Annotated[
        list[AxisChoice] | None,
        typer.Option(help="hidden or tokens. Repeatable.", metavar="AXIS"),
    ] = None,
    tokens: Annotated[
        int, typer.Option(help="Vectors that are transformed, 1 to 4096.", metavar="T")
    ] = 64,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Measure butterfly products and Fourier transforms with resident operands.

    Cases that do not fit the scratchpad are left out; `--set scratchpad.bytes=4194304` holds most.
    """
    parameters = machine(preset, config, settings)
    require_writable("--json", json_file)
    if not 1 <= tokens <= 4096:
        raise InputError(f"--tokens must be from 1 to 4096, not {tokens}")
    for points in size or ():
        if not LIMITS[0] <= points <= LIMITS[1] or points & (points - 1):
            raise InputError(f"--n must be a power of two from 4 to 8192, not {points}")
    cases = [
        ButterflyCase(name, points, tokens, Axis[direction.name])
        for name in (choice.value for choice in mode or ModeChoice)
        for direction in axis or AxisChoice
        for points in size or (TILES if name == "hierarchical" else SIZES)
    ]
    with input_errors(VerilatorError), step(f"Building the simulator of {parameters.name}"):
        library = build_library(parameters)
    records: list[dict[str, Any]] = []
    for case in cases:
        if not fits(case, parameters):
            messages.print(f"{case.text} does not fit the scratchpad", markup=False)
            continue
        with input_errors(ValueError), machine_errors(), step(case.text):
            records.append(measure_butterfly(case, parameters, library))
    table = Table(*COLUMNS)
    for record in records:
        table.add_row(*(str(record[name]) for name in COLUMNS))
    output.print(table)
    write_json("--json", json_file, records)
