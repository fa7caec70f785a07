"""Bench of the byte expander: random pieces of vectors, with pauses and back-pressure."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.byte_expander import expanded_layout, expansion_layout
from ..golden.byte_expander import expand
from ..parameters import generator, parameters
from .requantise import pack
from .unit import CYCLE_LIMIT, reset

TAG_BITS = 7


class Bench:
    """An expander, what it is to be given, and what it gave."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.random = generator()
        self.size = parameters()["size"]
        self.vectors: list[int] = []
        self.items: list[int] = []
        self.expected: list[int] = []
        self.given: list[int] = []
        self.busy_cycles = 0

    def add_piece(self) -> None:
        """Add vectors and their values; the last item is filled up with random bytes."""
        numbers = np.random.default_rng(self.random.getrandbits(32))
        count = self.random.choice((1, 2, 20))
        present = numbers.random((count, self.size)) < self.random.choice((0.0, 0.1, 0.6, 1.0))
        values = numbers.integers(-128, 128, int(present.sum())).astype(np.int8)
        filler = numbers.integers(-128, 128, -len(values) % self.size).astype(np.int8)
        for item in np.concatenate([values, filler]).reshape(-1, self.size):
            self.items.append(pack(item, 8))
        vector_shape = expansion_layout(self.size, TAG_BITS)
        result_shape = expanded_layout(self.size, TAG_BITS)
        for number, elements in enumerate(expand(present, values)):
            tag = self.random.getrandbits(TAG_BITS)
            bits = pack(present[number], 1)
            fields = {"present": bits, "count": bits.bit_count(), "tag": tag}
            fields["last"] = number == count - 1
            self.vectors.append(vector_shape.const(fields).as_bits())
            result = {"elements": [int(element) for element in elements], "tag": tag}
            self.expected.append(result_shape.const(result).as_bits())

    async def give(self, name: str, payloads: list[int], share: float) -> None:
        """Offer `payloads` on a stream, in a share of the cycles."""
        valid = getattr(self.dut, f"{name}_valid")
        ready = getattr(self.dut, f"{name}_ready")
        for payload in payloads:
            while self.random.random() >= share:
                valid.value = 0
                await RisingEdge(self.dut.clk)
            valid.value = 1
            getattr(self.dut, f"{name}_payload").value = payload
            await RisingEdge(self.dut.clk)
            while not int(ready.value):
                await RisingEdge(self.dut.clk)
        valid.value = 0

    async def take(self, share: float) -> None:
        """Take what comes in a share of the cycles."""
        for _ in range(CYCLE_LIMIT):
            ready = self.random.random() < share
            self.dut.output_ready.value = ready
            await RisingEdge(self.dut.clk)
            self.busy_cycles += bool(self.given)
            if ready and int(self.dut.output_valid.value):
                self.given.append(int(self.dut.output_payload.value))
            if len(self.given) == len(self.expected):
                return
        raise AssertionError(f"{len(self.given)} of {len(self.expected)} vectors came")

    async def run(self, pieces: int, share: float) -> None:
        """Play some pieces; every stream moves in a share of the cycles."""
        for name in ("input_valid", "values_valid", "output_ready"):
            getattr(self.dut, name).value = 0
        await reset(self.dut)
        for _ in range(pieces):
            self.add_piece()
        cocotb.start_soon(self.give("input", self.vectors, share))
        cocotb.start_soon(self.give("values", self.items, share))
        await self.take(share)
        assert self.given == self.expected


@cocotb.test()
async def expands(dut: Any) -> None:
    """Every element has its value, whatever pauses there are."""
    await Bench(dut).run(100, 0.6)


@cocotb.test()
async def takes_a_vector_every_cycle(dut: Any) -> None:
    """Neither the number of values nor the end of a piece costs a cycle."""
    bench = Bench(dut)
    await bench.run(100, 1.0)
    assert bench.busy_cycles == len(bench.expected) - 1
