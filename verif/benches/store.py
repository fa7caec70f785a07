"""Bench of the store unit: random transfers, throughput, faults, bus errors, halt."""

from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp
from numpy.typing import NDArray

from ...hw.isa import ErrorCode, Opcode
from ...hw.ports import read_request_layout
from ...hw.scratchpad import Scratchpad as HardwareScratchpad
from ..golden.store import store
from ..golden.transfer import Transfer
from .bus import WriteMemory
from .transfers import (
    WINDOWS,
    TransferRig,
    check_bus_errors,
    check_faults,
    check_halt,
    check_throughput,
    check_transfers,
)


class StoreRig(TransferRig):
    """A store unit and its surroundings."""

    opcode = Opcode.STORE
    channel = "aw"
    forbidden = 2
    errors = {
        AxiResp.SLVERR: ErrorCode.WRITE_SLAVE_ERROR,
        AxiResp.DECERR: ErrorCode.WRITE_DECODE_ERROR,
    }
    memory_type = WriteMemory

    async def serve(self, paused: Callable[[], bool]) -> None:
        """Take requests at random and answer each after the latency of the scratchpad."""
        dut = self.dut
        layout = read_request_layout(self.config)
        answers: deque[int | None] = deque([None] * (HardwareScratchpad.READ_LATENCY - 1))
        while True:
            ready = not paused()
            dut.scratchpad_request_ready.value = ready
            await RisingEdge(dut.clk)
            line = None
            if ready and int(dut.scratchpad_request_valid.value):
                request = layout.from_bits(int(dut.scratchpad_request_payload.value))
                words = self.scratchpad.read_line(request.address, request.pitch)
                line = int.from_bytes(words.tobytes(), "little")
            answers.append(line)
            answer = answers.popleft()
            dut.scratchpad_response_valid.value = answer is not None
            if answer is not None:
                dut.scratchpad_response_payload.value = answer

    def target(self) -> NDArray[np.uint8]:
        """Return a copy of DRAM."""
        return np.frombuffer(bytes(self.dram), dtype=np.uint8).copy()

    def model(self, transfer: Transfer, target: NDArray[np.uint8]) -> None:
        """Store with the golden model."""
        store(self.config, transfer, WINDOWS, target, self.scratchpad)


@cocotb.test()
async def transfers(dut: Any) -> None:
    """Random transfers."""
    await check_transfers(StoreRig(dut, "transfers"))


@cocotb.test()
async def throughput(dut: Any) -> None:
    """A beat a cycle."""
    await check_throughput(StoreRig(dut, "throughput"), slack=8)


@cocotb.test()
async def faults(dut: Any) -> None:
    """Illegal instructions."""
    await check_faults(StoreRig(dut, "faults"))


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """Error responses."""
    await check_bus_errors(StoreRig(dut, "bus errors"))


@cocotb.test()
async def halt(dut: Any) -> None:
    """Halts in mid-transfer."""
    await check_halt(StoreRig(dut, "halt"))
