"""Bench of the fetch unit: programs in a memory that stalls, halts and errors at any time."""

from __future__ import annotations

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp

from ...hw.config import INSTRUCTION_BYTES, from_dict
from ...hw.isa import INSTRUCTION_BITS, DramAddress, ErrorCode
from ...hw.ports import fault_layout
from ...hw.window import windows_layout
from ...hw.word_reader import PREFETCH
from ..parameters import generator, parameters
from .bus import ChannelWatch, ReadMemory
from .microcode import image

MEMORY_BYTES = 1 << 18
BASE = 0x4000
SIZE = 0x8000


class Bench:
    """The fetch unit, its memory, and a taker of instructions."""

    def __init__(self, dut, name: str) -> None:
        self.dut = dut
        self.random = generator(name)
        self.config = from_dict(parameters()["config"])
        self.contents = bytearray(self.random.randbytes(MEMORY_BYTES))
        self.offset = 0
        self.words: list[bytes] = []
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.memory = ReadMemory(dut, "axi", self.contents)
        bursts = PREFETCH * max(1, 64 // self.config.axi_bytes // self.config.axi.burst_beats)
        limits = (self.config.axi_bytes, self.config.axi.burst_beats, bursts)
        self.watch = ChannelWatch(dut, "axi", "ar", *limits)

    async def reset(self) -> None:
        """Reset the design, open the last window and begin to stall."""
        dut = self.dut
        windows = self.config.controller.windows
        closed = {"base": 0, "size": 0, "readable": 1, "writable": 1}
        opened = {"base": BASE, "size": SIZE, "readable": 1, "writable": 0}
        layout = windows_layout(self.config)
        value = layout.const([closed] * (windows - 1) + [opened])
        dut.windows.value = value.as_value().value
        for port in ("start", "halt", "instruction_ready", "length", "address"):
            getattr(dut, port).value = 0
        dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        self.watch.start()
        self.memory.stall(self.random, parameters()["stalls"])

    async def start(self, length: int, offset: int | None = None, **fields: int) -> None:
        """Write a program of random words and start to fetch it."""
        places = (SIZE - (length + 1) * INSTRUCTION_BYTES) // INSTRUCTION_BYTES
        self.offset = 64 * self.random.randint(0, places) if offset is None else offset
        self.words = [self.random.randbytes(INSTRUCTION_BYTES) for _ in range(length)]
        code = image(self.config, self.words, **fields)
        self.contents[BASE + self.offset : BASE + self.offset + len(code)] = code
        window = self.config.controller.windows - 1
        address = DramAddress.const({"offset": self.offset, "window": window})
        self.dut.address.value = address.as_value().value
        self.dut.length.value = length
        self.dut.start.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.start.value = 0

    async def take(self, count: int) -> None:
        """Take `count` instructions with random readiness, and check them."""
        dut = self.dut
        index = 0
        ready = False
        while index < count:
            await RisingEdge(dut.clk)
            if ready and int(dut.instruction_valid.value):
                payload = int(dut.instruction_payload.value)
                word = (payload & ((1 << INSTRUCTION_BITS) - 1)).to_bytes(64, "little")
                assert payload >> INSTRUCTION_BITS == index
                assert word == self.words[index], f"word {index}"
                index += 1
            ready = self.random.random() < 0.6 and index < count
            dut.instruction_ready.value = int(ready)

    async def fault(self) -> tuple[ErrorCode, int, int]:
        """Wait for a fault; return code, index and address."""
        for _ in range(5000):
            await RisingEdge(self.dut.clk)
            fault = fault_layout.from_bits(int(self.dut.fault.value))
            if fault.valid:
                assert not int(self.dut.instruction_valid.value)
                return ErrorCode(fault.code), fault.index, fault.address
        raise AssertionError("no fault")

    async def halt(self) -> None:
        """Halt until the unit is idle; nothing may be in flight then."""
        self.dut.halt.value = 1
        await RisingEdge(self.dut.clk)
        while int(self.dut.busy.value):
            await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        self.dut.halt.value = 0
        assert self.watch.in_flight == 0
        assert not fault_layout.from_bits(int(self.dut.fault.value)).valid
        assert not int(self.dut.instruction_valid.value)

    async def works(self) -> None:
        """Check that the next program is fetched."""
        self.memory.fail(range(0), AxiResp.OKAY)
        length = self.random.randint(1, 12)
        await self.start(length)
        await self.take(length)
        await self.exhaust()
        await self.halt()

    async def exhaust(self) -> None:
        """Check that the unit says that all is handed on, and hands on no more."""
        for _ in range(20):
            await RisingEdge(self.dut.clk)
            assert not int(self.dut.instruction_valid.value)
        assert int(self.dut.exhausted.value)


@cocotb.test()
async def fetches_programs(dut):
    """Every word, in order, once; then no more."""
    bench = Bench(dut, "programs")
    await bench.reset()
    for length in (1, 2, PREFETCH, 61, bench.random.randint(5, 100)):
        await bench.start(length)
        assert not int(dut.exhausted.value)
        await bench.take(length)
        await bench.exhaust()
        await bench.halt()


@cocotb.test()
async def reads_no_further_than_it_hands_on(dut):
    """Without a taker no more than the prefetch is read."""
    bench = Bench(dut, "prefetch")
    await bench.reset()
    await bench.start(40)
    for _ in range(1500):
        await RisingEdge(dut.clk)
    read = sum(burst.beats for burst in bench.watch.bursts) * bench.config.axi_bytes
    assert read == (1 + PREFETCH) * INSTRUCTION_BYTES
    await bench.take(40)
    await bench.halt()


@cocotb.test()
async def halts_at_any_time(dut):
    """What is in flight is completed, and the next program is whole."""
    bench = Bench(dut, "halts")
    await bench.reset()
    for _ in range(25):
        await bench.start(50)
        for _ in range(bench.random.randint(0, 120)):
            dut.instruction_ready.value = bench.random.getrandbits(1)
            await RisingEdge(dut.clk)
        dut.instruction_ready.value = 0
        await bench.halt()
        await bench.works()


@cocotb.test()
async def refuses_wrong_headers(dut):
    """Each field, and a length of zero; the first wrong field is named."""
    bench = Bench(dut, "headers")
    await bench.reset()
    offsets = {"magic": 0, "version": 4, "parameter_hash": 8, "instructions": 12}
    for first, (name, offset) in enumerate(offsets.items()):
        wrong = dict.fromkeys(list(offsets)[first:], 0x1234)
        await bench.start(3, **{name: 99})
        assert await bench.fault() == (ErrorCode.PROGRAM_HEADER, 0, offset)
        await bench.halt()
        await bench.start(3, **wrong)
        assert await bench.fault() == (ErrorCode.PROGRAM_HEADER, 0, offset)
        await bench.halt()
        await bench.works()
    await bench.start(0)
    assert await bench.fault() == (ErrorCode.PROGRAM_HEADER, 0, 12)
    await bench.halt()
    await bench.works()


@cocotb.test()
async def checks_window_and_alignment(dut):
    """A program up to the last byte of its window is fetched, one beyond is not."""
    bench = Bench(dut, "window")
    await bench.reset()
    await bench.start(7, SIZE - 8 * INSTRUCTION_BYTES)
    await bench.take(7)
    await bench.halt()
    end = SIZE - 7 * INSTRUCTION_BYTES
    for offset, code in (
        (end, ErrorCode.WINDOW),
        (SIZE, ErrorCode.WINDOW),
        (1 << 47, ErrorCode.WINDOW),
        (32, ErrorCode.ILLEGAL_OPERAND),
        (1, ErrorCode.ILLEGAL_OPERAND),
    ):
        before = len(bench.watch.bursts)
        await bench.start(7, offset)
        assert await bench.fault() == (code, 0, offset)
        await bench.halt()
        assert len(bench.watch.bursts) == before
        await bench.works()


@cocotb.test()
async def reports_bus_errors(dut):
    """Instructions before the error are handed on, then the error is reported."""
    bench = Bench(dut, "errors")
    await bench.reset()
    codes = {
        AxiResp.SLVERR: ErrorCode.READ_SLAVE_ERROR,
        AxiResp.DECERR: ErrorCode.READ_DECODE_ERROR,
    }
    for response, code in codes.items():
        for word in (0, 1, 2, bench.random.randint(3, 20)):
            offset = 64 * bench.random.randint(0, 50)
            beat = bench.random.randrange(64 // bench.config.axi_bytes) * bench.config.axi_bytes
            failing = BASE + offset + 64 * word
            bench.memory.fail(range(failing + beat, failing + beat + 1), response)
            await bench.start(20, offset)
            await bench.take(max(0, word - 1))
            assert await bench.fault() == (code, max(0, word - 1), failing)
            await bench.halt()
            await bench.works()
