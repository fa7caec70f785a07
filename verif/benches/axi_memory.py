"""Bench of the memory behind AXI4: tasks that write and read, each in a region of its own."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiBurstType, AxiBus, AxiLiteBus, AxiLiteMaster, AxiMaster, AxiResp

from ...hw.axi import Burst, Response
from ..golden.axi_memory import Access, Memory
from ..parameters import generator, parameters
from .bus import stalls
from .unit import configuration, reset

REGION = 1024
"""Bytes of the region of a task."""

BURSTS = {
    Burst.INCR: AxiBurstType.INCR,
    Burst.FIXED: AxiBurstType.FIXED,
    Burst.WRAP: AxiBurstType.WRAP,
}


def _memory() -> Memory:
    values = parameters()
    return Memory(configuration(), values["size"], values["base"])


def _begin_stalls(masters: list[Any], random: Any, probability: float) -> None:
    for master in masters:
        for half in (master.write_if, master.read_if):
            for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
                if hasattr(half, name):
                    getattr(half, name).set_pause_generator(stalls(random, probability))


class Task:
    """Accesses of one master to one region, checked against a model of its own."""

    def __init__(self, golden: Memory, start: int, random: Any) -> None:
        self.golden, self.start, self.random = golden, start, random

    def _access(self, beat_bytes: int) -> Access:
        """Return a burst in the region, or one that is answered with an error."""
        random = self.random
        last = REGION // beat_bytes
        beats = random.choice((1, 2, random.randint(1, 16), random.randint(1, last)))
        place = random.choice((0, last - beats, random.randint(0, last - beats)))
        size = (beat_bytes - 1).bit_length()
        address = self.start + place * beat_bytes
        kind = random.random()
        if kind < 0.05:
            return Access(address, 1, size - 1)
        if kind < 0.1:
            return Access(address, random.choice((2, 4)), size, random.choice(tuple(BURSTS)))
        if kind < 0.15:
            return Access(address ^ 1 << 31, beats, size)
        return Access(address, beats, size)

    async def bursts(self, master: Any, count: int) -> None:
        """Write and read bursts over AXI4."""
        golden, random = self.golden, self.random
        width = golden.beat_bytes
        for _ in range(count):
            access = self._access(width)
            ordinary = access.size == (width - 1).bit_length() and access.burst is Burst.INCR
            options = {"burst": BURSTS[access.burst], "size": access.size}
            length = access.beats << access.size
            if random.random() < 0.5:
                data = random.randbytes(length)
                cut = random.randrange(width) if ordinary and access.beats > 1 else 0
                answer = await master.write(access.address, data[: length - cut], **options)
                beats = []
                for offset in range(0, length, width):
                    part = data[offset : min(offset + width, length - cut)]
                    beats.append((int.from_bytes(part, "little"), (1 << len(part)) - 1))
                assert answer.resp == AxiResp(golden.write(access, beats).value)
                continue
            answer = await master.read(access.address, length, **options)
            response, words = self._read(access)
            assert answer.resp == AxiResp(response.value)
            if response is Response.OKAY:
                expected = b"".join(word.to_bytes(width, "little") for word in words)
                assert bytes(answer.data) == expected

    def _read(self, access: Access) -> tuple[Response, list[int]]:
        if self.golden.response(access) is Response.OKAY:
            return self.golden.read(access)
        return self.golden.response(access), []

    async def words(self, master: Any, count: int) -> None:
        """Write and read words over AXI4-Lite."""
        golden, random = self.golden, self.random
        for _ in range(count):
            offset = 4 * random.randrange(REGION // 4)
            address = self.start + offset
            if random.random() < 0.05:
                answer = await master.read(address ^ 1 << 31, 4)
                assert answer.resp == AxiResp.DECERR
                assert (await master.write(address ^ 1 << 31, b"abcd")).resp == AxiResp.DECERR
            place = address - golden.base
            if random.random() < 0.5:
                # A word or a part of it, hence strobes of every kind.
                low = random.randrange(4)
                data = random.randbytes(random.randint(1, 4 - low))
                golden.contents[place + low : place + low + len(data)] = data
                assert (await master.write(address + low, data)).resp == AxiResp.OKAY
                continue
            answer = await master.read(address, 4)
            assert answer.resp == AxiResp.OKAY
            assert bytes(answer.data) == golden.contents[place : place + 4]


@cocotb.test()
async def keeps_bytes(dut: Any) -> None:
    """Bursts and words, at once and with pauses, read what was written, and errors are named."""
    random = generator("keeps_bytes")
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "host"), dut.clk, dut.rst)
    golden = _memory()
    await reset(dut)
    for probability in (0.0, parameters()["stalls"]):
        _begin_stalls([master, host], random, probability)
        regions = range(golden.base, golden.base + 4 * REGION, REGION)
        tasks = [Task(golden, start, random) for start in regions]
        count = parameters()["accesses"]
        running = [cocotb.start_soon(task.bursts(master, count)) for task in tasks[:3]]
        running.append(cocotb.start_soon(tasks[3].words(host, 3 * count)))
        for task in running:
            await task


@cocotb.test()
async def streams(dut: Any) -> None:
    """A burst gives a beat a cycle, four cycles after its address."""
    width = configuration().axi_bytes
    for name in ("s_axi_awvalid", "s_axi_wvalid", "host_arvalid", "host_awvalid", "host_wvalid"):
        getattr(dut, name).value = 0
    dut.s_axi_rready.value = 1
    dut.s_axi_arvalid.value = 0
    await reset(dut)
    await FallingEdge(dut.clk)
    dut.s_axi_araddr.value = parameters()["base"]
    dut.s_axi_arlen.value = 15
    dut.s_axi_arsize.value = (width - 1).bit_length()
    dut.s_axi_arburst.value = Burst.INCR.value
    dut.s_axi_arvalid.value = 1
    await RisingEdge(dut.clk)
    beats = []
    for cycle in range(1, 40):
        await FallingEdge(dut.clk)
        dut.s_axi_arvalid.value = 0
        if int(dut.s_axi_rvalid.value):
            beats.append(cycle)
    assert beats == list(range(4, 20))
