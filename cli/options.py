"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ..hw.config import AcceleratorConfig, ConfigError, load
from .errors import input_errors

MACHINE = "Machine"

Preset = Annotated[
    str,
    typer.Option(
        help="The machine: tiny, ecp5, base or large.", metavar="NAME", rich_help_panel=MACHINE
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with parameters that replace those of the preset.",
        metavar="FILE",
        rich_help_panel=MACHINE,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="One parameter, such as array.rows=8. Repeatable.",
        metavar="NAME=VALUE",
        rich_help_panel=MACHINE,
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Also write the figures to this file.", metavar="FILE"),
]


def machine(preset: str, config: Path | None, settings: list[str] | None) -> AcceleratorConfig:
    """Return the machine that the options name.

    Raises
    ------
    InputError
        If the preset, the file or a setting is wrong.
    """
    with input_errors(ConfigError):
        return load(preset, settings or (), toml=config)
