"""`ageha generate`: Verilog and everything that describes it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ...bench.generate import generate_design
from ...gen.constraints import DEFAULT_PERIOD, check_period
from ...hw.config import ConfigError
from ..console import output, step
from ..errors import input_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, require_writable_folder, staged_folder, write_json


def generate(
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go.")
    ],
    period: Annotated[
        float,
        typer.Option(metavar="NANOSECONDS", help="Clock period in the constraints, 1 to 1000."),
    ] = DEFAULT_PERIOD,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Write the Verilog of a machine, its register map, C headers, constraints and packaging."""
    parameters = machine(preset, config, settings)
    with input_errors(ConfigError):
        check_period(period)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    with (
        step(f"Generating {parameters.name}"),
        staged_folder("--output", target) as folder,
    ):
        record = generate_design(parameters, folder, period)
        files = sorted(path.relative_to(folder) for path in folder.iterdir())

    table = Table(show_header=False, box=None)
    table.add_row("preset", f"{parameters.name}, parameter hash 0x{parameters.hash:08x}")
    table.add_row("Verilog", f"{record['verilog_lines']:,} lines, {record['modules']} modules")
    table.add_row("files", Text("\n".join(str(target / path) for path in files)))
    table.add_row("seconds", f"{record['seconds']:.1f}")
    output.print(table)
    write_json("--json", json_file, [record])
