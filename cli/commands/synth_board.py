"""`ageha synth --board`: a bitstream for a board."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from ...bench.board import build_board
from ...gen.boards import BOARDS, BoardDescription, board_named
from ...gen.constraints import lpf
from ...gen.synthesis import SynthesisError
from ...hw.config import AcceleratorConfig, ConfigError
from ..console import output, step
from ..errors import InputError, ResultError, input_errors
from ..output import require_writable, require_writable_folder, staged_folder, write_json

HEADS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM"}


def board_option(name: str) -> BoardDescription:
    """Return the board that an option names.

    Raises
    ------
    InputError
        If there is no such board.
    """
    if name not in BOARDS:
        raise InputError(f"--board must be one of {', '.join(BOARDS)}, not {name!r}")
    return board_named(name)


def board_table(record: Mapping[str, Any]) -> Table:
    """Return what a board's design takes of its FPGA, as a table.

    Parameters
    ----------
    record : mapping
        What `build_board` returns.
    """
    table = Table("", *(Column(text, justify="right") for text in HEADS.values()))
    table.title = f"{record['fmax_mhz']:.1f} MHz, seed {record['seed']}"
    available = record["available"]
    table.add_row("used", *(f"{record[key]:,}" for key in HEADS))
    table.add_row("of", *(f"{available[key]:,}" for key in HEADS))
    table.add_row("", *(f"{record[key] / available[key]:.0%}" for key in HEADS))
    return table


def synth_board(
    board: BoardDescription,
    config: AcceleratorConfig,
    clock_mhz: int | None,
    seed: int,
    target: Path,
    json_file: Path | None,
) -> None:
    """Make a bitstream and write it with its Verilog, constraints and report.

    Parameters
    ----------
    board : BoardDescription
    config : AcceleratorConfig
        The machine on it.
    clock_mhz : int, optional
        Of the machine; the board's unless given.
    seed : int
        Of the placement.
    target : Path
        Where the files go; nothing is written there if anything fails.
    json_file : Path, optional

    Raises
    ------
    InputError
        If the clock cannot be made, a tool is missing or the design does not fit.
    ResultError
        If the design is too slow for the clock.
    """
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    clock = board.machine_mhz if clock_mhz is None else clock_mhz
    with input_errors(SynthesisError, ConfigError):
        record, files = build_board(board, config, clock, seed, step)
    output.print(board_table(record))
    if record["fmax_mhz"] < clock:
        write_json("--json", json_file, [{"bench": "board", "case": board.name, **record}])
        raise ResultError(
            f"{board.name} reaches {record['fmax_mhz']:.1f} MHz, less than its clock of {clock} "
            f"MHz: choose a slower --clock or another --seed; no bitstream is written"
        )
    with staged_folder("--output", target) as folder:
        for suffix, path in files.items():
            (folder / f"{board.name}.{suffix}").write_bytes(path.read_bytes())
        (folder / f"{board.name}.lpf").write_text(lpf(board), encoding="utf-8")
    output.print(f"bitstream: {target / board.name}.bit", markup=False)
    write_json("--json", json_file, [{"bench": "board", "case": board.name, **record}])
