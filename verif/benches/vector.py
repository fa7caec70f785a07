"""Bench of the vector unit: random operations, cycles, faults, halt."""

import cocotb
import numpy as np

from ...hw.isa import Activation, ErrorCode, Norm, Opcode
from ...sw.instruction import Value
from ..golden.vector import execute
from ..parameters import parameters
from .row_operations import OPCODES, RowOperation, random_fields, random_operation
from .unit_bench import UnitBench

LONGEST: dict[Opcode, dict[str, Value]] = {
    Opcode.QUANTISE: {"activation": Activation.GELU},
    Opcode.SOFTMAX: {"two_planes": 1},
}
"""Fields with which an instruction has most to do."""


class Bench(UnitBench):
    """A vector unit."""

    def __init__(self, dut, name):
        super().__init__(dut, name, execute)
        self.numbers = np.random.default_rng(self.random.getrandbits(32))

    async def start(self, refusals=0.0):
        """Reset the unit and begin to serve it."""
        await self.serve(refusals, ("read",), ("write",))

    def place_some(self, most):
        """Return up to `most` random instructions, as many as find room."""
        return self.place_random(lambda: random_operation(self.random, self.config), most)


@cocotb.test()
async def random_operations(dut):
    """Random instructions in a row equal the golden model; nothing else is written."""
    bench = Bench(dut, "random")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"]):
        await bench.run(bench.place_some(8))
    await bench.rest()


@cocotb.test()
async def odd_shapes(dut):
    """Rows that end anywhere in a beat, a line and a word, of every operation."""
    bench = Bench(dut, "shapes")
    await bench.start(parameters()["refusals"])
    lanes = bench.config.lanes
    widths = {1, 2, 3, 5, 7, lanes - 1, lanes + 1, 4 * lanes - 1, 4 * lanes + 1, 8 * lanes + 1}
    beat = bench.config.vector_lanes
    widths |= {beat - 1, beat + 1, 3 * beat - 1, lanes + beat + 1}
    for opcode in OPCODES:
        for columns in sorted(widths):
            fields = random_fields(bench.random, opcode)
            rows = bench.random.choice((1, 2, 19))
            columns += columns % 2 and int(bool(fields.get("complex")))
            await bench.run(bench.place([RowOperation(opcode, rows, columns, fields)]))
    await bench.rest()


@cocotb.test()
async def every_norm(dut):
    """Both norms, in place or not, of rows that end anywhere."""
    bench = Bench(dut, "norms")
    await bench.start(parameters()["refusals"])
    lanes = bench.config.lanes
    for norm in Norm:
        for columns in (1, 2, 3, lanes - 1, lanes + 1, 4 * lanes + 1, 61):
            for in_place in (False, True):
                fields = random_fields(bench.random, Opcode.NORMALISE) | {"norm": norm}
                operation = RowOperation(Opcode.NORMALISE, 3, columns, fields, in_place=in_place)
                await bench.run(bench.place([operation]))
    await bench.rest()


@cocotb.test()
async def causal_rows(dut):
    """Rows that grow past the ends of beats and of lines, up to all columns and beyond."""
    bench = Bench(dut, "causal")
    await bench.start(parameters()["refusals"])
    lanes = bench.config.lanes
    shapes = [(3 * lanes, 2 * lanes + 1, 1), (lanes + 3, 5 * lanes, 4 * lanes - 2), (9, 1, 1)]
    shapes += [(7, 61, bench.random.randint(1, 61)), (5, 3 * lanes, 2), (3, 7, 65535)]
    for rows, columns, first in shapes:
        for two_planes in (0, 1):
            fields: dict[str, Value] = {
                "x_fraction": 8,
                "causal": 1,
                "first_length": first,
                "two_planes": two_planes,
            }
            await bench.run(bench.place([RowOperation(Opcode.SOFTMAX, rows, columns, fields)]))
    await bench.rest()


@cocotb.test()
async def extreme_products(dut):
    """Products of the ends of the range with each other, at either end of the shift."""
    bench = Bench(dut, "extremes")
    await bench.start(parameters()["refusals"])
    columns = 2 * bench.config.lanes
    ends = np.array([-32768, 32767, -32767, 0], dtype=np.int16)
    for shift in (0, 1, 15, 28, 29):
        for is_complex in (0, 1):
            x, w = bench.numbers.choice(ends, (2, 3, columns))
            fields: dict[str, Value] = {"complex": is_complex, "x_fraction": shift}
            await bench.run(
                bench.place([RowOperation(Opcode.MULTIPLY, 3, columns, fields, x=x, w=w)])
            )
    await bench.rest()


@cocotb.test()
async def every_activation(dut):
    """Each activation of magnitudes around the knots of its table, with all fractions."""
    bench = Bench(dut, "activations")
    await bench.start()
    near = np.array([1 << bit for bit in range(16)])[:, np.newaxis] + np.arange(-1, 2)
    x = np.clip(np.concatenate([near.ravel(), -near.ravel()]), -32768, 32767).astype(np.int16)
    for kind in Activation:
        for fraction in range(16):
            fields: dict[str, Value] = {"activation": kind, "x_fraction": fraction}
            fields["y_fraction"] = fraction
            rows = np.stack([x, bench.numbers.integers(-32768, 32768, len(x))]).astype(np.int16)
            w = np.ones((1, len(x)), dtype=np.int16)
            operation = RowOperation(Opcode.MULTIPLY, 2, len(x), fields, x=rows, w=w)
            await bench.run(bench.place([operation]))
    await bench.rest()


