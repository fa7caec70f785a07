"""Bench of the simulator itself: a registered adder."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from ..parameters import generator, parameters


@cocotb.test()
async def adds(dut):
    """Every registered sum equals the sum of the addends."""
    random = generator()
    width = parameters()["width"]
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(100):
        a, b = random.getrandbits(width), random.getrandbits(width)
        dut.a.value, dut.b.value = a, b
        await FallingEdge(dut.clk)
        assert int(dut.sum.value) == a + b


@cocotb.test()
async def delays(dut):
    """The output is the input of `latency` cycles ago."""
    random = generator()
    values = parameters()
    source = getattr(dut, values.get("input", "i"))
    target = getattr(dut, values.get("output", "o"))
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    sent = []
    for cycle in range(100):
        sent.append(random.getrandbits(values["width"]))
        source.value = sent[-1]
        await FallingEdge(dut.clk)
        if cycle + 1 >= values.get("latency", 1):
            assert int(target.value) == sent[cycle + 1 - values.get("latency", 1)]
