"""Boards that the whole machine is built for, with memory of its own and a serial line."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.board import Board
from ..hw.config import AcceleratorConfig, ConfigError, preset

LIGHTS = ("busy", "done", "error", "alive")
"""The lights of a board, the first one at bit 0."""

SILENCE_MILLISECONDS = 20
"""Longest pause inside a request: USB bridges send in blocks, some milliseconds apart."""

LIGHT_MILLISECONDS = 100
"""A light stays on for so long at least."""


@dataclass(frozen=True)
class Pin:
    """A pin of an ECP5.

    Parameters
    ----------
    port : str
        The port of the top module.
    site : str
        The ball of the package.
    attributes : str
        Of its buffer, in Lattice's words.
    """

    port: str
    site: str
    attributes: str


@dataclass(frozen=True)
class BoardDescription:
    """A board with an ECP5.

    Parameters
    ----------
    name : str
        Also the name of the preset of the machine that is put on it.
    title : str
        For people.
    device : tuple of str
        Arguments by which nextpnr knows the device.
    clock_mhz : int
        Of the oscillator.
    machine_mhz : int
        Of the machine, unless another clock is asked for.
    pins : tuple of Pin
    button_pressed, light_on : int
        Levels.
    constants : mapping of str to int
        Ports that have a fixed level, and which.
    baud : int
        Of the serial line unless another is asked for.
    memory_bytes : int
        Of the block RAM behind the accelerator.
    source : str
        Where the pins are written down.
    """

    name: str
    title: str
    device: tuple[str, ...]
    clock_mhz: int
    machine_mhz: int
    pins: tuple[Pin, ...]
    button_pressed: int
    light_on: int
    constants: Mapping[str, int]
    baud: int
    memory_bytes: int
    source: str

    @property
    def config(self) -> AcceleratorConfig:
        """The machine that is put on the board."""
        return preset(self.name)


_INPUT = "IO_TYPE=LVCMOS33 PULLMODE=NONE"
_LINE = "IO_TYPE=LVCMOS33 PULLMODE=UP"
_LIGHT = "IO_TYPE=LVCMOS33 DRIVE=4"


def _lights(sites: str) -> tuple[Pin, ...]:
    return tuple(Pin(f"lights[{bit}]", site, _LIGHT) for bit, site in enumerate(sites.split()))


ULX3S = BoardDescription(
    name="ulx3s",
    title="Radiona ULX3S with an LFE5U-85F",
    device=("--85k", "--package", "CABGA381", "--speed", "6"),
    clock_mhz=25,
    machine_mhz=25,
    pins=(
        Pin("clock", "G2", _INPUT),
        Pin("button", "R1", "IO_TYPE=LVCMOS33 PULLMODE=DOWN"),
        Pin("serial_in", "M1", _LINE),
        Pin("serial_out", "L4", f"{_LINE} DRIVE=4"),
        *_lights("B2 C2 C1 D2"),
        Pin("wifi_gpio0", "L2", f"{_LINE} DRIVE=4"),
    ),
    button_pressed=1,
    light_on=1,
    # Low, this pin lets the radio module take the board over.
    constants={"wifi_gpio0": 1},
    baud=1_000_000,
    memory_bytes=128 << 10,
    source="github.com/emard/ulx3s, doc/constraints/ulx3s_v20.lpf; button: FIRE1",
)

ECPIX5 = BoardDescription(
    name="ecpix5",
    title="LambdaConcept ECPIX-5 with an LFE5UM5G-85F",
    device=("--um5g-85k", "--package", "CABGA554", "--speed", "8"),
    clock_mhz=100,
    machine_mhz=25,
    pins=(
        Pin("clock", "K23", _INPUT),
        Pin("button", "AB1", _LINE),
        Pin("serial_in", "R26", _LINE),
        Pin("serial_out", "R24", f"{_LINE} DRIVE=4"),
        # One colour of each light: green where all is well, red for errors.
        *_lights("W21 R21 K21 R23"),
    ),
    button_pressed=0,
    light_on=0,
    constants={},
    baud=1_000_000,
    memory_bytes=128 << 10,
    source="github.com/amaranth-lang/amaranth-boards, amaranth_boards/ecpix5.py; button: reset",
)

BOARDS: Mapping[str, BoardDescription] = {board.name: board for board in (ULX3S, ECPIX5)}
"""The boards that a bitstream can be made for."""


def board_named(name: str) -> BoardDescription:
    """Return the board called `name`.

    Raises
    ------
    ConfigError
        If there is no such board.
    """
    if name not in BOARDS:
        raise ConfigError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


def component(
    board: BoardDescription,
    *,
    config: AcceleratorConfig | None = None,
    clock_hz: int | None = None,
    baud: int | None = None,
) -> Board:
    """Return what is put on a board, but for its clock and pins.

    Parameters
    ----------
    board : BoardDescription
    config : AcceleratorConfig, optional
        Another machine than the one that fits the board.
    clock_hz, baud : int, optional
        Those of the board unless given.

    Raises
    ------
    ConfigError
        If the serial line cannot be made of the clock.
    """
    hertz = board.machine_mhz * 1_000_000 if clock_hz is None else clock_hz
    return Board(
        board.config if config is None else config,
        memory_bytes=board.memory_bytes,
        clock_hz=hertz,
        baud=board.baud if baud is None else baud,
        silence_cycles=SILENCE_MILLISECONDS * hertz // 1000,
        light_cycles=LIGHT_MILLISECONDS * hertz // 1000,
    )
