"""Bench of the counters: random increments, clears and readings, to the cycle."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer

from ...hw.counters import HALF_BITS, PLACES, Counters
from ..golden.counters import RecentCounts
from ..parameters import generator, parameters
from .unit import reset

AGE = Counters.LATENCY
"""Cycles that a total is old when it is read."""


class Bench:
    """The counters and their model, a cycle at a time."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.random = generator(name)
        self.widths = parameters()["widths"]
        self.golden = RecentCounts(len(self.widths))
        dut.read_valid.value = 0

    async def reset(self) -> None:
        """Reset the design with all inputs at zero."""
        for port in ("increments", "enable", "clear", "read_place", "read_high"):
            getattr(self.dut, port).value = 0
        await reset(self.dut)
        await FallingEdge(self.dut.clk)

    async def step(self, *, most: bool = False, enable: bool = True, clear: bool = False) -> None:
        """Count random increments, or the greatest, for a cycle."""
        increments = [
            (1 << width) - 1 if most else self.random.getrandbits(width) for width in self.widths
        ]
        packed, low = 0, 0
        for width, increment in zip(self.widths, increments, strict=True):
            packed |= increment << low
            low += width
        self.dut.increments.value = packed
        self.dut.enable.value = int(enable)
        self.dut.clear.value = int(clear)
        self.golden.step(increments, enable=enable, clear=clear)
        await FallingEdge(self.dut.clk)

    async def some(self, cycles: int) -> None:
        """Count for some cycles, with pauses."""
        for _ in range(cycles):
            await self.step(most=self.random.random() < 0.3, enable=self.random.random() < 0.8)

    async def half(self, place: int, *, high: bool) -> tuple[int, int]:
        """Read half a counter while the others go on; return it and what the model counted."""
        dut = self.dut
        dut.read_place.value, dut.read_high.value, dut.read_valid.value = place, int(high), 1
        for _ in range(PLACES + AGE + 1):
            await Timer(1, "ns")
            ready, found = int(dut.read_ready.value), int(dut.read_half.value)
            expected = self.golden.count(place, AGE)
            await self.step(most=self.random.random() < 0.3)
            if ready:
                return found, expected
        raise AssertionError(f"counter {place} does not answer")

    async def rest(self) -> None:
        """Take back the request."""
        self.dut.read_valid.value = 0
        await self.some(self.random.randint(1, 5))

    async def check(self, place: int) -> None:
        """Read a counter in two halves, far apart; both are of the same moment."""
        low, expected = await self.half(place, high=False)
        assert low == expected % (1 << HALF_BITS), f"low half of counter {place}"
        await self.rest()
        high, _ = await self.half(place, high=True)
        assert high == expected >> HALF_BITS, f"high half of counter {place}"
        await self.rest()


@cocotb.test()
async def counts_to_the_cycle(dut: Any) -> None:
    """Every place, those without a counter too, reads as the model says, after clears as well."""
    bench = Bench(dut, "counts")
    await bench.reset()
    for _ in range(6):
        await bench.some(bench.random.choice((0, 1, 7, PLACES, 3 * PLACES)))
        for place in bench.random.sample(range(PLACES), 12):
            await bench.check(place)
        await bench.step(clear=True)


@cocotb.test()
async def starts_from_zero_at_any_time(dut: Any) -> None:
    """A counter that is read right after a clear shows nothing of what was before."""
    bench = Bench(dut, "clear")
    await bench.reset()
    for _ in range(60):
        await bench.some(bench.random.randint(0, PLACES))
        await bench.step(clear=True)
        await bench.check(bench.random.randrange(len(bench.widths)))


@cocotb.test()
async def forgets_a_high_half(dut: Any) -> None:
    """The high half is its own where no low half of this counter was read, or it is gone."""
    bench = Bench(dut, "halves")
    await bench.reset()
    await bench.some(4 * PLACES)
    place = max(range(len(bench.widths)), key=lambda number: bench.widths[number])
    for prepare in ("another", "twice", "clear"):
        await bench.half((place + (prepare == "another")) % PLACES, high=False)
        await bench.rest()
        if prepare == "twice":
            await bench.half(place, high=True)
            await bench.rest()
        if prepare == "clear":
            await bench.step(clear=True)
        await bench.some(PLACES)
        found, expected = await bench.half(place, high=True)
        assert found == expected >> HALF_BITS, prepare
        await bench.rest()
