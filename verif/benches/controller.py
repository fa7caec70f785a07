"""Bench of the controller: random programs on stub units, and every way to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp

from ...hw.config import INSTRUCTION_BYTES, AcceleratorConfig, from_dict
from ...hw.controller import unit_name
from ...hw.isa import UNITS, DramAddress, ErrorCode, Opcode
from ...hw.ports import fault_layout
from ...hw.window import windows_layout
from ...hw.word_reader import PREFETCH
from ..golden.controller import Controller, Outcome
from ..parameters import generator, parameters
from .bus import ChannelWatch, ReadMemory
from .microcode import END, RandomProgram, image, word
from .stub_unit import Plan, StubUnit

WINDOW = 1
BASE = 0x1000
OFFSET = 0x140
LOAD, MATMUL, SOFTMAX = Opcode.LOAD.value, Opcode.MATMUL.value, Opcode.SOFTMAX.value


@dataclass
class Bench:
    """The controller, its memory and four stub units."""

    dut: Any
    config: AcceleratorConfig
    memory: ReadMemory
    contents: bytearray
    units: dict[str, StubUnit]
    log: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    async def create(cls, dut, name: str) -> Bench:
        """Reset the design and open window `WINDOW`."""
        random = generator(name)
        config = from_dict(parameters()["config"])
        contents = bytearray(1 << 20)
        log: list[tuple[str, str, int]] = []
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        units = {unit_name(unit): StubUnit(dut, unit_name(unit), random, log) for unit in UNITS}
        windows = [{"base": 0, "size": 0, "readable": 0, "writable": 0} for _ in range(WINDOW)]
        windows.append({"base": BASE, "size": 1 << 18, "readable": 1, "writable": 0})
        windows += windows[:1] * (config.controller.windows - len(windows))
        dut.windows.value = windows_layout(config).const(windows).as_value().value
        for port in ("start", "soft_reset", "length", "watchdog", "address"):
            getattr(dut, port).value = 0
        memory = ReadMemory(dut, "axi", contents)
        memory.stall(random, parameters()["stalls"])
        dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        for unit in units.values():
            unit.start()
        limit = 2 * PREFETCH
        ChannelWatch(dut, "axi", "ar", config.axi_bytes, config.axi.burst_beats, limit).start()
        return cls(dut, config, memory, contents, units, log)

    def load(self, words: list[bytes], *, length: int | None = None, **fields: int) -> None:
        """Put a program in the memory and tell the controller about it."""
        code = image(self.config, words, **fields)
        self.contents[BASE + OFFSET : BASE + OFFSET + len(code)] = code
        address = DramAddress.const({"offset": OFFSET, "window": WINDOW})
        self.dut.address.value = address.as_value().value
        self.dut.length.value = len(words) if length is None else length
        self.log.clear()

    async def start(self) -> None:
        """Start; returns when the program has begun."""
        self.dut.start.value = 1
        await RisingEdge(self.dut.clk)
        while not int(self.dut.began.value):
            await RisingEdge(self.dut.clk)

    async def finish(self, limit: int = 100_000) -> tuple[ErrorCode, int, int]:
        """Wait for the end; return code, index and address of the error."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            if int(self.dut.finished.value):
                self.dut.start.value = 0
                assert all(not int(self.busy(name).value) for name in self.units)
                await RisingEdge(self.dut.clk)
                await RisingEdge(self.dut.clk)
                assert int(self.dut.idle.value)
                return self.error()
        raise AssertionError(f"the program does not end; events: {self.log[-20:]}")

    def busy(self, name: str):
        """Return the busy port of a unit."""
        return getattr(self.dut, f"{name}_busy")

    def error(self) -> tuple[ErrorCode, int, int]:
        """Return code, index and address of the error."""
        error = fault_layout.from_bits(int(self.dut.error.value))
        if not error.valid:
            return ErrorCode.NONE, 0, 0
        return ErrorCode(error.code), error.index, error.address

    async def run(self, words: list[bytes], **fields: int) -> tuple[ErrorCode, int, int]:
        """Run a program to its end."""
        self.load(words, **fields)
        await self.start()
        return await self.finish()

    async def reset(self) -> None:
        """Soft reset."""
        self.dut.soft_reset.value = 1
        while not int(self.dut.was_reset.value):
            await RisingEdge(self.dut.clk)
        self.dut.soft_reset.value = 0
        self.dut.start.value = 0
        await RisingEdge(self.dut.clk)

    async def works(self) -> None:
        """Check that the next program runs."""
        for unit in self.units.values():
            unit.plan = Plan()
        self.memory.fail(range(0), AxiResp.OKAY)
        assert await self.run([word(LOAD, signal=1), word(MATMUL, wait=1), END]) == NO_ERROR
        assert [event[2] for event in self.log if event[0] == "done"] == [0, 1], self.log