@cocotb.test()
async def long_rows(dut):
    """Sums and shifts at the ends of their ranges: extremes in the longest rows that fit."""
    bench = Bench(dut, "long")
    await bench.start()
    columns = min(8192, bench.config.scratchpad_words * 4 // 3 - 50)
    alternating = np.where(np.arange(columns) % 2, -32768, 32767)
    lonely = np.arange(columns) == columns // 2
    norms: tuple[dict[str, Value], ...] = (
        {"norm": Norm.LAYER},
        {"norm": Norm.ROOT_MEAN_SQUARE, "epsilon": 2**32 - 1},
    )
    for row in (np.full(columns, -32768), np.full(columns, 32767), alternating, lonely):
        x = row.astype(np.int16)[np.newaxis]
        operations = [
            RowOperation(Opcode.NORMALISE, 1, columns, fields, in_place=True, x=x)
            for fields in norms
        ]
        operations.append(RowOperation(Opcode.SOFTMAX, 1, columns, {"two_planes": 1}, x=x))
        for operation in operations:
            await bench.run(bench.place([operation]))
    await bench.rest()


@cocotb.test()
async def cycles(dut):
    """What blocks of rows cost if nothing is refused."""
    bench = Bench(dut, "cycles")
    await bench.start()
    slow = []
    for name, rows, columns, limit, *kept in parameters()["blocks"]:
        fields = dict(zip(("keep", "log_group"), kept, strict=False))
        fields = fields or LONGEST.get(Opcode[name], {})
        operation = RowOperation(Opcode[name], rows, columns, fields, in_place=True)
        (instruction,) = bench.place([operation])
        begin = bench.driver.cycle
        await bench.run([instruction])
        taken = bench.driver.cycle - begin
        if taken > limit:
            slow.append(f"{name} {rows} x {columns}: {taken} cycles, limit {limit}")
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
            RowOperation(Opcode.QUANTISE, 5, 19),
            RowOperation(Opcode.QUANTISE, 3, 9, {"activation": Activation.GELU}),
            RowOperation(Opcode.SOFTMAX, 3, 9, {"two_planes": 1}),
            RowOperation(Opcode.NORMALISE, 3, 9),
            RowOperation(Opcode.MULTIPLY, 3, 10, {"activation": Activation.SILU}),
            RowOperation(Opcode.MULTIPLY, 3, 10, {"complex": 1}),
        ]
    )
    common: list[dict[str, Value]] = [
        {"rows": 0},
        {"columns": 0},
        {"x_address": words - 1},
        {"y_address": words - 1},
        {"y_address": words, "x_address": (1 << 32) - 1},
        {"x_pitch": words // 2},
        {"y_pitch": words // 2},
        {"columns": 65535, "rows": 65535},
    ]
    changes: dict[Opcode, list[dict[str, Value]]] = {
        Opcode.QUANTISE: [
            {"x_fraction": -1},
            {"x_fraction": 16},
            {"scale_address": words - 2},
            {"keep": 1},
            {"keep": 3, "log_group": 1},
            {"keep": 1, "log_group": 7},
            {"keep": 2, "log_group": 2, "y_address": words - 4},
            {"keep": 1, "log_group": 1, "columns": 2 * bench.config.vector.kept_slots + 1},
        ],
        Opcode.SOFTMAX: [
            {"x_fraction": -1},
            {"causal": 1},
            {"plane_words": words - 8},
            {"scale_address": words},
            {"keep": 1, "log_group": 1},
        ],
        Opcode.NORMALISE: [
            {"y_fraction": 16},
            {"columns": 8193},
            {"parameter_address": words - 2},
            {"parameter_pitch": words - 2},
        ],
        Opcode.MULTIPLY: [
            {"x_fraction": 30},
            {"y_fraction": 1},
            {"x_fraction": -1, "w_fraction": 1, "activation": Activation.SILU},
            {"complex": 1, "activation": Activation.RELU},
            {"complex": 1, "columns": 9, "activation": Activation.IDENTITY},
            {"w_address": words - 2},
            {"w_pitch": words - 2},
        ],
    }
    cases = [
        (instruction, change)
        for instruction in legal
        for change in common + changes[instruction.opcode]
    ]
    cases += [(before, {"x_fraction": fraction}) for fraction in (-65, 65)]
    for instruction, change in cases:
        wrong = instruction.replace(**change)
        fault = bench.expected_fault(wrong)
        assert fault is not None, wrong
        await bench.refuse(before, wrong, instruction, fault)
    await bench.run(legal)
    await bench.rest()


@cocotb.test()
async def refuses_unknown_activations(dut):
    """An activation that is not built is an illegal operand."""
    bench = Bench(dut, "activations")
    await bench.start()
    (legal,) = bench.place([RowOperation(Opcode.QUANTISE, 2, 2)])
    for activation in (4, 8, 15):
        word = int.from_bytes(legal.encode(), "little") | activation << 96
        bench.driver.issue(word.to_bytes(64, "little"), activation)
        fault, number = await bench.driver.faulted()
        assert (fault.code, fault.address, number) == (ErrorCode.ILLEGAL_OPERAND, 0, activation)
        await bench.driver.halt()


@cocotb.test()
async def halts(dut):
    """After a halt at any moment the next instructions are right."""
    bench = Bench(dut, "halts")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"] * 4):
        await bench.halt_amid(bench.place_some(3), 400)
        await bench.run(bench.place_some(2))
