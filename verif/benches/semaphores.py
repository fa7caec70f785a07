"""Bench of the semaphores: random clients against the golden counters."""

from __future__ import annotations

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from ...hw.semaphores import MAXIMUM
from ..golden.controller import Semaphores
from ..golden.fault import Fault
from ..parameters import generator, parameters


class Bench:
    """The semaphores, their golden model, and clients that wait for random masks."""

    def __init__(self, dut, name: str) -> None:
        self.dut = dut
        self.random = generator(name)
        self.count = parameters()["semaphores"]
        self.clients = parameters()["clients"]
        self.golden = Semaphores(self.count)
        self.waiting = [self.mask() for _ in range(self.clients)]
        self.overflow: int | None = None
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())

    def mask(self) -> int:
        """Return a mask of a few semaphores, sometimes of none."""
        return sum(
            {1 << self.random.randrange(self.count) for _ in range(self.random.randint(0, 3))}
        )

    async def reset(self) -> None:
        """Reset the design and the inputs."""
        for port in ("waiting", "valid", "take", "taken", "give", "given", "clear"):
            getattr(self.dut, port).value = 0
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def step(self, *, take: int | None, give: int | None, clear: bool = False) -> list[int]:
        """Drive one cycle; return the clients that may go on, checked against the model."""
        dut = self.dut
        dut.valid.value = (1 << self.clients) - 1
        dut.waiting.value = sum(
            mask << self.count * client for client, mask in enumerate(self.waiting)
        )
        dut.take.value = int(take is not None)
        dut.taken.value = self.waiting[take] if take is not None else 0
        dut.give.value = int(give is not None)
        dut.given.value = self.random.getrandbits(self.count) if give is None else give
        dut.clear.value = int(clear)
        expected = [
            client
            for client, mask in enumerate(self.waiting)
            if self.golden.available(mask) and take is None and not clear
        ]
        # It is reported in the cycle after that of the answers.
        overflow = None if clear else self.overflow
        self.overflow = self.apply(take, give, clear)
        await FallingEdge(dut.clk)
        found = int(dut.available.value)
        assert found == sum(1 << client for client in expected)
        assert int(dut.overflow.value) == (overflow is not None)
        if overflow is not None:
            assert int(dut.place.value) == overflow
        if take is not None:
            self.waiting[take] = self.mask()
        return expected

    def apply(self, take: int | None, give: int | None, clear: bool) -> int | None:
        """Change the model; return the semaphore that overflows."""
        if clear:
            self.golden = Semaphores(self.count)
            return None
        try:
            if take is not None:
                self.golden.take(self.waiting[take])
            if give is not None:
                self.golden.give(give)
        except Fault as fault:
            return fault.address
        return None


@cocotb.test()
async def counts_like_the_model(dut):
    """Random gives and takes, one of each a cycle, with clears in between."""
    bench = Bench(dut, "counts")
    await bench.reset()
    able: list[int] = []
    for _ in range(3000):
        take = bench.random.choice(able) if able and bench.random.random() < 0.8 else None
        give = bench.mask() if bench.random.random() < 0.5 else None
        able = await bench.step(take=take, give=give, clear=bench.random.random() < 0.005)


@cocotb.test()
async def reports_the_first_that_is_full(dut):
    """A full semaphore overflows, unless one is taken in the same cycle."""
    bench = Bench(dut, "overflow")
    await bench.reset()
    places = bench.random.sample(range(bench.count), 2)
    full = sum(1 << place for place in places)
    bench.waiting[0] = full
    for overflowing in (full, 1 << max(places)):
        for _ in range(MAXIMUM):
            able = await bench.step(take=None, give=full)
        assert 0 in able
        await bench.step(take=0, give=full)
        await bench.step(take=None, give=overflowing)
        bench.waiting = [0] * bench.clients
        await bench.step(take=None, give=None)
        # Counts mean nothing after an overflow: the machine stops.
        await bench.step(take=None, give=None, clear=True)
        bench.waiting[0] = full
