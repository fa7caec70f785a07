"""Bench of the requantisation lanes: random rows, gaps, corner values, latency."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.requantise import Requantise, scale_layout
from ...sw.scale import ScaleVector
from ..golden.requantise import requantise
from ..parameters import generator, parameters
from .unit import configuration, reset


def random_scales(random, length):
    """Return scales of every kind: ordinary, zero, powers of two, the largest."""
    mantissas = [random.choice((0, 1 << 15, 0xFFFF, random.getrandbits(16))) for _ in range(length)]
    low, high = random.choice(((8, 32), (0, 40), (-128, 127)))
    exponents = [random.randint(low, high) for _ in range(length)]
    limit = random.choice((0, 1000, 32767))
    biases = [random.randint(-limit - (limit == 32767), limit) for _ in range(length)]
    return ScaleVector(
        np.array(mantissas, dtype=np.uint16),
        np.array(exponents, dtype=np.int8),
        np.array(biases, dtype=np.int16),
    )


def random_accumulator(random, width):
    """Return an accumulator; many have zeros at the end, so that halves are met."""
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    value = random.choice((low, high, 0, -1, random.randint(low, high)))
    zeros = random.choice((0, 0, random.randrange(width // 2)))
    return value >> random.randrange(width) & -1 << zeros


def pack(values, width):
    """Return the bits of an array of numbers."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << index * width for index, value in enumerate(values))


def pack_scales(scales):
    """Return the bits of an array of `scale_layout`."""
    words = [
        int(mantissa) | (int(exponent) & 0xFF) << 16 | (int(bias) & 0xFFFF) << 24
        for mantissa, exponent, bias in zip(
            scales.mantissa, scales.exponent, scales.bias, strict=True
        )
    ]
    return pack(words, scale_layout.size)


@cocotb.test()
async def equals_the_golden_model(dut):
    """Every row equals the golden model, `Requantise.LATENCY` cycles after its last turn."""
    random = generator()
    config = configuration()
    width, columns = config.array.accumulator_width, config.array.columns
    expected: deque[tuple[int, int]] = deque()
    dut.valid.value = 0
    await reset(dut)

    def check(cycle: int) -> None:
        if int(dut.result_valid.value):
            assert (cycle, int(dut.results.value)) == expected.popleft()

    cycle = 0
    while cycle < parameters()["cycles"]:
        valid = random.random() < 0.8
        accumulators = np.array([[random_accumulator(random, width) for _ in range(columns)]])
        row, column_scales = random_scales(random, 1), random_scales(random, columns)
        fraction = random.choice((0, -128, 127, random.randint(-16, 16)))
        residual = np.array([[random.randint(-(1 << 15), (1 << 15) - 1) for _ in range(columns)]])
        enable = random.choice(((1 << columns) - 1, random.getrandbits(columns)))
        dut.valid.value = valid
        dut.accumulators.value = pack(accumulators[0], width)
        dut.row.value = pack_scales(row)
        dut.columns.value = pack_scales(column_scales)
        dut.fraction.value = fraction & 0xFF
        dut.residual.value = pack(residual[0], 16)
        dut.enable.value = enable
        if valid:
            for turn in range(config.array.drain_turns - 1):
                await RisingEdge(dut.clk)
                assert (int(dut.ready.value), int(dut.turn.value)) == (0, turn)
                check(cycle)
                cycle += 1
            result = requantise(accumulators, row, column_scales, fraction, residual)[0]
            result = [int(y) if enable >> index & 1 else 0 for index, y in enumerate(result)]
            expected.append((cycle + Requantise.LATENCY, pack(result, 16)))
        await RisingEdge(dut.clk)
        assert int(dut.ready.value) == valid
        check(cycle)
        cycle += 1
    assert len(expected) <= Requantise.LATENCY
