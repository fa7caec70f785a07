"""Bench of the UART bridge: requests of every kind, whole and broken in every way."""

import binascii
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from ...hw.axi import Response
from ...hw.uart_packet import (
    CRC_BYTES,
    READS,
    REQUEST_SYNC,
    WORD_BYTES,
    WRITES,
    Operation,
    Status,
)
from ...sw.devices.packets import Answer, Request
from ..golden.uart_bridge import Bridge, BusError, Event
from ..parameters import generator, parameters
from .unit import reset

BYTE_CYCLES = 12
"""Fewest cycles between two bytes: that of a line with four cycles a bit would be forty."""

LIMIT = 40_000
"""Cycles in which every answer must have come."""

BAD = range(0x800, 0x900)
"""Addresses at which both buses answer with an error."""


class Words:
    """What lies behind both buses: words that were written, and else a function of the address."""

    def __init__(self) -> None:
        self.written: dict[tuple[bool, int], int] = {}

    def read(self, in_memory: bool, address: int) -> int:
        """Return a word, or raise `BusError`."""
        if address in BAD:
            raise BusError
        default = (address * 0x9E3779B1 + in_memory) & 0xFFFF_FFFF
        return self.written.get((in_memory, address), default)

    def write(self, in_memory: bool, address: int, word: int) -> None:
        """Keep a word, or raise `BusError`."""
        if address in BAD:
            raise BusError
        self.written[in_memory, address] = word


class Slave:
    """An AXI4-Lite slave with random pauses."""

    def __init__(self, dut: Any, prefix: str, words: Words, random: Any) -> None:
        self._dut, self._prefix, self._words, self._random = dut, prefix, words, random
        for name in ("arready", "awready", "wready", "rvalid", "bvalid", "rresp", "bresp"):
            self._port(name).value = 0

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"{self._prefix}_{name}")

    async def _pause(self) -> None:
        for _ in range(self._random.choice((0, 0, 0, 1, 5))):
            await FallingEdge(self._dut.clk)

    async def _take(self, channel: str, payload: str) -> int:
        while not int(self._port(f"{channel}valid").value):
            await FallingEdge(self._dut.clk)
        value = int(self._port(payload).value)
        await self._pause()
        assert int(self._port(f"{channel}valid").value), f"{channel}valid dropped"
        assert int(self._port(payload).value) == value, f"{payload} changed while it waited"
        self._port(f"{channel}ready").value = 1
        await FallingEdge(self._dut.clk)
        self._port(f"{channel}ready").value = 0
        return value

    async def _answer(self, channel: str) -> None:
        self._port(f"{channel}valid").value = 1
        await FallingEdge(self._dut.clk)
        assert int(self._port(f"{channel}ready").value)
        self._port(f"{channel}valid").value = 0

    async def reads(self) -> None:
        """Answer reads, for ever."""
        while True:
            address = await self._take("ar", "araddr")
            response, data = Response.OKAY, 0xDEAD
            try:
                data = self._words.read(self._prefix == "memory", address)
            except BusError:
                response = self._random.choice((Response.SLVERR, Response.DECERR))
            await self._pause()
            self._port("rdata").value = data
            self._port("rresp").value = response.value
            await self._answer("r")

    async def writes(self) -> None:
        """Answer writes, for ever; address and data come in either order."""
        while True:
            address_task = cocotb.start_soon(self._take("aw", "awaddr"))
            data = await self._take("w", "wdata")
            address = await address_task
            response = Response.OKAY
            try:
                self._words.write(self._prefix == "memory", address, data)
            except BusError:
                response = self._random.choice((Response.SLVERR, Response.DECERR))
            await self._pause()
            self._port("bresp").value = response.value
            await self._answer("b")


class Host:
    """Sends bytes, and takes answers with random pauses."""

    def __init__(self, dut: Any, random: Any) -> None:
        self.dut, self.random = dut, random
        self.answers: list[int] = []
        self.longest = parameters()["silence"] - 2
        self.pauses: tuple[int, ...] = (BYTE_CYCLES,) * 20 + (self.longest,)
        dut.received_valid.value = 0
        dut.framing_error.value = 0
        dut.interrupt.value = 0
        dut.answer_ready.value = 0

    async def take(self) -> None:
        """Collect what the bridge sends, for ever."""
        while True:
            await FallingEdge(self.dut.clk)
            if int(self.dut.answer_ready.value) and self._offered:
                self.answers.append(self._byte)
            self.dut.answer_ready.value = self.random.random() < 0.3
            self._offered = int(self.dut.answer_valid.value)
            self._byte = int(self.dut.answer_payload.value)

    _offered = 0
    _byte = 0

    async def send(self, items: list[int | Event]) -> None:
        """Send bytes and framing errors with pauses that are no silence."""
        for item in items:
            name = "framing_error" if isinstance(item, Event) else "received_valid"
            if not isinstance(item, Event):
                self.dut.received_payload.value = item
            getattr(self.dut, name).value = 1
            await FallingEdge(self.dut.clk)
            getattr(self.dut, name).value = 0
            for _ in range(self.random.choice(self.pauses)):
                await FallingEdge(self.dut.clk)

    async def silence(self) -> None:
        """Send nothing for longer than the bridge waits."""
        for _ in range(parameters()["silence"] + 4):
            await FallingEdge(self.dut.clk)

    async def expect(self, packet: bytes) -> None:
        """Wait for an answer; no byte may follow it."""
        for _ in range(LIMIT):
            if len(self.answers) >= len(packet):
                break
            await FallingEdge(self.dut.clk)
        await self.silence()
        assert bytes(self.answers) == packet
        self.answers.clear()


