"""Units without a function, for benches of what controls units."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from ...hw.isa import INSTRUCTION_BITS, ErrorCode
from ...hw.ports import INDEX_BITS, fault_layout


@dataclass
class Plan:
    """What a stub unit does wrong.

    Parameters
    ----------
    fault_at : int, optional
        The instruction that fails with `code` and `address` instead of being done.
    stuck_at : int, optional
        The instruction that is never done.
    """

    fault_at: int | None = None
    code: ErrorCode = ErrorCode.ILLEGAL_OPERAND
    address: int = 0
    stuck_at: int | None = None


@dataclass
class StubUnit:
    """Drives the ports of one unit: takes instructions, takes its time, is done.

    Parameters
    ----------
    dut : the design
    name : str
        Prefix of its ports, such as ``load``.
    random : random.Random
        Draws times and readiness.
    log : list
        Gets ``("taken" or "done", name, index)`` for each event.
    longest : int
        Most cycles that an instruction takes.
    overlap : int
        Instructions that the unit takes before it is done with the first.
    """

    dut: Any
    name: str
    random: random.Random
    log: list[tuple[str, str, int]]
    longest: int = 20
    overlap: int = 3
    plan: Plan = field(default_factory=Plan)
    _flying: deque[int] = field(default_factory=deque)
    _left: int = 0
    _draining: int = 0

    def start(self) -> None:
        """Set the outputs to idle and begin."""
        self._stop()
        cocotb.start_soon(self._run())

    def _port(self, name: str):
        return getattr(self.dut, f"{self.name}_{name}")

    def _stop(self) -> None:
        self._flying.clear()
        for port in ("instruction_ready", "done", "busy", "fault"):
            self._port(port).value = 0

    async def _run(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            taking = int(self._port("instruction_valid").value) and int(
                self._port("instruction_ready").value
            )
            if taking:
                index = int(self._port("instruction_payload").value) >> INSTRUCTION_BITS
                self._take(index & ((1 << INDEX_BITS) - 1))
            if int(self._port("halt").value):
                self._drain()
            else:
                self._work()

    def _take(self, index: int) -> None:
        self.log.append(("taken", self.name, index))
        if not self._flying:
            self._left = self.random.randint(0, self.longest)
        self._flying.append(index)
        self._draining = self.random.randint(0, self.longest)

    def _drain(self) -> None:
        """Stay busy for a while, as a unit does that has bus transactions in flight."""
        self._port("instruction_ready").value = 0
        self._port("done").value = 0
        if self._flying and self._draining:
            # One that was taken as the halt came has not been busy before.
            self._port("busy").value = 1
            self._draining -= 1
            return
        self._stop()

    def _work(self) -> None:
        finishes = False
        failed = bool(self._flying) and self._flying[0] == self.plan.fault_at
        if self._flying and not failed and self._flying[0] != self.plan.stuck_at:
            finishes = self._left == 0
            self._left -= 1
        if finishes:
            self.log.append(("done", self.name, self._flying.popleft()))
            self._left = self.random.randint(0, self.longest)
        self._port("done").value = int(finishes)
        self._port("busy").value = int(bool(self._flying) or finishes)
        self._port("fault").value = self._fault() if failed else 0
        room = len(self._flying) < self.overlap and not failed
        self._port("instruction_ready").value = int(room and self.random.random() < 0.5)

    def _fault(self) -> int:
        return (
            fault_layout.const(
                {
                    "valid": 1,
                    "code": self.plan.code,
                    "index": self.plan.fault_at,
                    "address": self.plan.address,
                }
            )
            .as_value()
            .value
        )
