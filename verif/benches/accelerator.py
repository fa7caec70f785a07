"""Bench of the whole accelerator: the driver runs programs over AXI4-Lite and AXI4.

The driver is ordinary code that waits for its device; it runs in a thread that cocotb holds while
the simulation goes on.
"""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from ...hw.config import from_dict
from ...sw.driver import DeviceError, LoadedProgram, load_program, run_program
from ..devices.golden import GoldenDevice
from ..failures import (
    CONSTANT,
    DATA,
    RESULT,
    WATCHDOG,
    WINDOW_BYTES,
    BusError,
    Failure,
    bus_failures,
    controller_failures,
    copy_program,
    instruction_failures,
)
from ..golden.machine import COUNTED
from ..parameters import generator, parameters
from ..programs import random_program
from .bus import ChannelWatch, ReadMemory, WriteMemory, stalls

MEMORY_BYTES = 1 << 18


class Device:
    """The simulated accelerator, as the driver sees it from its thread."""

    def __init__(self, dut, name: str) -> None:
        self.dut = dut
        self.config = from_dict(parameters()["config"])
        self.memory_base = 0
        self.memory_bytes = MEMORY_BYTES
        self.random = generator(name)
        self.contents = bytearray(self.random.randbytes(MEMORY_BYTES))
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.reads = ReadMemory(dut, "m_axi", self.contents)
        self.writes = WriteMemory(dut, "m_axi", self.contents)
        limits = (self.config.axi_bytes, self.config.axi.burst_beats, 64)
        self.watches = [ChannelWatch(dut, "m_axi", name, *limits) for name in ("ar", "aw")]

    async def reset(self) -> None:
        """Reset the design and begin to stall all channels as the parameters say."""
        self.dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        for watch in self.watches:
            watch.start()
        probability = parameters()["stalls"]
        self.reads.stall(self.random, probability)
        self.writes.stall(self.random, probability)
        for half in (self.host.write_if, self.host.read_if):
            for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
                if hasattr(half, name):
                    getattr(half, name).set_pause_generator(stalls(self.random, probability))

    @resume
    async def read_register(self, offset: int) -> int:
        """Return a register."""
        return int.from_bytes((await self.host.read(offset, 4)).data, "little")

    @resume
    async def write_register(self, offset: int, value: int) -> None:
        """Write a register."""
        await self.host.write(offset, value.to_bytes(4, "little"))

    @resume
    async def wait_for_interrupt(self, timeout: float) -> bool:
        """Wait for the interrupt, at most `timeout` cycles."""
        for _ in range(int(timeout)):
            await RisingEdge(self.dut.clk)
            if int(self.dut.interrupt.value):
                return True
        return False

    @resume
    async def wait(self, cycles: int) -> None:
        """Let the simulation go on."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    def read_memory(self, address: int, size: int) -> bytes:
        """Return bytes of the memory."""
        return bytes(self.contents[address : address + size])

    def write_memory(self, address: int, data: bytes) -> None:
        """Change bytes of the memory."""
        self.contents[address : address + len(data)] = data

    def fail(self, error: BusError | None, bases: tuple[int, ...]) -> None:
        """Let one beat fail, or none."""
        for memory in (self.reads, self.writes):
            if error is None:
                memory.fail(range(0), AxiResp.OKAY)
            else:
                address = bases[error.window] + error.offset
                response = AxiResp.DECERR if error.decode else AxiResp.SLVERR
                memory.fail(range(address, address + self.config.axi_bytes), response)

    def check_quiet(self) -> None:
        """Check that no transaction is in flight and nothing runs."""
        assert [watch.in_flight for watch in self.watches] == [0, 0]
        assert self.read_register(0) & 0b101 == 0b100, "the machine is not idle"


def check_copy(device: Device) -> None:
    """Check that the machine runs a program that copies rows."""
    loaded = load_program(device, copy_program(device.config))
    rows = []
    for row in range(3):
        place = loaded.bases[CONSTANT] + 64 * row
        device.write_memory(place, device.random.randbytes(32))
        rows.append(device.read_memory(place, 32))
    counters = loaded.run({}, timeout=20_000).counters
    for row, data in enumerate(rows):
        assert device.read_memory(loaded.bases[RESULT] + 64 * row, 32) == data
    assert counters["instructions"] == 3
    assert counters["dram_written_bytes"] == 96
    assert counters["dram_read_bytes"] == 96 + 4 * 64
    assert counters["load_written_words"] == 3 * 4
    assert counters["store_read_lines"] == 3 * -(-4 // device.config.lanes)


def check_failure(device: Device, failure: Failure) -> None:
    """Check what a program that fails reports and leaves, and that the next one runs."""
    loaded = load_program(device, failure.program)
    device.fail(failure.bus_error, loaded.bases)
    before = device.read_memory(0, MEMORY_BYTES)
    try:
        loaded.run({}, timeout=50_000, watchdog=WATCHDOG)
        raise AssertionError(f"{failure.name}: no error")
    except DeviceError as error:
        found = error.code, error.index, error.address
    expected = failure.code, failure.index, failure.reported(loaded.bases)
    assert found == expected, f"{failure.name}: {found}, not {expected}"
    check_untouched(device, loaded, before)
    device.check_quiet()
    device.fail(None, loaded.bases)
    check_copy(device)


def check_untouched(device: Device, loaded: LoadedProgram, before: bytes) -> None:
    """Check that nothing was written outside the writable windows."""
    allowed = [loaded.bases[index] for index in (DATA, RESULT) if index < len(loaded.bases)]
    for start in range(0, MEMORY_BYTES, WINDOW_BYTES):
        if start not in allowed:
            end = start + WINDOW_BYTES
            assert device.read_memory(start, WINDOW_BYTES) == before[start:end], hex(start)


async def run(dut, name: str, function, *arguments: object) -> None:
    """Reset the design and run ``function(device, *arguments)`` in a thread."""
    device = Device(dut, name)
    await device.reset()
    await bridge(function)(device, *arguments)


def check_programs(device: Device, count: int) -> None:
    """Compare random programs with the golden model, element by element."""
    for _ in range(count):
        seed = device.random.getrandbits(16)
        program, inputs = random_program(device.config, seed)
        expected = run_program(GoldenDevice(device.config, MEMORY_BYTES), program, inputs)
        found = run_program(device, program, inputs, timeout=200_000)
        for name, values in expected.outputs.items():
            np.testing.assert_array_equal(found.outputs[name], values, f"{name}, seed {seed}")
        for name in COUNTED:
            assert found.counters[name] == expected.counters[name], name
        device.check_quiet()


def check_failures(device: Device, failures) -> None:
    """Check every failure, with a program that works after each."""
    for failure in failures(device.config):
        check_failure(device, failure)


def check_aborts(device: Device, count: int) -> None:
    """Soft reset at random times of a program, then a program that works."""
    program, inputs = random_program(device.config, 1)
    for _ in range(count):
        loaded = load_program(device, program)
        loaded.write_inputs(inputs)
        loaded.start(WATCHDOG)
        device.wait(device.random.randint(0, 1500))
        loaded.reset()
        device.check_quiet()
        assert not int(device.dut.interrupt.value) or loaded.registers.read("interrupt_status") == 0
        check_copy(device)


@cocotb.test()
async def runs_random_programs(dut):
    """Results and counters of programs with all instructions equal the golden model."""
    await run(dut, "programs", check_programs, 3)


@cocotb.test()
async def reports_bad_instructions(dut):
    """Illegal opcodes, operands, ranges and windows."""
    await run(dut, "instructions", check_failures, instruction_failures)


@cocotb.test()
async def reports_bus_errors(dut):
    """SLVERR and DECERR on program, reads and writes."""
    await run(dut, "bus", check_failures, bus_failures)


@cocotb.test()
async def reports_what_the_controller_finds(dut):
    """Semaphore overflow, watchdog, a program without END."""
    await run(dut, "controller", check_failures, controller_failures)


@cocotb.test()
async def soft_reset_aborts(dut):
    """A soft reset at any time leaves a machine that works."""
    await run(dut, "aborts", check_aborts, 6)
