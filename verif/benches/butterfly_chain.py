"""Bench of the butterfly chain: passes of whole transforms, gaps, back-pressure, throughput."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from ...hw.butterfly_chain import FOLDED_BEATS, FOLDED_CYCLES
from ...hw.butterfly_format import DATA_BITS, Mode
from ...hw.butterfly_order import FOLDED, pass_lengths
from ...hw.butterfly_unit import control_layout
from ..golden.butterfly import Block, Factor, apply_pass, fourier_factors, pass_scales
from ..golden.butterfly_chain import beats, pair_numbers
from ..parameters import generator, parameters
from .butterfly_unit import control_bits, pack
from .unit import reset

PASS_BITS = control_bits(Mode.PASS, 0, (0, 0, 0, 0))
CONTROL_BITS = control_layout.size
NUMBER = (1 << DATA_BITS) - 1


class Chain:
    """Drives a chain: beats in, results out, each with random gaps."""

    def __init__(self, dut, random, idle):
        self.dut = dut
        self.random = random
        self.idle = idle
        self.stages = parameters()["stages"]
        self.lanes = parameters()["lanes"]
        self.saturated = False

    async def start(self):
        """Reset the chain."""
        self.dut.input_valid.value = 0
        self.dut.output_ready.value = 0
        await reset(self.dut)

    async def stream(self, words, together=1):
        """Send beats, `together` without a gap; return results and cycles until the last one."""
        dut, sent, cycles = self.dut, 0, 0
        results: list[int] = []
        offer = False
        while len(results) < len(words):
            begun = sent % together or (together > 1 and offer)
            offer = sent < len(words) and bool(begun or self.random.random() >= self.idle)
            dut.input_valid.value = offer
            dut.input_payload.value = words[sent] if offer else 0
            dut.output_ready.value = self.random.random() >= self.idle
            await ReadOnly()
            taken = offer and int(dut.input_ready.value)
            left = int(dut.output_valid.value) and int(dut.output_ready.value)
            if left:
                results.append(int(dut.output_payload.value))
            self.saturated |= bool(int(dut.saturated.value))
            await RisingEdge(dut.clk)
            sent += taken
            cycles += 1
            offer = bool(offer and not taken)
        return results, cycles

    def words(self, block, factors, log_strides):
        """Return the beats of a pass; `log_strides` has one for every stage of the chain."""
        scales = pass_scales(block, factors)
        points = block.points.shape[1]
        order = beats(points, log_strides, 0)
        count = FOLDED if self.stages > 1 else 1
        controls = [[PASS_BITS] * len(order) for _ in range(count)]
        for stage, (factor, scale) in enumerate(zip(factors, scales, strict=True)):
            firsts = beats(points, log_strides, stage)[:, 0]
            rows = factor.coefficients[pair_numbers(firsts, factor.log_stride)]
            controls[stage] = [control_bits(factor.mode, scale, row) for row in rows]
        words = []
        for beat, places in enumerate(order):
            data = pack(block.points[:, places].flat, DATA_BITS)
            words.append(self.word(data, [control[beat] for control in controls], len(factors)))
        return words

    def word(self, data, controls, factors=1):
        """Return the bits of a beat of a pass of `factors`."""
        above = pack(controls, CONTROL_BITS) | (factors == FOLDED) << CONTROL_BITS * len(controls)
        return data | above << self.lanes * 4 * DATA_BITS

    async def run_pass(self, block, factors):
        """Run a pass; unused stages of the chain let pairs of any other distance by."""
        points = block.points.shape[1]
        log_strides = [factor.log_stride for factor in factors]
        spare = [bit for bit in range(points.bit_length() - 1) if bit not in log_strides]
        log_strides += spare[: max(0, self.stages - len(factors))]
        together = FOLDED_BEATS if len(factors) == FOLDED else 1
        results, cycles = await self.stream(self.words(block, factors, log_strides), together)
        expected = apply_pass(block, factors, pass_scales(block, factors))
        found = np.zeros_like(block.points)
        for places, result in zip(
            beats(points, log_strides, len(log_strides) - 1), results, strict=True
        ):
            numbers = [result >> index * DATA_BITS & NUMBER for index in range(4 * self.lanes)]
            values = np.array(numbers, dtype=np.uint16).astype(np.int16)
            found[:, places] = values.reshape(self.lanes, 2, 2)
        wrong = np.argwhere(found != expected.points)
        assert not len(wrong), f"{len(wrong)} wrong numbers, first {wrong[0]}: {factors}"
        return expected, cycles


def random_block(random, lanes, points, mode):
    """Return a block of any magnitude; real numbers have imaginary part 0."""
    seed = np.random.default_rng(random.getrandbits(32))
    limit = 1 << random.choice((3, DATA_BITS - 2, DATA_BITS - 1))
    numbers = seed.integers(-limit, limit, (lanes, points, 2))
    if random.random() < 0.3:
        numbers = np.where(numbers < 0, -limit, limit - 1)
    return Block(numbers * np.array([1, 0] if mode == Mode.REAL else [1, 1]))


def random_factors(random, points, mode):
    """Return the factors of a Fourier transform, or real ones in any order of strides."""
    if mode == Mode.COMPLEX:
        return list(fourier_factors(points, inverse=random.random() < 0.5))
    seed = np.random.default_rng(random.getrandbits(32))
    order = list(range(points.bit_length() - 1))
    random.shuffle(order)
    return [Factor(bit, seed.integers(-16384, 16385, (points // 2, 4)), Mode.REAL) for bit in order]


@cocotb.test()
async def transforms(dut):
    """Every pass of transforms of several lengths equals the golden model."""
    random = generator()
    chain = Chain(dut, random, parameters()["idle"])
    await chain.start()
    saturated = False
    for points in parameters()["points"]:
        for mode in (Mode.REAL, Mode.COMPLEX):
            block = random_block(random, chain.lanes, points, mode)
            factors = random_factors(random, points, mode)
            begin = 0
            for length in pass_lengths(len(factors), chain.stages):
                block, _ = await chain.run_pass(block, factors[begin : begin + length])
                begin += length
            # After a folded pass no other may begin before its last result has come.
            saturated |= block.saturated
    assert chain.saturated == saturated


@cocotb.test()
async def takes_a_beat_every_cycle(dut):
    """A pass takes one cycle a beat and the latency of the chain."""
    random = generator("throughput")
    chain = Chain(dut, random, 0)
    await chain.start()
    block = random_block(random, chain.lanes, 128, Mode.COMPLEX)
    factors = fourier_factors(128)[: chain.stages]
    _, cycles = await chain.run_pass(block, factors)
    assert cycles == 64 + parameters()["latency"]
    if chain.stages > 1:
        factors = fourier_factors(128)[4:]
        _, cycles = await chain.run_pass(block, factors)
        folded = 64 // FOLDED_BEATS * FOLDED_CYCLES
        assert cycles <= folded + parameters()["folded_latency"] + FOLDED_CYCLES


@cocotb.test()
async def reports_saturation(dut):
    """What a scale is too small for is limited and reported."""
    chain = Chain(dut, generator("saturation"), 0)
    await chain.start()
    data = pack([32767] * 4 * chain.lanes, DATA_BITS)
    double = control_bits(Mode.REAL, 0, (16384, 16384, 16384, 16384))
    word = chain.word(data, [double] + [PASS_BITS] * (FOLDED - 1 if chain.stages > 1 else 0))
    results, _ = await chain.stream([word] * (1 << (chain.stages - 1)))
    expected = pack([32767, 0, 32767, 0] * chain.lanes, DATA_BITS)
    assert set(results) == {expected}
    assert chain.saturated
