"""Bitstreams of boards: three steps, each kept until what it depends on changes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..gen.bitstream import (
    BITSTREAM,
    CONFIGURATION,
    PACKING_TOOL,
    PLACEMENT_TOOL,
    REPORT,
    board_files,
    board_verilog,
    pack_board,
    place_board,
    placement_arguments,
    read_placed,
)
from ..gen.boards import BoardDescription
from ..gen.constraints import lpf
from ..gen.ecp5_netlist import NETLIST, YOSYS, synthesise_ecp5
from ..gen.synthesis import DESIGN, find_tool
from ..hw.config import AcceleratorConfig
from ..sw.cache import cached, digest
from .resources import tool_version

Step = Callable[[str], AbstractContextManager[Any]]


def require_board_tools() -> None:
    """Refuse to begin what cannot be finished.

    Raises
    ------
    SynthesisError
        Naming the first tool that is missing, and its package.
    """
    for name in (YOSYS, PLACEMENT_TOOL, PACKING_TOOL):
        find_tool(name)


def build_board(
    board: BoardDescription,
    config: AcceleratorConfig,
    clock_mhz: int,
    seed: int,
    step: Step,
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Make the bitstream of a board.

    Parameters
    ----------
    board : BoardDescription
    config : AcceleratorConfig
        The machine on it.
    clock_mhz : int
        Of the machine.
    seed : int
        Of the placement.
    step : callable
        Gets what is being done; the context that it gives lasts as long.

    Returns
    -------
    tuple
        A record (``board``, ``preset``, ``clock_mhz``, ``fmax_mhz``, ``seed``, and ``lut``,
        ``ff``, ``dsp``, ``bram`` with ``available`` of each), and files by their suffix: ``bit``,
        ``v``, ``json``.

    Raises
    ------
    ConfigError
        If the clock, or the serial line from it, cannot be made.
    SynthesisError
        If a tool is missing or gives no result, as when the design does not fit.
    """
    require_board_tools()
    with step(f"Generating the Verilog of {board.name}"):
        verilog = board_verilog(board, config, clock_mhz)
    placer = tool_version(PLACEMENT_TOOL)
    synthesised = board_files(verilog)
    netlist_key = digest(synthesised, tool_version(YOSYS))
    arguments = placement_arguments(board, clock_mhz, seed)
    placement_key = digest(netlist_key, lpf(board), arguments, placer)

    with step(f"Synthesising {board.name} (many minutes, the first time)"):
        netlist = cached(
            "board-netlist", netlist_key, lambda folder: synthesise_ecp5(synthesised, folder)
        )
    with step(f"Placing and routing {board.name} (many minutes, the first time)"):
        placement = cached(
            "board-placement",
            placement_key,
            lambda folder: place_board(board, netlist / NETLIST, clock_mhz, seed, folder),
        )
    with step(f"Packing the bitstream of {board.name}"):
        packed = cached(
            "board-bitstream",
            digest(placement_key, placer),
            lambda folder: pack_board(placement / CONFIGURATION, folder),
        )
    placed = read_placed(placement / REPORT)
    record = {
        "board": board.name,
        "preset": config.name,
        "clock_mhz": clock_mhz,
        "fmax_mhz": placed.fmax_mhz,
        "seed": seed,
        **placed.used,
        "available": placed.available,
    }
    files = {
        "bit": packed / BITSTREAM,
        "v": netlist / DESIGN,
        "json": placement / REPORT,
    }
    return record, files