def _request(random: Any) -> Request:
    """Return a request that is well formed; its address may be none."""
    operation = random.choice(tuple(Operation))
    words = random.choice((1, 1, 2, 3, random.randint(1, 20)))
    if random.random() < parameters()["long"]:
        words = random.choice((255, 256))
    last = 0x1000 if operation.name.endswith("REGISTERS") else 1 << 32
    address = random.choice(
        (
            0,
            last - WORD_BYTES * words,
            min(last - WORD_BYTES * words + 4, (1 << 32) - WORD_BYTES),
            BAD.start - WORD_BYTES * random.randint(0, 4),
            WORD_BYTES * random.randrange(last // WORD_BYTES),
            random.randrange(last),
        )
    )
    data = random.randbytes(WORD_BYTES * words) if operation in WRITES else b""
    return Request(operation, random.getrandbits(8), address, words, data)


def _damaged(random: Any, packet: list[int | Event]) -> list[int | Event]:
    """Return what may come of a packet on a bad line."""
    place = random.randrange(len(packet))
    kind = random.choice(("flip", "cut", "insert", "framing", "junk", "operation"))
    if kind == "flip":
        value = packet[place]
        assert isinstance(value, int)
        return [*packet[:place], value ^ 1 << random.randrange(8), *packet[place + 1 :]]
    if kind == "cut":
        return packet[:place]
    if kind == "insert":
        return [*packet[:place], random.getrandbits(8), *packet[place:]]
    if kind == "framing":
        return [*packet[:place], Event.FRAMING_ERROR, *packet[place + 1 :]]
    if kind == "operation":
        return [packet[0], random.randrange(5, 256), *packet[2:]]
    return [random.getrandbits(8) for _ in range(place)]


@cocotb.test()
async def answers(dut: Any) -> None:
    """Every request, whole or broken, has the answer and the effect of the model's."""
    random = generator("answers")
    host = Host(dut, random)
    hardware, model = Words(), Words()
    for prefix in ("registers", "memory"):
        slave = Slave(dut, prefix, hardware, random)
        cocotb.start_soon(slave.reads())
        cocotb.start_soon(slave.writes())
    golden = Bridge(model.read, model.write)
    await reset(dut)
    cocotb.start_soon(host.take())
    await FallingEdge(dut.clk)
    seen = set()
    for number in range(parameters()["requests"]):
        request = _request(random)
        items: list[int | Event] = list(request.to_bytes())
        if random.random() < 0.5:
            items = _damaged(random, items)
        interrupt = random.random() < 0.5
        dut.interrupt.value = interrupt
        await host.send(items)
        found = golden.take(items) + golden.take([Event.SILENCE])
        for answer in found:
            seen.add(answer.status)
            if answer.data:
                assert request.operation in READS
        packets = [
            type(answer)(answer.status, answer.tag, interrupt, answer.data).to_bytes()
            for answer in found
        ]
        await host.expect(b"".join(packets))
        assert hardware.written == model.written, f"after request {number}, {request}"
    assert len(seen) == 6, seen


@cocotb.test()
async def silence_begins_after_the_last_event(dut: Any) -> None:
    """Broken bytes put the answer off as whole ones do."""
    host = Host(dut, generator("silence"))
    host.pauses = (host.longest,)
    golden = Bridge(lambda *_: 0, lambda *_: None)
    await reset(dut)
    cocotb.start_soon(host.take())
    await FallingEdge(dut.clk)
    broken = Event.FRAMING_ERROR
    items: list[int | Event] = [REQUEST_SYNC, broken, 7, broken, broken]
    for item in items:
        await host.send([item])
        assert not host.answers
        assert not int(dut.answer_valid.value), f"an answer too early, after {item}"
    (answer,) = golden.take([*items, Event.SILENCE])
    await host.expect(answer.to_bytes())


@cocotb.test()
async def every_bit_of_the_checksum_counts(dut: Any) -> None:
    """A write is refused whichever single bit of the remainder is wrong."""
    host = Host(dut, generator("checksum"))
    await reset(dut)
    cocotb.start_soon(host.take())
    await FallingEdge(dut.clk)
    sums = range(1 << 8 * CRC_BYTES)
    damage = {binascii.crc_hqx(each.to_bytes(CRC_BYTES, "big"), 0): each for each in sums}
    for bit in range(8 * CRC_BYTES):
        request = Request(Operation.WRITE_MEMORY, bit, 64, 1, b"lost").to_bytes()
        value = int.from_bytes(request[-CRC_BYTES:], "big") ^ damage[1 << bit]
        await host.send([*request[:-CRC_BYTES], *value.to_bytes(CRC_BYTES, "big")])
        await host.expect(Answer(Status.CHECKSUM, bit).to_bytes())
