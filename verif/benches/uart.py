"""Bench of the serial line: levels with jitter, glitches and breaks; bytes in random pauses."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from ..golden.uart import decode, frame
from ..parameters import generator, parameters
from .unit import reset

SETTLING = 8
"""Cycles until what the line showed last has come through the receiver."""


def _noisy_line(random: Any, cycles: int, count: int) -> list[int]:
    """Return frames of a sender that is up to 2 % off, with glitches, wrong stop bits, breaks."""
    line = [1] * 5
    for _ in range(count):
        rate = cycles * random.uniform(0.98, 1.02)
        bits = frame(random.choice((0, 255, random.getrandbits(8))), 1)
        if random.random() < 0.1:
            bits[-1] = 0
        # A byte alone may begin anywhere in a cycle of the receiver.
        offset = random.random()
        edges = [round(offset + rate * place) for place in range(len(bits) + 1)]
        for bit, (start, end) in zip(bits, zip(edges, edges[1:], strict=False), strict=True):
            line += [bit] * (end - start)
        if random.random() < 0.2:
            place = random.randrange(len(line))
            line[place] ^= 1
        line += [1] * random.choice((0, 0, 1, 2, random.randrange(6 * cycles)))
        line += [0] * random.choice((0, 0, 0, 0, 0, 0, 0, 1, 2, 15 * cycles))
        line += [1] * random.choice((0, 1, random.randrange(6 * cycles)))
    return line + [1] * (12 * cycles)


@cocotb.test()
async def receives(dut: Any) -> None:
    """Bytes and framing errors are those of the model, on a line with noise."""
    random = generator("receives")
    dut.line.value = 1
    await reset(dut)
    line = _noisy_line(random, parameters()["cycles"], parameters()["bytes"])
    found: list[int | None] = []
    for level in line + [1] * SETTLING:
        await FallingEdge(dut.clk)
        dut.line.value = level
        assert not (int(dut.received_valid.value) and int(dut.framing_error.value))
        if int(dut.received_valid.value):
            found.append(int(dut.received_payload.value))
        if int(dut.framing_error.value):
            found.append(None)
    expected = decode(line, parameters()["cycles"])
    assert None in expected and len(expected) > parameters()["bytes"] // 2
    assert found == expected


@cocotb.test()
async def transmits(dut: Any) -> None:
    """Every byte is a frame of exact length, and the line is high between two."""
    random = generator("transmits")
    cycles = parameters()["cycles"]
    dut.bytes_valid.value = 0
    await reset(dut)
    await FallingEdge(dut.clk)
    expected: list[int] = []
    line: list[int] = []
    for _ in range(parameters()["bytes"]):
        byte = random.getrandbits(8)
        dut.bytes_payload.value = byte
        dut.bytes_valid.value = 1
        while True:
            await FallingEdge(dut.clk)
            line.append(int(dut.line.value))
            if not int(dut.bytes_ready.value):
                break
        dut.bytes_valid.value = 0
        sent = frame(byte, cycles)
        for _ in range(len(sent) - 1):
            await FallingEdge(dut.clk)
            line.append(int(dut.line.value))
        expected += sent
        for _ in range(random.choice((1, 1, 2, random.randrange(1, 30)))):
            await FallingEdge(dut.clk)
            line.append(int(dut.line.value))
            expected.append(1)
        assert int(dut.bytes_ready.value)
    assert line == expected
