"""The golden BUTTERFLY against floating point, and what it refuses."""

import random

import numpy as np
import pytest

from ageha.hw.butterfly_order import (
    MAXIMUM_LOG_POINTS,
    pack_growths,
    pass_lengths,
    plan_passes,
)
from ageha.hw.config import override, preset
from ageha.hw.isa import Axis, BlockExponent, ButterflyMode, ErrorCode
from ageha.verif.benches.butterfly_operations import ButterflyOperation
from ageha.verif.benches.products import Allocator
from ageha.verif.golden.butterfly_instruction import execute
from ageha.verif.golden.fault import Fault
from ageha.verif.golden.scratchpad import Scratchpad

CONFIGS = {
    "tiny": override(preset("tiny"), {"scratchpad.bytes": 65536}),
    "two stages": override(preset("ecp5"), {"butterfly.stages": 2, "scratchpad.bytes": 131072}),
}
FREE = {"y_blocks": 1}


class Machine:
    """A scratchpad and what is placed there."""

    def __init__(self, config, seed=1):
        self.scratchpad = Scratchpad(config)
        self.allocator = Allocator(config, random.Random(seed))

    def run(self, operation):
        """Return the instruction and Y, float [vectors, points, 2], in units of its exponent."""
        instruction = operation.place(self.allocator, self.scratchpad)
        execute(instruction, self.scratchpad)
        return instruction, self.read(instruction)

    def read(self, instruction):
        points = instruction["blocks"] << instruction["log_points"]
        tokens = instruction["axis"] == Axis.TOKENS
        rows, columns = (points, instruction["vectors"])[:: 1 if tokens else -1]
        planes = []
        for plane in range(2):
            address = instruction["y_address"] + plane * instruction["plane_words"]
            data = self.scratchpad.read(address, instruction["y_pitch"], rows, -(-columns // 4))
            matrix = data.view("<i2")[:, :columns]
            planes.append(matrix.T if tokens else matrix)
        return np.stack(planes, axis=-1).astype(float)

    def exponents(self, instruction, vectors):
        address = instruction["y_exponent_address"]
        words = self.scratchpad.words[address : address + -(-vectors // 4)]
        return [BlockExponent.from_bits(int(word)).exponent for word in words]


def noise(vectors, points, scale=20000):
    x = np.random.default_rng(points).uniform(-scale, scale, (vectors, points, 2))
    return np.rint(x).astype(np.int16)


def close(found, exact):
    noise_power = np.sum(np.abs(found - exact) ** 2)
    return 10 * np.log10(np.sum(np.abs(exact) ** 2) / max(noise_power, 1e-30)) > 60


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("axis", Axis)
@pytest.mark.parametrize("log_points, blocks", [(1, 2), (2, 3), (3, 2), (4, 1), (5, 3), (7, 1)])
@pytest.mark.parametrize("inverse", [False, True])
def test_fourier_transforms(name, axis, log_points, blocks, inverse):
    vectors, points = 5, blocks << log_points
    x = noise(vectors, points)
    mode = ButterflyMode.INVERSE_FOURIER if inverse else ButterflyMode.FOURIER
    fields = {"y_exponent": 0 if inverse else log_points, "exponent": -log_points * inverse}
    operation = ButterflyOperation(mode, axis, log_points, blocks, vectors, fields, x)
    _, y = Machine(CONFIGS[name]).run(operation)
    values = (x[..., 0] + 1j * x[..., 1]).reshape(vectors, blocks, -1)
    exact = (np.fft.ifft if inverse else np.fft.fft)(values).reshape(vectors, points)
    found = (y[..., 0] + 1j * y[..., 1]) * 2.0 ** fields["y_exponent"]
    assert close(found, exact)


def butterfly(x, table, strides):
    """Apply factors [stages, pairs, 2, 2] to float [vectors, points]."""
    y = x.copy()
    for matrices, log_stride in zip(table, strides, strict=True):
        index, stride = np.arange(len(matrices)), 1 << log_stride
        first = 2 * index - index % stride
        upper, lower = y[:, first].copy(), y[:, first + stride].copy()
        y[:, first] = matrices[:, 0, 0] * upper + matrices[:, 0, 1] * lower
        y[:, first + stride] = matrices[:, 1, 0] * upper + matrices[:, 1, 1] * lower
    return y


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("axis", Axis)
@pytest.mark.parametrize("decreasing", [0, 1])
@pytest.mark.parametrize("log_points, blocks", [(2, 2), (3, 1), (4, 3), (6, 1)])
def test_products(name, axis, decreasing, log_points, blocks):
    """Rotations keep the magnitude, with trimmed and padded points and an addend."""
    vectors, points = 7, blocks << log_points
    x = noise(vectors, points, 8000)
    numbers = np.random.default_rng(7)
    angles = numbers.uniform(0, 2 * np.pi, (log_points, points // 2))
    table = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    table = np.moveaxis(table, (0, 1), (2, 3))
    fixed = np.rint(table * 16384).astype(np.int16).reshape(log_points, -1, 4)
    lengths = pass_lengths(log_points, CONFIGS[name].butterfly.stages)
    fields = {
        "decreasing": decreasing,
        "log_stride": log_points - 1 if decreasing else 0,
        "growths": pack_growths([1 + place // 2 for n in lengths for place in range(n)]),
        "x_points": points - 4,
        "accumulate": 1,
        "y_exponent": 1,
    }
    operation = ButterflyOperation(
        ButterflyMode.REAL, axis, log_points, blocks, vectors, fields, x, fixed
    )
    machine = Machine(CONFIGS[name])
    _, y = machine.run(operation)
    kept = x[..., 0].astype(float)
    kept[:, points - 4 :] = 0
    strides = range(log_points)[:: -1 if decreasing else 1]
    exact = butterfly(kept, fixed.reshape(log_points, -1, 2, 2) / 16384, strides)
    assert close(2 * y[..., 0], exact)


def test_exponents_of_blocks_of_vectors():
    """What a transform left is what the inverse takes."""
    x = noise(6, 32)
    x[4:] //= 8
    there = ButterflyOperation(ButterflyMode.FOURIER, Axis.HIDDEN, 5, 1, 6, FREE, x)
    machine = Machine(CONFIGS["tiny"])
    first, y = machine.run(there)
    exponents = machine.exponents(first, 6)
    assert exponents[0] > exponents[1] + 1
    back = first.replace(
        mode=ButterflyMode.INVERSE_FOURIER,
        x_address=first["y_address"],
        x_pitch=first["y_pitch"],
        y_address=first["x_address"],
        y_pitch=first["x_pitch"],
        work_address=first["x_address"],
        exponent_address=first["y_exponent_address"],
        x_blocks=1,
        exponent=-5,
    )
    execute(back, machine.scratchpad)
    y = machine.read(back)
    exponents = machine.exponents(back, 6)
    for rows, exponent in ((slice(0, 4), exponents[0]), (slice(4, 6), exponents[1])):
        assert close(np.ldexp(y[rows], exponent), x[rows].astype(float))


def test_real_to_complex_to_real():
    """Token mixing of two transforms: real parts over hidden, then over tokens."""
    x = noise(16, 16)
    machine = Machine(CONFIGS["tiny"])
    one = ButterflyOperation(
        ButterflyMode.FOURIER, Axis.HIDDEN, 4, 1, 16, {"x_real": 1, "y_exponent": 3}, x
    )
    first = one.place(machine.allocator, machine.scratchpad)
    execute(first, machine.scratchpad)
    two = ButterflyOperation(
        ButterflyMode.FOURIER, Axis.TOKENS, 4, 1, 16, {"y_real": 1, "exponent": 3, "y_exponent": 6}
    )
    second = two.place(machine.allocator, machine.scratchpad)
    second = second.replace(
        x_address=first["y_address"], x_pitch=first["y_pitch"], plane_words=first["plane_words"]
    )
    execute(second, machine.scratchpad)
    y = machine.read(second)[..., 0].T
    assert close(np.ldexp(y, 6), np.fft.fft2(x[..., 0].astype(float)).real)


REFUSED = [
    {"log_points": 0},
    {"log_points": MAXIMUM_LOG_POINTS + 1},
    {"blocks": 0},
    {"blocks": 40000},
    {"vectors": 0},
    {"vectors": 65535},
    {"stages": 0},
    {"stages": 6},
    {"stages": 4},
    {"log_stride": 1},
    {"decreasing": 1},
    {"x_pitch": 8},
    {"y_pitch": 8},
    {"x_points": 33},
    {"y_points": 33},
    {"x_headroom": -2},
    {"x_headroom": 16},
    {"accumulate": 1, "y_blocks": 1},
    {"log_points": 1, "stages": 1},
]


@pytest.mark.parametrize("change", REFUSED, ids=str)
def test_illegal_operands(change):
    machine = Machine(CONFIGS["tiny"])
    operation = ButterflyOperation(ButterflyMode.FOURIER, Axis.HIDDEN, 5, 1, 6)
    instruction = operation.place(machine.allocator, machine.scratchpad)
    with pytest.raises(Fault) as caught:
        execute(instruction.replace(**change), machine.scratchpad)
    assert (caught.value.code, caught.value.address) == (ErrorCode.ILLEGAL_OPERAND, 0)


@pytest.mark.parametrize("mode", ButterflyMode)
def test_operands_outside_the_scratchpad(mode):
    machine = Machine(CONFIGS["tiny"])
    operation = ButterflyOperation(mode, Axis.HIDDEN, 5, 1, 6, {"x_blocks": 1, "y_blocks": 1})
    instruction = operation.place(machine.allocator, machine.scratchpad)
    names = ["x", "work", "y", "exponent", "y_exponent"]
    names += ["coefficient"] if mode == ButterflyMode.REAL else []
    for name in names:
        with pytest.raises(Fault) as caught:
            execute(instruction.replace(**{f"{name}_address": 1 << 30}), machine.scratchpad)
        assert caught.value.code == ErrorCode.SCRATCHPAD_RANGE
        assert 1 << 30 <= caught.value.address < (1 << 30) + 8192


@pytest.mark.parametrize("chained", [1, 2])
def test_every_element_comes_once_a_pass(chained):
    """For every n, stride, order and axis: each element in one place of one group."""
    for log_points in range(1, MAXIMUM_LOG_POINTS + 1):
        for decreasing in (False, True):
            for tokens in (False, True):
                passes = plan_passes(
                    chained,
                    log_points,
                    log_points - 1 if decreasing else 0,
                    log_points,
                    decreasing=decreasing,
                    tokens=tokens,
                    bit_reversed=not decreasing,
                )
                for each in passes:
                    visited_once(each, 1 << log_points if tokens else max(1, 1 << log_points >> 2))


def visited_once(each, words):
    """Check groups, and the pairs of the beats of a group."""
    local = range(4 << each.window_bits)
    groups = np.arange(each.groups(words))
    elements = np.array([each.element(0, number) for number in local])
    starts = np.array([each.element(int(group), 0) for group in groups])
    found = np.sort((starts[:, np.newaxis] | elements).ravel())
    assert np.array_equal(found, np.arange(len(found))) and len(found) >= 4 * words
    for factor, bit in enumerate(each.bits):
        pairs = [each.pair(factor, beat) for beat in range(each.beats)]
        assert sorted(number for pair in pairs for number in pair) == list(local)
        assert {elements[a] ^ elements[b] for a, b in pairs} == {1 << bit}
