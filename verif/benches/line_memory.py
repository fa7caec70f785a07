"""A scratchpad for benches of its clients: exact latency, refusals on demand."""

from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.config import WORD_BYTES
from ...hw.ports import read_request_layout, write_request_layout
from ...hw.scratchpad import Scratchpad as HardwareScratchpad
from ..golden.scratchpad import Scratchpad


class LineMemory:
    """Serves ports of a unit from a golden scratchpad, with the latency of the real one.

    Parameters
    ----------
    dut : simulator handle
    scratchpad : Scratchpad
    readers, writers : names of the ports
    refuse : callable
        Whether to refuse a port in the next cycle; asked once a port and cycle.

    Attributes
    ----------
    reads, writes : int
        Accesses that were accepted.
    """

    def __init__(
        self,
        dut: Any,
        scratchpad: Scratchpad,
        readers: tuple[str, ...],
        writers: tuple[str, ...],
        refuse: Callable[[], bool] = lambda: False,
    ) -> None:
        self.dut = dut
        self.scratchpad = scratchpad
        self.reads = 0
        self.writes = 0
        self._refuse = refuse
        config = scratchpad.config
        self._read_layout = read_request_layout(config)
        self._write_layout = write_request_layout(config)
        for name in readers:
            getattr(dut, f"{name}_response_valid").value = 0
            cocotb.start_soon(self._serve_reads(name))
        for name in writers:
            cocotb.start_soon(self._serve_writes(name))

    async def _serve_reads(self, name: str) -> None:
        valid = getattr(self.dut, f"{name}_request_valid")
        ready = getattr(self.dut, f"{name}_request_ready")
        request = getattr(self.dut, f"{name}_request_payload")
        response_valid = getattr(self.dut, f"{name}_response_valid")
        response = getattr(self.dut, f"{name}_response_payload")
        # A request of cycle t is answered in cycle t + latency: what is driven after the edge that
        # ends cycle t is seen in cycle t + 1.
        under_way: list[bytes | None] = [None] * (HardwareScratchpad.READ_LATENCY - 1)
        while True:
            accepting = not self._refuse()
            ready.value = accepting
            await RisingEdge(self.dut.clk)
            line = None
            if accepting and int(valid.value):
                fields = self._read_layout.from_bits(int(request.value))
                line = self.scratchpad.read_line(fields.address, fields.pitch).tobytes()
                self.reads += 1
            under_way.append(line)
            line = under_way.pop(0)
            response_valid.value = line is not None
            if line is not None:
                response.value = int.from_bytes(line, "little")

    async def _serve_writes(self, name: str) -> None:
        valid = getattr(self.dut, f"{name}_request_valid")
        ready = getattr(self.dut, f"{name}_request_ready")
        request = getattr(self.dut, f"{name}_request_payload")
        lanes = self.scratchpad.config.lanes
        while True:
            accepting = not self._refuse()
            ready.value = accepting
            await RisingEdge(self.dut.clk)
            if accepting and int(valid.value):
                fields = self._write_layout.from_bits(int(request.value))
                line = np.array([fields.data[lane] for lane in range(lanes)], dtype=np.uint64)
                self.scratchpad.write_line(fields.address, fields.pitch, fields.mask, line)
                self.writes += 1


def noise(scratchpad: Scratchpad, random: Any) -> None:
    """Fill the scratchpad with random bytes."""
    words = scratchpad.config.scratchpad_words
    content = bytearray(random.randbytes(words * WORD_BYTES))
    scratchpad.bytes[:] = memoryview(content)
