"""Constraint files: pins of boards, and the clock from one period."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.config import ConfigError
from .boards import BOARDS, BoardDescription

DEFAULT_PERIOD = 10.0
"""Nanoseconds of the accelerator's clock unless another period is asked for."""

SHORTEST, LONGEST = 1.0, 1000.0

CLOCK = "clk"
"""The clock port of the accelerator."""


@dataclass(frozen=True)
class ProcessorBoard:
    """A board where the accelerator stands beside a processor that gives clock and memory.

    Parameters
    ----------
    name, title : str
    lights : mapping of str to str
        Package pin of each status output of the accelerator that the block design may bring out.
    source : str
        Where the pins are written down.
    """

    name: str
    title: str
    lights: Mapping[str, str]
    source: str


PROCESSOR_BOARDS: Mapping[str, ProcessorBoard] = {
    board.name: board
    for board in (
        ProcessorBoard(
            "pynq_z2",
            "TUL PYNQ-Z2, Zynq XC7Z020",
            {"idle": "R14", "failed": "P14"},
            "the master XDC of the PYNQ-Z2, version 1.0: LD0 and LD1",
        ),
        ProcessorBoard(
            "kv260",
            "AMD Kria KV260, Zynq UltraScale+ XCK26",
            {"idle": "H12", "failed": "E10"},
            "the carrier card's PMOD J2, pins 1 and 3: lights are to be plugged in",
        ),
    )
}
"""Boards whose bitstream is a block design of Vivado's."""


def check_period(period: float) -> None:
    """Refuse a clock period out of range.

    Raises
    ------
    ConfigError
        If it is not from 1 to 1000 ns.
    """
    if not SHORTEST <= period <= LONGEST:
        raise ConfigError(f"the period must be from {SHORTEST:g} to {LONGEST:g} ns, not {period:g}")


def lpf(board: BoardDescription) -> str:
    """Return Lattice constraints: every pin, and the oscillator.

    The clock of a PLL follows from the oscillator's.
    """
    lines = [
        f"# {board.title}",
        f"# Pins: {board.source}",
        "BLOCK RESETPATHS;",
        "BLOCK ASYNCPATHS;",
    ]
    for pin in board.pins:
        lines.append(f'LOCATE COMP "{pin.port}" SITE "{pin.site}";')
        lines.append(f'IOBUF PORT "{pin.port}" {pin.attributes};')
    lines.append(f'FREQUENCY PORT "clock" {board.clock_mhz} MHZ;')
    return "\n".join(lines) + "\n"


def sdc(period: float) -> str:
    """Return constraints that any tool reads: the clock of the accelerator.

    Parameters
    ----------
    period : float
        Nanoseconds.

    Raises
    ------
    ConfigError
        If the period is out of range.
    """
    check_period(period)
    return f"""# The accelerator has one clock, and no path from port to port.
create_clock -name {CLOCK} -period {period:.3f} [get_ports {CLOCK}]
"""


def xdc(board: ProcessorBoard, period: float) -> str:
    """Return constraints for Vivado.

    They are for the accelerator out of context, or as the top module; in a block design the
    processor defines the clock, and the lights count if the design brings them out.

    Parameters
    ----------
    board : ProcessorBoard
    period : float
        Nanoseconds.

    Raises
    ------
    ConfigError
        If the period is out of range.
    """
    check_period(period)
    lines = [
        f"# {board.title}",
        f"# Pins: {board.source}",
        f"create_clock -quiet -name {CLOCK} -period {period:.3f} [get_ports -quiet {CLOCK}]",
    ]
    for port, pin in board.lights.items():
        lines += [
            f"set_property -quiet PACKAGE_PIN {pin} [get_ports -quiet {port}]",
            f"set_property -quiet IOSTANDARD LVCMOS33 [get_ports -quiet {port}]",
            f"set_false_path -quiet -to [get_ports -quiet {port}]",
        ]
    return "\n".join(lines) + "\n"


def constraint_files(period: float = DEFAULT_PERIOD) -> dict[str, str]:
    """Return all constraint files by their path below ``constraints/``.

    Parameters
    ----------
    period : float
        Nanoseconds of the accelerator's clock.

    Raises
    ------
    ConfigError
        If the period is out of range.
    """
    files = {"generic/accelerator.sdc": sdc(period)}
    files |= {f"{board.name}/{board.name}.lpf": lpf(board) for board in BOARDS.values()}
    files |= {
        f"{board.name}/{board.name}.xdc": xdc(board, period) for board in PROCESSOR_BOARDS.values()
    }
    return files
