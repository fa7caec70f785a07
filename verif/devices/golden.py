"""A device that is the golden model of the whole machine."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode
from ...hw.registers import COUNTERS, Access, register_map
from ...sw.instruction import Dram
from ..golden.controller import Outcome
from ..golden.machine import Machine
from ..golden.window import Window
from ..golden.window_table import admitted

DEFAULT_BYTES = 64 << 20
NO_ERROR = Outcome(ErrorCode.NONE, 0, 0, 0)


class GoldenDevice:
    """Executes programs with `verif.golden.machine.Machine`, at once when they are started.

    It counts instructions, multiplications and bytes, but no cycles.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_bytes : int
        Size of its DRAM.
    seed : int, optional
        Order of units that no semaphore orders; see `Machine`.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory_bytes: int = DEFAULT_BYTES,
        *,
        seed: int | None = None,
    ) -> None:
        self.config = config
        self.memory_base = 0
        self.memory_bytes = memory_bytes
        self.machine = Machine(config, np.zeros(memory_bytes, dtype=np.uint8), seed=seed)
        self._registers = {register.name: register for register in register_map(config)}
        self._names = {register.offset: name for name, register in self._registers.items()}
        self._values = {name: register.reset for name, register in self._registers.items()}

    def read_register(self, offset: int) -> int:
        """Return a register; reading clears what the register map says."""
        name = self._names.get(offset)
        if name is None:
            return 0
        value = self._values[name]
        for field in self._registers[name].fields:
            if field.access is Access.READ_CLEAR:
                self._values[name] &= ~field.mask
        return value

    def write_register(self, offset: int, value: int) -> None:
        """Write a register; starting a program executes it."""
        name = self._names.get(offset)
        if name is None:
            return
        for field in self._registers[name].fields:
            if field.access is Access.READ_WRITE:
                kept = self._values[name] & ~field.mask
                self._values[name] = kept | value & field.mask
            elif field.access is Access.WRITE_TOGGLE:
                self._values[name] ^= value & field.mask
        if name == "control" and value & 1:
            self._start()
        if name == "soft_reset" and value & 1:
            self._set_error(NO_ERROR)
            self._values["control"] = self._registers["control"].reset
            self._values["interrupt_status"] = 0

    def read_memory(self, address: int, size: int) -> bytes:
        """Return bytes of the DRAM."""
        return self.machine.dram[address : address + size].tobytes()

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the DRAM."""
        self.machine.dram[address : address + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def wait_for_interrupt(self, timeout: float) -> bool:
        """Tell whether the interrupt is high; a program has ended when its start returns."""
        del timeout
        enabled = self._values["global_interrupt_enable"] & 1
        return bool(enabled and self._values["interrupt_status"])

    def _long(self, name: str) -> int:
        return self._values[f"{name}_low"] | self._values[f"{name}_high"] << 32

    def _set_long(self, name: str, value: int) -> None:
        self._values[f"{name}_low"] = value & 0xFFFF_FFFF
        self._values[f"{name}_high"] = value >> 32

    def _windows(self) -> list[Window]:
        flags = [
            self._values[f"window{index}_flags"] for index in range(self.config.controller.windows)
        ]
        opened = [
            Window(
                self._long(f"window{index}_base"),
                self._long(f"window{index}_size"),
                bool(flag & 1),
                bool(flag & 2),
            )
            for index, flag in enumerate(flags)
        ]
        return admitted(self.config, opened)

    def _start(self) -> None:
        self.machine.windows = self._windows()
        place = self._long("program_address")
        address = Dram(place >> 56, place & (1 << 48) - 1)
        outcome = self.machine.run(address, self._values["program_length"])
        self._set_error(outcome)
        counted = asdict(self.machine.statistics)
        for counter in COUNTERS:
            self._set_long(counter.name, counted.get(counter.name, 0))
        self._values["control"] = 0b1110
        events = 0b011 | (0b100 if self._values["error_code"] else 0)
        self._values["interrupt_status"] |= events & self._values["interrupt_enable"]

    def _set_error(self, outcome: Outcome) -> None:
        self._values["error_code"] = outcome.code.value
        self._values["error_index"] = outcome.index
        self._set_long("error_address", outcome.address)
