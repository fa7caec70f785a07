"""A memory for cocotbext-axi slaves in which chosen addresses answer with errors."""

from __future__ import annotations

from cocotbext.axi import AxiReadBus, AxiResp, AxiSlaveRead


class Memory:
    """Bytes behind an AXI slave.

    Parameters
    ----------
    size : int
        Bytes, from address 0.

    Attributes
    ----------
    bytes : bytearray
    errors : dict of int to AxiResp
        Byte addresses at which a beat begins that is answered with an error.
    """

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)
        self.errors: dict[int, AxiResp] = {}

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self.bytes[address : address + len(data)] = data


class ReadSlave(AxiSlaveRead):
    """An AXI read slave that answers as a `Memory` says.

    Parameters
    ----------
    dut, prefix : the design and the prefix of its AXI ports
    memory : Memory
    """

    def __init__(self, dut, prefix: str, memory: Memory) -> None:
        self.memory = memory
        self._response = AxiResp.OKAY
        super().__init__(AxiReadBus.from_prefix(dut, prefix), dut.clk, dut.rst)
        self._send = self.r_channel.send
        self.r_channel.send = self._send_response

    async def _read(self, address: int, length: int) -> bytes:
        self._response = self.memory.errors.get(address, AxiResp.OKAY)
        if address + length > len(self.memory.bytes):
            self._response = AxiResp.DECERR
            return bytes(length)
        return bytes(self.memory.bytes[address : address + length])

    async def _send_response(self, beat) -> None:
        beat.rresp = self._response
        await self._send(beat)
