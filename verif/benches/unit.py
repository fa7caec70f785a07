"""What benches of units share: clock and reset, instructions, done, faults and halt."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from ...hw.config import INSTRUCTION_BYTES, AcceleratorConfig, from_dict
from ...hw.isa import ErrorCode
from ...hw.ports import fault_layout
from ..golden.fault import Fault
from ..parameters import parameters

CYCLE_LIMIT = 20_000
"""Cycles after which waiting fails."""


def configuration() -> AcceleratorConfig:
    """Return the configuration that the test gave as ``parameters["config"]``."""
    return from_dict(parameters()["config"])


async def reset(dut: Any) -> None:
    """Start the clock and hold the reset for two cycles."""
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


class UnitDriver:
    """Plays the controller for the port `control` of a unit.

    Attributes
    ----------
    done : int
        Instructions that were finished.
    cycle : int
        Cycles since the driver was made.
    on_done : callable, optional
        Called with the number of the finished instruction, in the cycle of `done`.
    """

    def __init__(self, dut: Any, stall: Callable[[], bool] = lambda: False) -> None:
        self.dut = dut
        self.done = 0
        self.cycle = 0
        self.on_done: Callable[[int], None] | None = None
        self._stall = stall
        self._waiting: deque[tuple[bytes, int]] = deque()
        dut.control_halt.value = 0
        dut.control_instruction_valid.value = 0
        cocotb.start_soon(self._issue())
        cocotb.start_soon(self._watch())

    def issue(self, word: bytes, index: int) -> None:
        """Queue an instruction."""
        self._waiting.append((word, index))

    @property
    def waiting(self) -> int:
        """Instructions that the unit has not taken."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether the unit says that it is busy."""
        return bool(int(self.dut.control_busy.value))

    @property
    def fault(self) -> tuple[Fault, int] | None:
        """The fault that the unit reports and the index of its instruction."""
        fields = fault_layout.from_bits(int(self.dut.control_fault.value))
        if not fields.valid:
            return None
        return Fault(ErrorCode(fields.code), fields.address), fields.index

    async def finish(self, count: int) -> None:
        """Wait until `count` instructions are done since the beginning; a fault is an error."""
        await self.until(lambda: self.done >= count, allow_fault=False)

    async def faulted(self) -> tuple[Fault, int]:
        """Wait for a fault and return it and the index of its instruction."""
        await self.until(lambda: self.fault is not None)
        assert self.fault is not None
        return self.fault

    async def until(self, condition: Callable[[], bool], *, allow_fault: bool = True) -> None:
        """Wait for a condition, `CYCLE_LIMIT` cycles at most."""
        for _ in range(CYCLE_LIMIT):
            await RisingEdge(self.dut.clk)
            assert allow_fault or self.fault is None, f"unexpected fault {self.fault}"
            if condition():
                return
        raise AssertionError(f"nothing happened in {CYCLE_LIMIT} cycles; {self.done} done")

    async def halt(self) -> None:
        """Halt the unit, drop what waits, and return once it is in its reset state."""
        self.dut.control_halt.value = 1
        self._waiting.clear()
        await RisingEdge(self.dut.clk)
        await self.until(lambda: not self.busy)
        for _ in range(3):
            await RisingEdge(self.dut.clk)
            assert not self.busy and self.fault is None
        self.dut.control_halt.value = 0

    async def _issue(self) -> None:
        dut = self.dut
        while True:
            offered = bool(self._waiting) and not self._stall()
            if offered:
                word, index = self._waiting[0]
                bits = int.from_bytes(word, "little") | index << 8 * INSTRUCTION_BYTES
                dut.control_instruction_payload.value = bits
            dut.control_instruction_valid.value = offered
            await RisingEdge(dut.clk)
            taken = offered and int(dut.control_instruction_ready.value)
            while offered and self._waiting and not taken:
                await RisingEdge(dut.clk)
                taken = int(dut.control_instruction_ready.value)
            if taken and self._waiting:
                self._waiting.popleft()

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            if int(self.dut.control_done.value):
                assert self.fault is None, "done after a fault"
                self.done += 1
                if self.on_done:
                    self.on_done(self.done)
