"""Bench of the butterfly unit: random instructions, cycles, faults, halt."""

import cocotb
from cocotb.triggers import RisingEdge

from ...hw.isa import Axis, ButterflyMode
from ..golden.butterfly_instruction import execute
from ..parameters import parameters
from .butterfly_operations import ButterflyOperation, random_operation
from .unit_bench import UnitBench

READERS = ("data", "coefficients", "addends")


class Bench(UnitBench):
    """A butterfly unit, whose multiplications are counted."""

    def __init__(self, dut, name):
        super().__init__(dut, name, execute)
        self.multiplies = 0
        self.counted = 0

    async def start(self, refusals=0.0):
        """Reset the unit and begin to serve it."""
        await self.serve(refusals, READERS, ("write",), parameters().get("slow"))
        cocotb.start_soon(self._count())

    async def _count(self):
        while True:
            await RisingEdge(self.dut.clk)
            self.counted += int(self.dut.events.value) & 0xFFFF_FFFF

    def place_some(self, most):
        """Return up to `most` random instructions, as many as find room."""
        modes = tuple(ButterflyMode)
        return self.place_random(
            lambda: random_operation(self.random, self.config, modes=modes), most
        )

    def expect(self, instruction):
        """Execute an instruction on the golden model and count its multiplications."""
        self.multiplies += super().expect(instruction)

    async def run(self, instructions):
        """Execute instructions; compare the whole scratchpad and the multiplications."""
        self.multiplies = self.counted = 0
        await super().run(instructions)
        assert self.counted == self.multiplies, instructions


@cocotb.test()
async def random_operations(dut):
    """Random instructions in a row equal the golden model; nothing else is written."""
    bench = Bench(dut, "random")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"]):
        await bench.run(bench.place_some(3))
    await bench.rest()


@cocotb.test()
async def every_size(dut):
    """Every n that fits, on both axes, in every mode."""
    bench = Bench(dut, "sizes")
    await bench.start()
    for log_points in range(1, parameters()["most_log_points"] + 1):
        for axis in Axis:
            for mode in ButterflyMode:
                blocks = 2 if log_points == 1 else 1
                most = bench.config.lanes if log_points < 7 else 1
                vectors = bench.random.randint(1, most)
                operation = ButterflyOperation(mode, axis, log_points, blocks, vectors)
                await bench.run(bench.place([operation]))
    await bench.rest()


def dependent_instructions(bench, count):
    """Return instructions that read, or add to, what those before them have written."""
    random = bench.random
    mode, axis = random.choice(list(ButterflyMode)), random.choice(list(Axis))
    log_points = random.randint(2, 4)
    vectors = random.randint(1, 3 * bench.config.lanes * (4 if axis == Axis.TOKENS else 1))
    fields = {"x_blocks": random.randrange(2), "y_blocks": 1}
    changes = {"accumulate": 1, "y_blocks": 0}
    if mode == ButterflyMode.REAL:
        # Their coefficients lie in the order of a certain number of stages.
        fields["stages"] = random.choice((1, log_points))
    else:
        changes |= {"bit_reversed": 0, "stages": 1}
    (there,) = bench.place([ButterflyOperation(mode, axis, log_points, 1, vectors, fields)])
    plane = there["plane_words"]
    there = there.replace(work_address=there["x_address"] + 4 * plane)
    back = there.replace(
        x_address=there["y_address"],
        x_pitch=there["y_pitch"],
        y_address=there["x_address"],
        y_pitch=there["x_pitch"],
        x_blocks=random.randrange(2),
        exponent_address=there["y_exponent_address"],
    )
    choices = [there, back, there.replace(**changes), back.replace(**changes)]
    return [there, *(random.choice(choices) for _ in range(count - 1))]


@cocotb.test()
async def dependent_operations(dut):
    """Instructions that follow each other at once see what the last one has written."""
    bench = Bench(dut, "dependent")
    await bench.start(parameters()["refusals"])
    for _ in range(2 * parameters()["rounds"]):
        await bench.run(dependent_instructions(bench, 5))
    await bench.rest()


@cocotb.test()
async def cycles(dut):
    """What transforms cost if nothing is refused, alone and one after the other."""
    bench = Bench(dut, "cycles")
    await bench.start()
    slow = []
    for mode, axis, log_points, vectors, repeats, limit in parameters()["transforms"]:
        operation = ButterflyOperation(ButterflyMode[mode], Axis[axis], log_points, 1, vectors)
        instructions = bench.place([operation]) * repeats
        begin = bench.driver.cycle
        await bench.run(instructions)
        taken = bench.driver.cycle - begin
        text = f"{repeats} x {mode} {axis} {1 << log_points} x {vectors}: {taken} cycles"
        dut._log.info("%s, limit %d", text, limit)
        if taken > limit:
            slow.append(text)
    await bench.rest()
    assert not slow, "; ".join(slow)


@cocotb.test()
async def refuses(dut):
    """What is illegal is reported after what came before is done, and has no effect."""
    bench = Bench(dut, "refuses")
    await bench.start(parameters()["refusals"])
    words = bench.config.scratchpad_words
    before, *legal = bench.place(
        [
            ButterflyOperation(ButterflyMode.FOURIER, Axis.TOKENS, 3, 1, 5),
            ButterflyOperation(ButterflyMode.REAL, Axis.HIDDEN, 4, 1, 3, {"x_blocks": 1}),
            ButterflyOperation(ButterflyMode.FOURIER, Axis.HIDDEN, 4, 2, 3, {"y_blocks": 1}),
            ButterflyOperation(ButterflyMode.INVERSE_FOURIER, Axis.TOKENS, 4, 1, 3),
        ]
    )
    common = [
        {"log_points": 0},
        {"log_points": 14},
        {"blocks": 0},
        {"blocks": 8192},
        {"vectors": 0},
        {"stages": 0},
        {"stages": 15},
        {"log_stride": 1},
        {"log_stride": 9},
        {"decreasing": 1},
        {"decreasing": 1, "bit_reversed": 0, "log_stride": 9, "stages": 1},
        {"x_points": 65535},
        {"y_points": 255},
        {"x_headroom": -2},
        {"x_headroom": 16},
        {"accumulate": 1, "y_blocks": 1},
        {"x_address": words - 1},
        {"y_address": words - 1},
        {"work_address": words - 1},
        {"x_address": (1 << 32) - 1},
        {"x_pitch": words // 2 + 1},
        {"vectors": 65535},
    ]
    changes = {
        ButterflyMode.REAL: [
            {"coefficient_address": words - 1},
            {"coefficient_address": 1 << 31},
            {"exponent_address": words},
            {"x_pitch": 2},
        ],
        ButterflyMode.FOURIER: [
            {"plane_words": words - 9},
            {"y_exponent_address": words},
            {"y_pitch": bench.config.lanes + 2},
        ],
        ButterflyMode.INVERSE_FOURIER: [{"plane_words": (1 << 24) - 1}],
    }
    for instruction in legal:
        for change in common + changes[instruction["mode"]]:
            wrong = instruction.replace(**change)
            fault = bench.expected_fault(wrong)
            assert fault is not None, wrong
            await bench.refuse(before, wrong, instruction, fault)
    await bench.run(legal)
    await bench.rest()


@cocotb.test()
async def halts(dut):
    """After a halt at any moment the next instructions are right."""
    bench = Bench(dut, "halts")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"] * 2):
        await bench.halt_amid(bench.place_some(3), 600)
        await bench.run(bench.place_some(2))
