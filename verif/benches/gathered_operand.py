"""Bench of operand A behind its reader and the gather reader: chunks of both, in order."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.gather_reader import gather_layout, place_layout
from ...hw.operand_reader import burst_layout
from ..golden.gather_reader import gather
from ..golden.operands import Matrix
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .gather_reader import random_tile
from .line_memory import LineMemory, noise
from .unit import configuration, reset

CYCLE_LIMIT = 2000


class Bench:
    """Products whose A is read as it lies, or gathered."""

    def __init__(self, dut):
        self.dut = dut
        self.config = configuration()
        self.random = generator("gathered operand")
        self.scratchpad = Scratchpad(self.config)
        noise(self.scratchpad, self.random)
        ports = ("operands", "gather")
        LineMemory(dut, self.scratchpad, ports, (), lambda: self.random.random() < 0.2)
        self.queues: dict[str, deque[Any]] = {
            name: deque() for name in ("bursts", "announced", "places")
        }
        self.expected: deque[Any] = deque()
        self.using = np.zeros((0, 0), dtype=np.int8)
        self.may_take = False

    def read_as_it_lies(self):
        """Queue a product of some chunks, the rows of A along the elements."""
        config, lines = self.config, self.config.chunk // 8
        for _ in range(self.random.randint(1, 4)):
            a = Matrix(config.array.rows, config.chunk, "int8", self._address(), config.lanes + 1)
            fields = {"address": a.address, "pitch": a.pitch, "lines": lines}
            self.queues["bursts"].append(burst_layout(config).const(fields).as_bits())
            self.expected.append(a.read(self.scratchpad))

    def gather(self):
        """Queue a product of some tiles."""
        config, random = self.config, self.random
        rows = random.randint(1, 2 * config.chunk)
        k = 8 * config.array.rows
        pitch = config.lanes * -(-k // 8 // config.lanes) + 1
        a = Matrix(rows, k, "int8", self._address(), pitch)
        fields = {"address": a.address, "pitch": a.pitch, "rows": rows}
        self.queues["announced"].append(gather_layout(config).const(fields).as_bits())
        tiles = [random_tile(random, config.array.rows, k) for _ in range(random.randint(1, 3))]
        for number, tile in enumerate(tiles):
            self.expected.extend(gather(a.read(self.scratchpad), tile, config.chunk))
            for place in tile:
                last = place == tile[-1]
                fields = {"k": place, "last": last, "final": last and number == len(tiles) - 1}
                self.queues["places"].append(place_layout.const(fields).as_bits())

    def _address(self):
        return self.random.randrange(self.config.scratchpad_words // 4)

    async def cycle(self):
        """Play one cycle: offer what may be offered, look at a step, take the next chunk."""
        dut = self.dut
        offered = [name for name, queue in self.queues.items() if queue]
        for name, queue in self.queues.items():
            getattr(dut, f"{name}_valid").value = name in offered
            if name in offered:
                getattr(dut, f"{name}_payload").value = queue[0]
        step = bool(self.using.shape[1]) and self.random.random() < 0.9
        dut.step.value = step
        dut.take.value = take = self.using.shape[1] <= step and self.may_take
        await RisingEdge(dut.clk)
        if self.using.shape[1]:
            shown = int(dut.elements.value).to_bytes(self.config.array.rows, "little")
            values = np.frombuffer(shown, dtype=np.int8)[: len(self.using)]
            assert (values == self.using[:, 0]).all()
        if step:
            self.using = self.using[:, 1:]
        if take:
            self.using = self.expected.popleft()
        for name in offered:
            if int(getattr(dut, f"{name}_ready").value):
                self.queues[name].popleft()
        self.may_take = bool(int(dut.available.value)) and not take

    async def finish(self):
        """Play until all that is queued has been taken."""
        for _ in range(CYCLE_LIMIT):
            if not any(self.queues.values()):
                return
            await self.cycle()
        raise AssertionError("something is not taken")


@cocotb.test()
async def keeps_the_order(dut):
    """Chunks that are gathered and chunks that are read come out in the order of the products."""
    bench = Bench(dut)
    for name in ("bursts_valid", "announced_valid", "places_valid", "take", "step"):
        getattr(dut, name).value = 0
    await reset(dut)
    for _ in range(parameters()["products"]):
        if bench.random.random() < 0.5:
            # What was announced last has to be seen before.
            await bench.cycle()
            while not int(dut.idle.value):
                await bench.cycle()
            bench.read_as_it_lies()
        else:
            bench.gather()
        await bench.finish()
    for _ in range(CYCLE_LIMIT):
        if not bench.expected and not bench.using.shape[1]:
            break
        await bench.cycle()
    assert not bench.expected and int(dut.idle.value)
