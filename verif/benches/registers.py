"""Bench of the register file: every field of the map, over AXI4-Lite with idle and stalls."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from ...hw.config import from_dict
from ...hw.register_file import port_name
from ...hw.registers import COUNTER_OFFSET, Access, Register, register_map
from ..golden.registers import Registers
from ..parameters import generator, parameters
from .bus import stalls


class Bench:
    """The register file, a host, and the golden model of both."""

    def __init__(self, dut, name: str) -> None:
        config = from_dict(parameters()["config"])
        self.dut = dut
        self.random = generator(name)
        self.registers: dict[str, Register] = {
            register.name: register for register in register_map(config)
        }
        self.golden = Registers(config)
        for register, field in self.golden.fields():
            port = port_name(register, field)
            if field.access in (Access.READ_CLEAR, Access.WRITE_TOGGLE):
                getattr(dut, port).value = 0
            elif field.access is Access.READ_ONLY:
                getattr(dut, port).value = field.reset
            elif field.access is Access.WRITE_SET:
                getattr(dut, f"{port}_clear").value = 0
        dut.forget.value = 0
        dut.counters_ready.value = 0
        dut.counters_half.value = 0
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)

    async def reset(self) -> None:
        """Reset the design, then stall all channels as the parameters say."""
        self.dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        cocotb.start_soon(self._count())
        writes, reads = self.host.write_if, self.host.read_if
        for channel in (
            writes.aw_channel,
            writes.w_channel,
            writes.b_channel,
            reads.ar_channel,
            reads.r_channel,
        ):
            source = random.Random(self.random.random())
            channel.set_pause_generator(stalls(source, parameters()["stalls"]))

    async def _count(self) -> None:
        """Play the counters: answer with the golden value, sooner or later."""
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if not int(dut.counters_valid.value):
                continue
            for _ in range(self.random.choice((0, 1, 2, 40))):
                await RisingEdge(dut.clk)
            place, high = int(dut.counters_place.value), int(dut.counters_high.value)
            dut.counters_half.value = self.golden.read(COUNTER_OFFSET + 8 * place + 4 * high)
            dut.counters_ready.value = 1
            await RisingEdge(dut.clk)
            dut.counters_ready.value = 0
            dut.counters_half.value = self.random.getrandbits(32)
            await RisingEdge(dut.clk)

    async def read(self, name: str) -> int:
        """Read a register, and check it against the golden model."""
        offset = self.registers[name].offset
        answer = await self.host.read(offset, 4)
        value = int.from_bytes(answer.data, "little")
        assert answer.resp == AxiResp.OKAY
        assert value == self.golden.read(offset), f"{name} reads as {value:#x}"
        return value

    async def write(self, name: str, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of a register that `strobes` chooses."""
        register = self.registers[name]
        data = value.to_bytes(4, "little")
        first = (strobes & -strobes).bit_length() - 1
        count = strobes.bit_length() - first
        answer = await self.host.write(register.offset + first, data[first : first + count])
        assert answer.resp == AxiResp.OKAY
        self.golden.write(register.offset, value, strobes)

    async def pulse(self, *ports: str) -> None:
        """Raise inputs for one cycle."""
        for port in ports:
            getattr(self.dut, port).value = 1
        await RisingEdge(self.dut.clk)
        for port in ports:
            getattr(self.dut, port).value = 0
        await RisingEdge(self.dut.clk)

    async def event(self, register: str, field: str) -> None:
        """Let an event happen."""
        await self.pulse(f"{register}_{field}")
        self.golden.event(register, field)

    async def settle(self) -> None:
        """Wait until outputs and the interrupt follow, and check them."""
        for _ in range(2):
            await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        assert int(self.dut.interrupt.value) == self.golden.interrupt
        for register, field in self.golden.fields():
            if field.access in (Access.READ_WRITE, Access.WRITE_SET):
                value = int(getattr(self.dut, port_name(register, field)).value)
                assert value == self.golden.value(register.name, field.name)


