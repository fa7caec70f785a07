"""The simulated accelerator: a shared library of Verilog and C++, driven through `ctypes`."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import UNITS, Unit
from ...sw.cache import cached, digest
from ..simulator import TOP, build_library, elaborate

ROOT = Path(__file__).resolve().parent.parent.parent
HARNESS = ROOT / "verif" / "harness"

PACKAGES = (ROOT / "hw", ROOT / "gen")
"""What the Verilog of an accelerator depends on."""

BEATS = 1024
"""Cycles in which the settings count beats."""

SLAVE_ERROR = 2
DECODE_ERROR = 3


class SimulationError(RuntimeError):
    """The simulated machine broke a rule of AXI, or its registers do not answer."""


@dataclass(frozen=True)
class MemorySettings:
    """How the simulated memory behaves.

    Parameters
    ----------
    latency : int
        Cycles from an address to its first beat, and from the last data to the response; 1 to
        100000.
    bandwidth : float
        Beats a cycle a direction, above 0 and at most 1.
    stall_percent : int
        Cycles in which each of the five channels is held back, 0 to 90.
    outstanding : int
        Bursts a direction that the memory takes in before it answers, 1 to 64.
    seed : int
        Of the stalls.

    Raises
    ------
    ValueError
        Naming a value that is out of range.
    """

    latency: int = 1
    bandwidth: float = 1.0
    stall_percent: int = 0
    outstanding: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        ranges = {"latency": (1, 100_000), "stall_percent": (0, 90), "outstanding": (1, 64)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if not 1 / BEATS <= self.bandwidth <= 1:
            raise ValueError(f"bandwidth must be from 1/{BEATS} to 1, not {self.bandwidth}")


class _Settings(ctypes.Structure):
    """`MemorySettings` of verif/harness/settings.h."""

    _fields_ = [
        ("latency", ctypes.c_uint32),
        ("beats_per_1024", ctypes.c_uint32),
        ("stall_percent", ctypes.c_uint32),
        ("outstanding", ctypes.c_uint32),
        ("burst_beats", ctypes.c_uint32),
        ("seed", ctypes.c_uint64),
    ]


class _Event(ctypes.Structure):
    """`TraceEvent` of verif/harness/trace.h."""

    _fields_ = [
        ("unit", ctypes.c_uint32),
        ("index", ctypes.c_uint32),
        ("accepted", ctypes.c_uint64),
        ("done", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class Event:
    """One instruction on its unit.

    Parameters
    ----------
    unit : Unit
    index : int
        The instruction's place in the program.
    accepted, done : int
        Cycles since the simulation began.
    """

    unit: Unit
    index: int
    accepted: int
    done: int


_POINTER = ctypes.c_void_p
_WORD = ctypes.c_uint32
_LONG = ctypes.c_uint64

_FUNCTIONS = {
    "create": (_POINTER, [_LONG, _LONG]),
    "destroy": (None, [_POINTER]),
    "reset": (None, [_POINTER]),
    "configure": (None, [_POINTER, ctypes.POINTER(_Settings)]),
    "memory": (_POINTER, [_POINTER]),
    "beat_bytes": (_WORD, []),
    "add_fault": (None, [_POINTER, _LONG, _LONG, _WORD, _WORD, _WORD]),
    "clear_faults": (None, [_POINTER]),
    "read_register": (_WORD, [_POINTER, _WORD, ctypes.POINTER(_WORD)]),
    "write_register": (_WORD, [_POINTER, _WORD, _WORD]),
    "run": (_WORD, [_POINTER, _LONG]),
    "toggle": (None, [_POINTER, _LONG]),
    "cycle": (_LONG, [_POINTER]),
    "violation_count": (_LONG, [_POINTER]),
    "violation_lines": (_LONG, [_POINTER]),
    "violation": (ctypes.c_char_p, [_POINTER, _LONG]),
    "event_count": (_LONG, [_POINTER]),
    "events": (None, [_POINTER, ctypes.POINTER(_Event)]),
}


def _open(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, f"ageha_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


def emitted(what: str, config: AcceleratorConfig, emit: Callable[[], str]) -> str:
    """Return the Verilog of a design, kept as long as parameters and sources are the same.

    Parameters
    ----------
    what : str
        Tells designs of the same parameters apart.
    config : AcceleratorConfig
    emit : callable
        Returns the Verilog.
    """
    sources = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
    key = digest(
        what,
        json.dumps(config.to_dict(), sort_keys=True),
        importlib.metadata.version("amaranth"),
        *(path.read_text() for path in sources),
    )

    def write(folder: Path) -> None:
        (folder / "design.v").write_text(emit())

    return (cached("design", key, write) / "design.v").read_text()


def _verilog(config: AcceleratorConfig) -> str:
    """Return the Verilog of the accelerator of `config`."""

    def emit() -> str:
        from ...hw.accelerator import Accelerator

        return elaborate(Accelerator(config))

    return emitted("accelerator", config, emit)


def build(config: AcceleratorConfig) -> Path:
    """Return the shared library of `config`, built on the first call.

    Raises
    ------
    VerilatorError
        If the simulator is not installed or refuses the design.
    """
    return build_harness(_verilog(config), TOP)


def build_harness(verilog: str, top: str) -> Path:
    """Return the shared library of a design with the ports of the accelerator."""
    return build_library(verilog, top, sorted(HARNESS.glob("*.cpp")))


class Simulation:
    """A design, its clock and its memory.

    Parameters
    ----------
    library : Path
        From `build` or `build_harness`.
    memory_base, memory_bytes : int
        Addresses that the memory answers to.
    settings : MemorySettings
    burst_beats : int
        Longest burst that is no violation.
    """

    def __init__(
        self,
        library: Path,
        memory_base: int,
        memory_bytes: int,
        settings: MemorySettings,
        burst_beats: int = 256,
    ) -> None:
        self._library = _open(library)
        self._burst_beats = burst_beats
        self._handle = self._library.ageha_create(memory_base, memory_bytes)
        pointer = ctypes.cast(
            self._library.ageha_memory(self._handle), ctypes.POINTER(ctypes.c_uint8)
        )
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(pointer, shape=(memory_bytes,))
        self.configure(settings)

    def close(self) -> None:
        """Free the simulation; its memory must not be used any more."""
        if self._handle is not None:
            self._library.ageha_destroy(self._handle)
            self._handle = None

    def configure(self, settings: MemorySettings) -> None:
        """Change how the memory behaves, and begin its random stalls anew."""
        self.settings = settings
        beats = max(1, round(settings.bandwidth * BEATS))
        values = _Settings(
            settings.latency,
            beats,
            settings.stall_percent,
            settings.outstanding,
            self._burst_beats,
            settings.seed,
        )
        self._library.ageha_configure(self._handle, ctypes.byref(values))

    def reset(self) -> None:
        """Reset the design; the memory keeps its contents."""
        self._library.ageha_reset(self._handle)

    def add_fault(
        self, start: int, end: int, *, read: bool, write: bool, response: int = SLAVE_ERROR
    ) -> None:
        """Let addresses from `start` to below `end` answer with `response`."""
        self._library.ageha_add_fault(self._handle, start, end, read, write, response)

    def clear_faults(self) -> None:
        """Let all addresses of the memory answer OKAY again."""
        self._library.ageha_clear_faults(self._handle)

    def read_register(self, offset: int) -> int:
        """Return a register.

        Raises
        ------
        SimulationError
            If the port does not answer.
        """
        value = _WORD()
        if not self._library.ageha_read_register(self._handle, offset, ctypes.byref(value)):
            raise SimulationError(f"register {offset:#x} does not answer a read")
        return value.value

    def write_register(self, offset: int, value: int) -> None:
        """Write a register; errors as `read_register`."""
        if not self._library.ageha_write_register(self._handle, offset, value):
            raise SimulationError(f"register {offset:#x} does not answer a write")

    def run(self, cycles: int) -> bool:
        """Run until the interrupt is high; return False after `cycles` cycles without."""
        return bool(self._library.ageha_run(self._handle, cycles))

    def toggle(self, cycles: int) -> None:
        """Toggle the clock and do nothing else."""
        self._library.ageha_toggle(self._handle, cycles)

    @property
    def cycle(self) -> int:
        """Cycles since the simulation began."""
        return self._library.ageha_cycle(self._handle)

    @property
    def violations(self) -> list[str]:
        """The first violations of AXI since the simulation began, a line each."""
        lines = self._library.ageha_violation_lines(self._handle)
        return [
            self._library.ageha_violation(self._handle, place).decode() for place in range(lines)
        ]

    def events(self) -> Iterator[Event]:
        """Yield the instructions that were finished since the last reset."""
        buffer = (_Event * self._library.ageha_event_count(self._handle))()
        self._library.ageha_events(self._handle, buffer)
        for event in buffer:
            yield Event(UNITS[event.unit], event.index, event.accepted, event.done)
