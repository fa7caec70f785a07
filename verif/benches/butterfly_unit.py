"""Bench of the butterfly unit: every mode and scale, extremes, latency."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.butterfly_format import (
    COEFFICIENT_BITS,
    HIGHEST_GIVEN_SCALE,
    LOWEST_GIVEN_SCALE,
    STAGE_BITS,
    Mode,
)
from ...hw.butterfly_unit import ButterflyUnit, control_layout
from ..golden.butterfly_unit import butterfly_unit
from ..parameters import generator, parameters
from .unit import reset


def random_number(random, bits):
    """Return a signed number: an extreme, or of any magnitude, often with zeros at its end."""
    limit = 1 << (bits - 1)
    value = random.choice((-limit, limit - 1, 0, random.randrange(-limit, limit)))
    return value >> random.randrange(bits) & -1 << random.choice((0, random.randrange(bits)))


def control_bits(mode, scale, coefficients):
    """Return the bits of a `control_layout`, with the coefficients of the golden model."""
    if mode == Mode.COMPLEX:
        real, imaginary = coefficients
        coefficients = (real, -imaginary, real, imaginary)
    values = {"mode": mode, "scale": scale, "coefficients": [int(c) for c in coefficients]}
    return control_layout.const(values).as_bits()


def pack(values, bits):
    """Return the bits of an array of numbers."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << index * bits for index, value in enumerate(values))


@cocotb.test()
async def equals_the_golden_model(dut):
    """Every result comes after `ButterflyUnit.LATENCY` cycles and equals the golden model."""
    random = generator()
    expected: deque[tuple[int, bool]] = deque()
    await reset(dut)
    flags = 0
    for cycle in range(parameters()["cycles"]):
        mode = random.choice(list(Mode))
        scale = random.randint(LOWEST_GIVEN_SCALE, HIGHEST_GIVEN_SCALE)
        count = 2 if mode == Mode.COMPLEX else 4
        coefficients = [random_number(random, COEFFICIENT_BITS) for _ in range(count)]
        if mode == Mode.COMPLEX:
            coefficients[1] = max(coefficients[1], 1 - (1 << (COEFFICIENT_BITS - 1)))
        points = np.array([random_number(random, STAGE_BITS) for _ in range(4)]).reshape(2, 2)
        dut.control.value = control_bits(mode, scale, coefficients)
        dut.pair.value = pack(points.flat, STAGE_BITS)
        y0, y1, saturated = butterfly_unit(
            points[0], points[1], np.array(coefficients), mode, scale
        )
        expected.append((pack([*y0, *y1], STAGE_BITS), saturated))
        await RisingEdge(dut.clk)
        if cycle < ButterflyUnit.LATENCY:
            continue
        found = int(dut.result.value), bool(int(dut.saturated.value))
        assert found == expected.popleft(), f"cycle {cycle}"
        flags += found[1]
    assert flags