NO_ERROR = (ErrorCode.NONE, 0, 0)


def check_order(program: RandomProgram, log: list[tuple[str, str, int]]) -> None:
    """Check that units are in order, and that no instruction began before its semaphores."""
    counts: dict[int, int] = {}
    for unit in UNITS:
        expected = [index for index, each in enumerate(program.units) if each == unit]
        for event in ("taken", "done"):
            found = [index for kind, name, index in log if (kind, name) == (event, unit_name(unit))]
            assert found == expected
    for kind, _, index in log:
        if kind == "done":
            for place in program.signals[index]:
                counts[place] = counts.get(place, 0) + 1
        else:
            for place in program.waits[index]:
                counts[place] = counts.get(place, 0) - 1
                assert counts[place] >= 0, f"instruction {index} did not wait for {place}"


def golden(config: AcceleratorConfig, words: list[bytes]) -> Outcome:
    """Return how the golden model ends."""
    return Controller(config, lambda unit, index, word: None).run(words)


@cocotb.test()
async def runs_random_programs(dut):
    """Every instruction runs once, in order on its unit, after its semaphores."""
    bench = await Bench.create(dut, "programs")
    random = generator("lengths")
    for length in (1, 2, 7, random.randint(50, 150), random.randint(3, 30)):
        program = RandomProgram(random, bench.config, length)
        for unit in bench.units.values():
            unit.longest = random.choice((0, 3, 30))
        outcome = golden(bench.config, program.words)
        assert await bench.run(program.words) == (outcome.code, outcome.index, outcome.address)
        check_order(program, bench.log)


@cocotb.test()
async def stops_at_a_fault_of_a_unit(dut):
    """The error of a unit is reported, all units are halted, and the next program runs."""
    bench = await Bench.create(dut, "faults")
    random = generator("faults")
    for _ in range(6):
        program = RandomProgram(random, bench.config, 40)
        index = random.randrange(39)
        plan = Plan(index, ErrorCode.WINDOW, random.getrandbits(64))
        bench.units[unit_name(program.units[index])].plan = plan
        assert await bench.run(program.words) == (plan.code, index, plan.address)
        assert not any(event == ("done", index) for event in bench.log)
        await bench.works()


@cocotb.test()
async def refuses_what_is_no_instruction(dut):
    """Illegal opcodes, semaphores that do not exist and a missing END."""
    bench = await Bench.create(dut, "illegal")
    count = bench.config.controller.semaphores
    cases = [[word(LOAD), word(opcode), END] for opcode in (0, 0x02, 0xFF, 0x34)]
    cases += [[word(LOAD), word(SOFTMAX)], [word(MATMUL)]]
    if count < 32:
        cases += [[word(LOAD, wait=1 << count), END], [word(LOAD), word(MATMUL, signal=3 << 30)]]
    for words in cases:
        outcome = golden(bench.config, words)
        assert outcome.code != ErrorCode.NONE
        assert await bench.run(words) == (outcome.code, outcome.index, outcome.address)
        await bench.works()


@cocotb.test()
async def refuses_a_wrong_header(dut):
    """Each field of the header is checked, and a length of zero is refused."""
    bench = await Bench.create(dut, "header")
    fields = {"magic": 0, "version": 4, "parameter_hash": 8, "instructions": 12}
    for name, offset in fields.items():
        assert await bench.run([END], **{name: 77}) == (ErrorCode.PROGRAM_HEADER, 0, offset)
        await bench.works()
    assert await bench.run([END], length=0) == (ErrorCode.PROGRAM_HEADER, 0, 12)
    await bench.works()


