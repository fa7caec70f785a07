"""Bench of the queue in block RAM: random words, pauses and clears."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer

from ..golden.block_queue import BlockQueue
from ..parameters import generator, parameters
from .unit import reset


@cocotb.test()
async def equals_the_model(dut: Any) -> None:
    """Words leave in order, as soon as the model says, whether the queue is full, empty or both."""
    random = generator("queue")
    width, depth = parameters()["width"], parameters()["depth"]
    golden = BlockQueue(depth)
    for port in ("input_valid", "input_payload", "output_ready", "clear"):
        getattr(dut, port).value = 0
    await reset(dut)
    await FallingEdge(dut.clk)
    reached = set()
    for cycle in range(parameters()["cycles"]):
        if cycle % 50 == 0:
            offers, takes = (random.choice((0.1, 0.5, 0.9, 1.0)) for _ in range(2))
        offered = random.getrandbits(width) if random.random() < offers else None
        taken, clear = random.random() < takes, random.random() < 0.01
        dut.input_valid.value = int(offered is not None)
        dut.input_payload.value = random.getrandbits(width) if offered is None else offered
        dut.output_ready.value, dut.clear.value = int(taken), int(clear)
        await Timer(1, "ns")
        assert int(dut.level.value) == golden.level
        assert bool(int(dut.input_ready.value)) == golden.ready
        assert bool(int(dut.output_valid.value)) == (golden.head is not None)
        if golden.head is not None:
            assert int(dut.output_payload.value) == golden.head
        reached.add(golden.level)
        golden.step(offered, taken=taken, clear=clear)
        await FallingEdge(dut.clk)
    assert reached == set(range(depth + 1))
