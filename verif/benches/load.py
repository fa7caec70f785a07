"""Bench of the load unit: random transfers, throughput, faults, bus errors, halt."""

from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp
from numpy.typing import NDArray

from ...hw.isa import ErrorCode, Opcode
from ...hw.ports import write_request_layout
from ..golden.load import load
from ..golden.scratchpad import Scratchpad
from ..golden.transfer import Transfer
from .bus import ReadMemory
from .transfers import (
    WINDOWS,
    TransferRig,
    check_bus_errors,
    check_faults,
    check_halt,
    check_throughput,
    check_transfers,
)


class LoadRig(TransferRig):
    """A load unit and its surroundings."""

    opcode = Opcode.LOAD
    channel = "ar"
    forbidden = 3
    errors = {
        AxiResp.SLVERR: ErrorCode.READ_SLAVE_ERROR,
        AxiResp.DECERR: ErrorCode.READ_DECODE_ERROR,
    }
    memory_type = ReadMemory

    async def serve(self, paused: Callable[[], bool]) -> None:
        """Take lines at random and write them."""
        dut = self.dut
        layout = write_request_layout(self.config)
        while True:
            ready = not paused()
            dut.scratchpad_request_ready.value = ready
            await RisingEdge(dut.clk)
            if ready and int(dut.scratchpad_request_valid.value):
                request = layout.from_bits(int(dut.scratchpad_request_payload.value))
                words = [request.data[lane] for lane in range(self.config.lanes)]
                line = np.array(words, dtype=np.uint64)
                self.scratchpad.write_line(request.address, request.pitch, request.mask, line)

    def target(self) -> NDArray[np.uint8]:
        """Return a copy of the scratchpad."""
        return self.scratchpad.bytes.copy()

    def model(self, transfer: Transfer, target: NDArray[np.uint8]) -> None:
        """Load with the golden model."""
        scratchpad = Scratchpad(self.config)
        scratchpad.bytes = target
        dram = np.frombuffer(self.dram, dtype=np.uint8)
        load(self.config, transfer, WINDOWS, dram, scratchpad)


@cocotb.test()
async def transfers(dut: Any) -> None:
    """Random transfers."""
    await check_transfers(LoadRig(dut, "transfers"))


@cocotb.test()
async def throughput(dut: Any) -> None:
    """A beat a cycle, and `rready` never low."""
    rig = LoadRig(dut, "throughput")
    await check_throughput(rig, slack=4)
    assert rig.watch.stalled_cycles == 0


@cocotb.test()
async def faults(dut: Any) -> None:
    """Illegal instructions."""
    await check_faults(LoadRig(dut, "faults"))


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """Error responses."""
    await check_bus_errors(LoadRig(dut, "bus errors"))


@cocotb.test()
async def halt(dut: Any) -> None:
    """Halts in mid-transfer."""
    await check_halt(LoadRig(dut, "halt"))