@cocotb.test()
async def reports_bus_errors_of_the_program(dut):
    """SLVERR and DECERR, in the header and in an instruction."""
    bench = await Bench.create(dut, "bus")
    codes = {
        AxiResp.SLVERR: ErrorCode.READ_SLAVE_ERROR,
        AxiResp.DECERR: ErrorCode.READ_DECODE_ERROR,
    }
    for response, code in codes.items():
        for place in (0, 1, 4):
            start = BASE + OFFSET + place * INSTRUCTION_BYTES
            failing = start + bench.config.axi_bytes
            bench.memory.fail(range(failing, failing + 1), response)
            error = await bench.run([word(LOAD)] * 20 + [END])
            assert error == (code, max(0, place - 1), start)
            await bench.works()


@cocotb.test()
async def checks_the_window(dut):
    """The whole program must lie in a readable window."""
    bench = await Bench.create(dut, "window")
    for window, offset in ((0, OFFSET), (WINDOW, (1 << 18) - 64), (200, 0), (WINDOW, 1 << 47)):
        bench.load([END])
        address = DramAddress.const({"offset": offset, "window": window})
        dut.address.value = address.as_value().value
        await bench.start()
        assert await bench.finish() == (ErrorCode.WINDOW, 0, offset)
        await bench.works()
    bench.load([END])
    address = DramAddress.const({"offset": OFFSET + 32, "window": WINDOW})
    dut.address.value = address.as_value().value
    await bench.start()
    assert await bench.finish() == (ErrorCode.ILLEGAL_OPERAND, 0, OFFSET + 32)
    await bench.works()


@cocotb.test()
async def stops_when_a_semaphore_overflows(dut):
    """The instruction that signals once too often is named."""
    bench = await Bench.create(dut, "overflow")
    for unit in bench.units.values():
        unit.longest = 1
    words = [word(LOAD, signal=0b1010)] * 200 + [word(LOAD, signal=0b100)] * 30
    words += [word(LOAD, signal=0b1100)] * 60 + [END]
    outcome = golden(bench.config, words)
    assert outcome.code == ErrorCode.SEMAPHORE_OVERFLOW
    assert await bench.run(words) == (outcome.code, outcome.index, outcome.address)
    await bench.works()


@cocotb.test()
async def barks_when_nothing_goes_on(dut):
    """The watchdog stops a unit that hangs and a wait that no one ends; 0 turns it off."""
    bench = await Bench.create(dut, "watchdog")
    dut.watchdog.value = 300
    bench.units["array"].plan.stuck_at = 3
    words = [word(LOAD)] * 3 + [word(MATMUL), END]
    assert await bench.run(words) == (ErrorCode.WATCHDOG, 3, 0b10)
    await bench.works()
    assert await bench.run([word(LOAD), word(SOFTMAX, wait=2), END]) == (
        ErrorCode.WATCHDOG,
        1,
        0b100,
    )
    await bench.works()
    dut.watchdog.value = 0
    bench.load([word(SOFTMAX, wait=2), END])
    await bench.start()
    for _ in range(2000):
        await RisingEdge(dut.clk)
        assert not int(dut.finished.value)
    await bench.reset()
    await bench.works()


@cocotb.test()
async def soft_reset_abandons_a_program(dut):
    """At any time, also when idle and after an error; the machine is idle and forgets the error."""
    bench = await Bench.create(dut, "reset")
    random = generator("reset times")
    for _ in range(8):
        program = RandomProgram(random, bench.config, 60)
        bench.load(program.words)
        await bench.start()
        for _ in range(random.randint(0, 400)):
            await RisingEdge(dut.clk)
        await bench.reset()
        assert not any(int(bench.busy(name).value) for name in bench.units)
        await bench.works()
    assert (await bench.run([word(0)]))[0] == ErrorCode.ILLEGAL_OPCODE
    await bench.reset()
    assert bench.error() == NO_ERROR
    await bench.reset()
    await bench.works()
