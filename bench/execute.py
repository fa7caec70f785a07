"""Run a program on the golden model and on the simulated Verilog, and measure what happens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.driver import WINDOW_ALIGNMENT, Result, run_program
from ..sw.program import Program
from ..verif.devices.golden import GoldenDevice
from ..verif.devices.library import Event, MemorySettings, build
from ..verif.devices.rtl import OnCycles, RtlDevice
from ..verif.verilator import verilator_root

PATIENCE = 3600.0
"""Seconds to wait for the simulated Verilog; a machine that hangs is stopped by its watchdog."""


@dataclass(frozen=True)
class Execution:
    """One run of a program.

    Parameters
    ----------
    outputs : mapping of str to array
    counters : mapping of str to int
    trace : sequence of Event
        Empty for the golden model.
    """

    outputs: Mapping[str, NDArray]
    counters: Mapping[str, int]
    trace: Sequence[Event] = ()


def memory_bytes(program: Program) -> int:
    """Return the bytes of memory that the windows of `program` take on a device."""
    pages = (-(-window.size // WINDOW_ALIGNMENT) for window in program.windows)
    return WINDOW_ALIGNMENT * sum(pages)


def run_golden(program: Program, inputs: Mapping[str, NDArray]) -> Execution:
    """Run `program` on the golden model; errors as `sw.driver.run_program`."""
    device = GoldenDevice(program.config, memory_bytes(program))
    return _execution(run_program(device, program, inputs), ())


def run_rtl(
    program: Program,
    inputs: Mapping[str, NDArray],
    settings: MemorySettings,
    library: Path | None = None,
    on_cycles: OnCycles | None = None,
) -> Execution:
    """Run `program` on the simulated Verilog; errors as `sw.driver.run_program`.

    Parameters
    ----------
    program : Program
    inputs : mapping of str to array
    settings : MemorySettings
    library : Path, optional
        From `build_library`; built unless given.
    on_cycles : callable, optional
        As `RtlDevice` takes it.
    """
    size, config = memory_bytes(program), program.config
    with RtlDevice(config, size, settings=settings, library=library, on_cycles=on_cycles) as device:
        result = run_program(device, program, inputs, timeout=PATIENCE)
        return _execution(result, tuple(device.simulation.events()))


def build_library(config: AcceleratorConfig) -> Path:
    """Return the simulator of `config`, built on the first call.

    Raises
    ------
    VerilatorError
        If Verilator or g++ is missing.
    """
    verilator_root()  # A missing simulator shows before the Verilog is written.
    return build(config)


def _execution(result: Result, trace: Sequence[Event]) -> Execution:
    return Execution(result.outputs, result.counters, trace)
