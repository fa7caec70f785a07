"""A simulated board, pins and all, whose serial line the driver's `uart` device can use."""

from __future__ import annotations

import ctypes
from pathlib import Path

from ...gen.board_top import BOARD, TOP, board_top
from ...gen.boards import BoardDescription, component
from ...gen.verilog import emit
from ...hw.config import AcceleratorConfig
from ..simulator import build_library
from .library import emitted

HARNESS = Path(__file__).resolve().parent.parent / "harness" / "board" / "board.cpp"

BIT_CYCLES = 4
"""Cycles of a bit in simulation: the fewest that a receiver can do with."""

CLOCK_HZ = 1_000_000
"""The clock that a simulated board believes in; 20 ms of silence are 20,000 cycles of it."""

POWER_ON = 100
"""Cycles in which a board comes out of its reset."""

PATIENCE = 60_000
"""Three times the silence of the board, in cycles."""

_POINTER = ctypes.c_void_p
_LONG = ctypes.c_uint64
_WORD = ctypes.c_uint32

_FUNCTIONS = {
    "create": (_POINTER, [_WORD]),
    "destroy": (None, [_POINTER]),
    "send": (None, [_POINTER, ctypes.c_char_p, _LONG]),
    "run": (None, [_POINTER, _LONG, _LONG]),
    "receive": (_LONG, [_POINTER, ctypes.c_char_p, _LONG]),
    "press": (None, [_POINTER, _WORD, _LONG]),
    "lights": (_WORD, [_POINTER]),
    "cycle": (_LONG, [_POINTER]),
    "framing_errors": (_LONG, [_POINTER]),
}


def build(board: BoardDescription, config: AcceleratorConfig | None = None) -> Path:
    """Return the shared library of a board, built on the first call.

    Parameters
    ----------
    board : BoardDescription
    config : AcceleratorConfig, optional
        Another machine than the board's.

    Raises
    ------
    VerilatorError
        If the simulator is not installed or refuses the design.
    """
    machine = board.config if config is None else config

    def text() -> str:
        baud = CLOCK_HZ // BIT_CYCLES
        made = component(board, config=machine, clock_hz=CLOCK_HZ, baud=baud)
        return emit(made, BOARD).text + board_top(board, board.clock_mhz)

    verilog = emitted(f"board {board.name} {CLOCK_HZ} {BIT_CYCLES}", machine, text)
    return build_library(verilog, TOP, [HARNESS])


class SimulatedBoard:
    """A board whose clock runs while its serial line is read; a `sw.devices.uart.ByteStream`.

    Parameters
    ----------
    library : Path
        From `build`.
    patience : int
        Cycles without a byte after which reading gives up.
    """

    def __init__(self, library: Path, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._library = ctypes.CDLL(str(library))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, f"board_{name}")
            function.restype = result
            function.argtypes = arguments
        self._handle = self._library.board_create(BIT_CYCLES)
        self.press(pressed=False, cycles=POWER_ON)

    def close(self) -> None:
        """Free the simulation."""
        if self._handle is not None:
            self._library.board_destroy(self._handle)
            self._handle = None

    def write(self, data: bytes) -> int:
        """Queue bytes for the board; return how many."""
        self._library.board_send(self._handle, data, len(data))
        return len(data)

    def read(self, size: int) -> bytes:
        """Run until `size` bytes have come, or none for `patience` cycles; return those."""
        self._library.board_run(self._handle, size, self._patience)
        buffer = ctypes.create_string_buffer(size)
        count = self._library.board_receive(self._handle, buffer, size)
        return buffer.raw[:count]

    def press(self, *, pressed: bool, cycles: int) -> None:
        """Hold the button, or do not, for so many cycles."""
        self._library.board_press(self._handle, pressed, cycles)

    @property
    def lights(self) -> int:
        """The lights, as `gen.boards.LIGHTS` orders them, as levels of the pins."""
        return self._library.board_lights(self._handle)

    @property
    def cycle(self) -> int:
        """Cycles since power-on."""
        return self._library.board_cycle(self._handle)

    @property
    def framing_errors(self) -> int:
        """Bytes from the board without a stop bit."""
        return self._library.board_framing_errors(self._handle)
