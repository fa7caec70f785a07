"""A device that is the simulated Verilog of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...hw.config import AcceleratorConfig
from .library import MemorySettings, Simulation, SimulationError, build

DEFAULT_BYTES = 64 << 20

SLICE = 200_000
"""Cycles between two looks at the wall clock."""

OnCycles = Callable[[int], None]
"""Takes the cycles that were run since the last call; what it raises ends the run."""


class RtlDevice:
    """Simulates the Verilog that `ageha generate` emits, with a memory in C++.

    Use it in a ``with`` statement, or call `close`.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_bytes : int
        Size of its DRAM.
    settings : MemorySettings, optional
        How the DRAM behaves; a perfect memory unless given.
    library : Path, optional
        What `verif.devices.library.build` returned; built unless given.
    memory_base : int
        Physical address of the DRAM.
    on_cycles : callable, optional
        Told while a program runs how many cycles have passed, every `SLICE`.

    Attributes
    ----------
    simulation : Simulation
        For fault addresses, other settings and the trace.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory_bytes: int = DEFAULT_BYTES,
        *,
        settings: MemorySettings | None = None,
        library: Path | None = None,
        memory_base: int = 0,
        on_cycles: OnCycles | None = None,
    ) -> None:
        self.config = config
        self._on_cycles = on_cycles or (lambda cycles: None)
        self.memory_base = memory_base
        self.memory_bytes = memory_bytes
        self.simulation = Simulation(
            library or build(config),
            memory_base,
            memory_bytes,
            settings or MemorySettings(),
            config.axi.burst_beats,
        )

    def __enter__(self) -> RtlDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        self.simulation.close()

    def read_register(self, offset: int) -> int:
        """Return a register, over AXI4-Lite."""
        return self.simulation.read_register(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Write a register, over AXI4-Lite."""
        self.simulation.write_register(offset, value)

    def read_memory(self, address: int, size: int) -> bytes:
        """Return bytes of the DRAM, past the bus."""
        start = address - self.memory_base
        return self.simulation.memory[start : start + size].tobytes()

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the DRAM, past the bus."""
        start = address - self.memory_base
        self.simulation.memory[start : start + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def wait_for_interrupt(self, timeout: float) -> bool:
        """Run the clock until the interrupt is high, for at most `timeout` seconds.

        Raises
        ------
        SimulationError
            If the machine has broken a rule of AXI.
        """
        end = time.monotonic() + timeout
        found = self.simulation.run(SLICE)
        while not found and time.monotonic() < end:
            self._on_cycles(SLICE)
            found = self.simulation.run(SLICE)
        violations = self.simulation.violations
        if violations:
            raise SimulationError(f"AXI violation at {violations[0]}")
        return found
