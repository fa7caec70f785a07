"""What benches of AXI masters share: memories with errors, recorders and protocol checks."""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiRamRead,
    AxiRamWrite,
    AxiReadBus,
    AxiResp,
    AxiWriteBus,
)

from ...hw.axi import BOUNDARY_BYTES
from ...hw.axi import Burst as BurstType
from ..golden.transfer import Burst

PAYLOADS = {
    "ar": ("id", "addr", "len", "size", "burst", "cache", "prot"),
    "aw": ("id", "addr", "len", "size", "burst", "cache", "prot"),
    "w": ("data", "strb", "last"),
}
"""Signals of the channels that a master drives."""


def stalls(generator: random.Random, probability: float) -> Iterator[bool]:
    """Return a pause generator that pauses in runs of random length."""
    while True:
        paused = generator.random() < probability
        for _ in range(generator.choice((1, 1, 2, 7))):
            yield paused


class _Failing:
    """An AXI memory that answers with an error where `fail` says so."""

    failures: range = range(0)
    response: AxiResp = AxiResp.SLVERR
    log: logging.Logger

    def fail(self, addresses: range, response: AxiResp) -> None:
        """Answer accesses to `addresses` with `response`."""
        self.failures = addresses
        self.response = response

    def _refuse(self, address: int) -> None:
        if address in self.failures:
            raise ValueError(f"error response at {address:#x}")

    def _prepare(self, channel: Any, name: str) -> None:
        """Make `channel` send the chosen response instead of SLVERR; log no transactions."""
        self.log.setLevel(logging.ERROR)
        send = channel.send

        async def translated(transaction: Any) -> None:
            if getattr(transaction, name) == AxiResp.SLVERR:
                setattr(transaction, name, self.response)
            await send(transaction)

        channel.send = translated


class ReadMemory(_Failing, AxiRamRead):
    """An AXI memory to read from, with many requests queued and errors on demand."""

    def __init__(self, dut: Any, prefix: str, contents: bytearray, queued: int = 32) -> None:
        super().__init__(AxiReadBus.from_prefix(dut, prefix), dut.clk, dut.rst, mem=contents)
        self.ar_channel.queue_occupancy_limit = queued
        self._prepare(self.r_channel, "rresp")

    async def _read(self, address: int, length: int) -> bytes:
        self._refuse(address)
        return await super()._read(address, length)

    def stall(self, generator: random.Random, probability: float) -> None:
        """Pause both channels at random."""
        self.ar_channel.set_pause_generator(stalls(generator, probability))
        self.r_channel.set_pause_generator(stalls(generator, probability))


class WriteMemory(_Failing, AxiRamWrite):
    """An AXI memory to write to, with many requests queued and errors on demand."""

    def __init__(self, dut: Any, prefix: str, contents: bytearray, queued: int = 32) -> None:
        super().__init__(AxiWriteBus.from_prefix(dut, prefix), dut.clk, dut.rst, mem=contents)
        self.aw_channel.queue_occupancy_limit = queued
        self._prepare(self.b_channel, "bresp")

    async def _write(self, address: int, data: bytes) -> None:
        self._refuse(address)
        await super()._write(address, data)

    def stall(self, generator: random.Random, probability: float) -> None:
        """Pause all channels at random."""
        for channel in (self.aw_channel, self.w_channel, self.b_channel):
            channel.set_pause_generator(stalls(generator, probability))


@dataclass
class ChannelWatch:
    """Checks and records the requests that a master puts on its bus, from `start` on.

    Parameters
    ----------
    dut : handle
        The design.
    prefix : str
        Of the bus, such as ``memory``.
    address : "ar" or "aw"
        The address channel.
    beat_bytes, burst_beats, outstanding : int
        What the master may do.
    """

    dut: Any
    prefix: str
    address: str
    beat_bytes: int
    burst_beats: int
    outstanding: int
    bursts: list[Burst] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    stalled_cycles: int = 0
    beats: int = 0

    def start(self) -> None:
        """Watch every cycle from now on."""
        cocotb.start_soon(self._run())

    def _value(self, channel: str, name: str) -> int:
        return int(getattr(self.dut, f"{self.prefix}_{channel}{name}").value)

    def _fires(self, channel: str) -> bool:
        return bool(self._value(channel, "valid") and self._value(channel, "ready"))

    def _payload(self, channel: str) -> tuple[int, ...]:
        return tuple(self._value(channel, name) for name in PAYLOADS[channel])

    async def _run(self) -> None:
        driven = ("ar",) if self.address == "ar" else ("aw", "w")
        answer = "r" if self.address == "ar" else "b"
        data = "r" if self.address == "ar" else "w"
        waiting: dict[str, tuple[int, ...]] = {}
        while True:
            await RisingEdge(self.dut.clk)
            if int(self.dut.rst.value):
                continue
            for channel in driven:
                self._check_stable(channel, waiting)
            if self._fires(self.address):
                self._record()
            if self._fires(answer) and (answer == "b" or self._value("r", "last")):
                self.in_flight -= 1
                assert self.in_flight >= 0, "an answer without a request"
            self.beats += self._fires(data)
            self.stalled_cycles += self._value(data, "valid") and not self._value(data, "ready")

    def _check_stable(self, channel: str, waiting: dict[str, tuple[int, ...]]) -> None:
        valid = self._value(channel, "valid")
        if channel in waiting:
            assert valid, f"{channel}valid dropped before {channel}ready"
            assert self._payload(channel) == waiting[channel], f"{channel} changed while it waited"
        waiting.pop(channel, None)
        if valid and not self._value(channel, "ready"):
            waiting[channel] = self._payload(channel)

    def _record(self) -> None:
        burst = Burst(self._value(self.address, "addr"), self._value(self.address, "len") + 1)
        size = burst.beats * self.beat_bytes
        assert self._value(self.address, "burst") == BurstType.INCR.value
        assert 1 << self._value(self.address, "size") == self.beat_bytes
        assert burst.address % self.beat_bytes == 0, f"{burst} is misaligned"
        assert burst.beats <= self.burst_beats, f"{burst} is too long"
        first, last = burst.address, burst.address + size - 1
        assert first // BOUNDARY_BYTES == last // BOUNDARY_BYTES, f"{burst} crosses 4 KiB"
        self.bursts.append(burst)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        assert self.in_flight <= self.outstanding, "too many bursts in flight"