@cocotb.test()
async def resets_to_the_map(dut):
    """Every register reads as its reset value, and every other address as zero."""
    bench = Bench(dut, "reset")
    await bench.reset()
    for register in bench.registers.values():
        assert await bench.read(register.name) == register.reset
    known = {register.offset for register in bench.registers.values()}
    for offset in set(range(0, 1 << 12, 4)) - known:
        if bench.random.random() < 0.05:
            await bench.host.write(offset, b"\xff\xff\xff\xff")
            assert (await bench.host.read(offset, 4)).data == b"\0\0\0\0"
    for register in bench.registers.values():
        await bench.read(register.name)


@cocotb.test()
async def holds_what_is_written(dut):
    """Random writes with random strobes reach the outputs; inputs are shown."""
    bench = Bench(dut, "write")
    await bench.reset()
    names = list(bench.registers)
    for _ in range(250):
        name = bench.random.choice(names)
        strobes = bench.random.choice((0xF, 0xF, 0x1, 0x2, 0xC, 0x8, 0x6))
        await bench.write(name, bench.random.getrandbits(32), strobes)
        for register, field in bench.golden.fields():
            shown = (Access.READ_ONLY, Access.COUNTED)
            if field.access in shown and bench.random.random() < 0.1:
                value = bench.random.getrandbits(field.width)
                if field.access is Access.READ_ONLY:
                    getattr(dut, port_name(register, field)).value = value
                bench.golden.show(register.name, field.name, value)
        await bench.settle()
        await bench.read(bench.random.choice(names))


@cocotb.test()
async def control_follows_the_protocol(dut):
    """Start clears with ready; done and ready clear on read; interrupts toggle on write."""
    bench = Bench(dut, "control")
    await bench.reset()
    events = [("control", "done"), ("control", "ready")]
    events += [("interrupt_status", name) for name in ("done", "ready", "error")]
    levels = [("control", "start"), ("soft_reset", "request")]
    for _ in range(300):
        kind = bench.random.choice(("event", "clear", "forget", "write", "write", "read"))
        if kind == "event":
            await bench.event(*bench.random.choice(events))
        elif kind == "clear":
            register, field = bench.random.choice(levels)
            await bench.pulse(f"{register}_{field}_clear")
            bench.golden.clear(register, field)
        elif kind == "forget":
            await bench.pulse("forget")
            bench.golden.forget()
        elif kind == "write":
            name = bench.random.choice(list(bench.registers)[:4] + ["soft_reset"])
            await bench.write(name, bench.random.getrandbits(3))
        else:
            await bench.read(bench.random.choice(("control", "interrupt_status")))
        await bench.settle()


@cocotb.test()
async def interrupt_needs_both_enables(dut):
    """An event is noted if it is enabled, and seen outside if interrupts are."""
    bench = Bench(dut, "interrupt")
    await bench.reset()
    await bench.event("interrupt_status", "done")
    await bench.settle()
    assert not int(dut.interrupt.value)
    await bench.write("interrupt_enable", 1)
    await bench.event("interrupt_status", "done")
    await bench.settle()
    assert not int(dut.interrupt.value)
    await bench.write("global_interrupt_enable", 1)
    await bench.settle()
    assert int(dut.interrupt.value)
    await bench.write("interrupt_status", 1)
    await bench.settle()
    assert not int(dut.interrupt.value)


@cocotb.test()
async def serves_both_directions_at_once(dut):
    """Reads and writes that overlap do not disturb each other, and no event is lost."""
    bench = Bench(dut, "overlap")
    await bench.reset()

    async def write() -> None:
        for _ in range(60):
            await bench.write("program_address_low", bench.random.getrandbits(32))

    task = cocotb.start_soon(write())
    for _ in range(60):
        assert await bench.read("watchdog") == 0
    await task
    await bench.read("program_address_low")


@cocotb.test()
async def loses_no_event(dut):
    """Each event is read exactly once, whenever the host reads."""
    bench = Bench(dut, "events")
    await bench.reset()
    for _ in range(60):
        reading = cocotb.start_soon(bench.host.read(0, 4))
        for _ in range(bench.random.randint(0, 6)):
            await RisingEdge(dut.clk)
        await bench.pulse("control_done")
        first = (await reading).data[0] >> 1 & 1
        second = (await bench.host.read(0, 4)).data[0] >> 1 & 1
        assert first + second == 1
