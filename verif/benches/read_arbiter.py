"""Bench of the read arbiter: two masters, one memory, errors for one of them."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiMasterRead, AxiReadBus, AxiResp

from ..parameters import generator, parameters
from .bus import ChannelWatch, ReadMemory, stalls
from .unit import configuration, reset

DRAM_BYTES = 0x8000
MASTERS = 2


class Rig:
    """An arbiter between two masters and a memory full of noise."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.dram = bytearray(self.random.randbytes(DRAM_BYTES))

    async def start(self) -> None:
        """Reset the arbiter; start masters and memory."""
        dut, axi = self.dut, self.config.axi
        self.memory = ReadMemory(dut, "memory", self.dram)
        self.masters = [
            AxiMasterRead(
                AxiReadBus.from_prefix(dut, f"masters_{number}"),
                dut.clk,
                dut.rst,
                max_burst_len=axi.burst_beats,
            )
            for number in range(MASTERS)
        ]
        self.watch = ChannelWatch(
            dut, "memory", "ar", self.config.axi_bytes, axi.burst_beats, outstanding=64
        )
        probability = parameters()["stalls"]
        await reset(dut)
        if probability:
            self.memory.stall(generator("bus"), probability)
            for number, master in enumerate(self.masters):
                pauses = generator(f"master {number}")
                master.ar_channel.set_pause_generator(stalls(pauses, probability))
                master.r_channel.set_pause_generator(stalls(pauses, probability))
        self.watch.start()

    async def read(self, number: int, count: int) -> int:
        """Let a master read at random `count` times and compare; return the errors it saw."""
        random = generator(f"reads of {number}")
        beat = self.config.axi_bytes
        errors = 0
        for _ in range(count):
            length = beat * random.choice((1, 2, 5, self.config.axi.burst_beats, 40))
            address = random.randrange(0, DRAM_BYTES - length, beat)
            answer = await self.masters[number].read(address, length, arid=0)
            expected = self.dram[address : address + length]
            failing = self.memory.failures
            if address < failing.stop and failing.start < address + length:
                assert answer.resp == self.memory.response
                errors += 1
            else:
                assert answer.resp == AxiResp.OKAY
                assert bytes(answer.data) == bytes(expected)
        return errors


@cocotb.test()
async def routes(dut: Any) -> None:
    """Each master gets its own data, whatever the other does."""
    rig = Rig(dut, "routes")
    await rig.start()
    tasks = [cocotb.start_soon(rig.read(number, 60)) for number in range(MASTERS)]
    for task in tasks:
        assert await task == 0
    assert rig.watch.in_flight == 0


@cocotb.test()
async def errors(dut: Any) -> None:
    """An error response reaches who asked, and nobody else."""
    rig = Rig(dut, "errors")
    await rig.start()
    rig.memory.fail(range(0x1000, 0x3000), AxiResp.DECERR)
    tasks = [cocotb.start_soon(rig.read(number, 60)) for number in range(MASTERS)]
    assert all([await task for task in tasks]), "no access failed"


@cocotb.test()
async def takes_turns(dut: Any) -> None:
    """A master waits for at most one request of the other."""
    rig = Rig(dut, "turns")
    await rig.start()
    tasks = [cocotb.start_soon(rig.read(number, 60)) for number in range(MASTERS)]
    overtaken = [0] * MASTERS
    contended = 0
    while not all(task.done() for task in tasks):
        await RisingEdge(dut.clk)
        valid = [bool(int(getattr(dut, f"masters_{n}_arvalid").value)) for n in range(MASTERS)]
        ready = [bool(int(getattr(dut, f"masters_{n}_arready").value)) for n in range(MASTERS)]
        assert not (all(valid) and all(ready)), "both were accepted"
        contended += all(valid) and any(ready)
        for number, other in ((0, 1), (1, 0)):
            waits = valid[number] and not ready[number]
            overtaken[number] = overtaken[number] + (valid[other] and ready[other]) if waits else 0
            assert overtaken[number] <= 1, f"master {number} was overtaken twice"
    assert contended, "the masters never asked at the same time"
