"""How fast whole programs are simulated, next to a loop that only toggles the clock."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.config import AcceleratorConfig
from ..sw.driver import load_program
from ..verif.devices.golden import GoldenDevice
from ..verif.devices.library import build
from ..verif.devices.rtl import RtlDevice
from ..verif.programs import steady_program

MEMORY_BYTES = 4 << 20

REPETITIONS = 5
"""Measurements of each kind, taken in turns; the fastest counts, as other load only slows down."""

CYCLES = 200_000
"""About how many cycles the program takes."""

CYCLES_PER_ROUND = 8 * 8 * 24


class SimulationMismatch(RuntimeError):
    """The simulated Verilog and the golden model differ."""


@contextmanager
def _empty_build_folder() -> Iterator[None]:
    """Let everything that is built be built anew, and be deleted afterwards."""
    before = os.environ.get("AGEHA_BUILD")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGEHA_BUILD"] = folder
        try:
            yield
        finally:
            del os.environ["AGEHA_BUILD"]
            if before is not None:
                os.environ["AGEHA_BUILD"] = before


def _seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds that `action` takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


def measure_speed(config: AcceleratorConfig, library: Path) -> dict[str, Any]:
    """Run a whole program through the driver, and the bare clock as long, on one model.

    Parameters
    ----------
    config : AcceleratorConfig
    library : Path
        From `verif.devices.library.build`.

    Returns
    -------
    dict
        ``cycles`` of the program, ``cycles_per_second`` and ``bare_cycles_per_second`` of
        processor time, and their ``ratio``.

    Raises
    ------
    SimulationMismatch
        If the program's results are not those of the golden model.
    """
    rounds = -(-CYCLES // (CYCLES_PER_ROUND * config.array.rows))
    program, inputs = steady_program(config, rounds)
    golden = load_program(GoldenDevice(config, MEMORY_BYTES), program).run(inputs)
    with RtlDevice(config, MEMORY_BYTES, library=library) as device:
        simulation = device.simulation
        loaded = load_program(device, program)
        first = simulation.cycle
        outputs = loaded.run(inputs).outputs
        cycles = simulation.cycle - first
        for name, values in golden.outputs.items():
            if not np.array_equal(values, outputs[name]):
                raise SimulationMismatch(f"{name} is not what the golden model gives")
        timed = [
            (_seconds(lambda: loaded.run(inputs)), _seconds(lambda: simulation.toggle(cycles)))
            for _ in range(REPETITIONS)
        ]
    program_seconds, bare_seconds = (min(column) for column in zip(*timed, strict=True))
    return {
        "cycles": cycles,
        "cycles_per_second": round(cycles / program_seconds),
        "bare_cycles_per_second": round(cycles / bare_seconds),
        "ratio": round(bare_seconds / program_seconds, 3),
    }


def measure_simulation(config: AcceleratorConfig, *, rebuild: bool = True) -> dict[str, Any]:
    """Return the record of one preset.

    Parameters
    ----------
    config : AcceleratorConfig
    rebuild : bool
        Build the model anew, so that ``build_seconds`` is the time from nothing.

    Returns
    -------
    dict
        ``bench``, ``preset``, ``case``, ``build_seconds`` and the keys of `measure_speed`.

    Raises
    ------
    SimulationMismatch, VerilatorError
    """
    if rebuild:
        with _empty_build_folder():
            return measure_simulation(config, rebuild=False)
    start = time.monotonic()
    library = build(config)
    build_seconds = time.monotonic() - start
    return {
        "bench": "simulate",
        "preset": config.name,
        "case": "steady",
        "build_seconds": round(build_seconds, 2),
        **measure_speed(config, library),
    }
