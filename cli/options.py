"""Options that several commands share."""

import math
from pathlib import Path
from typing import Annotated

import typer

from ..hw.config import AcceleratorConfig, ConfigError
from ..hw.settings import load
from ..sw.energy import EnergyError, EnergyTable, read_table
from ..sw.passes.explore import Budget
from ..verif.devices.library import MemorySettings
from .errors import InputError, input_errors

MACHINE = "Machine"

Preset = Annotated[
    str,
    typer.Option(
        help="The machine: tiny, ecp5, base, large, or that of a board: ulx3s, ecpix5.",
        metavar="NAME",
        rich_help_panel=MACHINE,
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

SearchSeconds = Annotated[
    float | None,
    typer.Option(
        help="End the search for a tiling after this time; without it, after --candidates.",
        metavar="SECONDS",
        rich_help_panel="Search",
    ),
]
Candidates = Annotated[
    int,
    typer.Option(
        help="Tilings to schedule at most, from 1 on.", metavar="COUNT", rich_help_panel="Search"
    ),
]


def search_budget(candidates: int, seconds: float | None) -> Budget:
    """Return the budget that the options describe.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1, not {candidates}")
    if seconds is not None and not 0 <= seconds < math.inf:
        raise InputError(f"--search-seconds must be at least 0, not {seconds:g}")
    return Budget(candidates, seconds)


EnergyFile = Annotated[
    Path | None,
    typer.Option(
        "--energy", help="Energies of events, a TOML file; 45 nm by default.", metavar="FILE"
    ),
]


def energies(path: Path | None) -> EnergyTable:
    """Return the table of energies that the option names, or the default one.

    Raises
    ------
    InputError
        If the file is wrong.
    """
    with input_errors(EnergyError, prefix="--energy "):
        return read_table(path)


def machine(preset: str, config: Path | None, settings: list[str] | None) -> AcceleratorConfig:
    """Return the machine that the options name.

    Raises
    ------
    InputError
        If the preset, the file or a setting is wrong.
    """
    with input_errors(ConfigError):
        found = load(preset, settings or (), toml=config)
    if not isinstance(found.name, str):
        raise InputError(f"name must be a text, not {found.name!r}")
    return found


MEMORY = "Simulated memory"

Latency = Annotated[
    int,
    typer.Option(
        help="Cycles from a request to its first data, 1 to 100000.",
        metavar="CYCLES",
        rich_help_panel=MEMORY,
    ),
]
Bandwidth = Annotated[
    float,
    typer.Option(
        help="Beats a cycle each way, above 0 and at most 1.",
        metavar="SHARE",
        rich_help_panel=MEMORY,
    ),
]
Stalls = Annotated[
    int,
    typer.Option(
        help="Share of cycles in which each AXI channel is held back at random, 0 to 90.",
        metavar="PERCENT",
        rich_help_panel=MEMORY,
    ),
]
Seed = Annotated[
    int,
    typer.Option(help="Of the random stalls.", metavar="NUMBER", rich_help_panel=MEMORY),
]


def memory(latency: int, bandwidth: float, stalls: int, seed: int) -> MemorySettings:
    """Return the memory that the options describe.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    with input_errors(ValueError, prefix="--"):
        return MemorySettings(latency=latency, bandwidth=bandwidth, stall_percent=stalls, seed=seed)
