"""Bench of the array unit: random products of the flows that the test names, faults, halt."""

import json
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.config import INSTRUCTION_BYTES
from ...hw.isa import (
    COMPRESSED_A_FLOWS,
    COMPRESSED_B_FLOWS,
    SPARSE_OUTPUT_FLOWS,
    STATIONARY_FLOWS,
    ErrorCode,
    Flow,
    Matmul,
)
from ...hw.matmul_events import matmul_events_layout
from ..golden.array import Work, execute
from ..golden.matmul_check import check_matmul
from ..parameters import parameters
from .compressed_words import random_words
from .line_memory import LineMemory
from .products import Allocator, Product, random_product, random_products
from .unit import UnitDriver, reset
from .unit_bench import UnitBench

READ_PORTS = ("operands", "compressed", "gather", "drain_read")
"""Read ports of an array that no flow is left out of."""

FLOW_BIT = Matmul.as_shape()["flow"].offset
FLOW_BITS = Matmul.as_shape()["flow"].width


def flows():
    """Return the flows that the test names."""
    return [Flow[name] for name in parameters()["flows"]]


class Bench(UnitBench):
    """An array unit, whose work is counted."""

    def __init__(self, dut, name):
        super().__init__(dut, name, execute)
        self.events = []
        self.work = Work(0, 0)

    async def start(self, refusals=0.0):
        """Reset the unit and begin to serve it; the ports are refused apart from each other."""
        self.driver = UnitDriver(self.dut, self._refuse(refusals))
        for name in READ_PORTS:
            if hasattr(self.dut, f"{name}_request_valid"):
                LineMemory(self.dut, self.actual, (name,), (), self._refuse(refusals))
        LineMemory(self.dut, self.actual, (), ("drain_write",), self._refuse(refusals))
        await reset(self.dut)
        cocotb.start_soon(self._watch())

    def _refuse(self, probability):
        """Return what decides about one port; some pauses are long enough to fill every queue."""

        def pauses():
            while True:
                paused = self.random.random() < probability
                for _ in range(self.random.choice((1,) * 20 + (2, 2, 60)) if paused else 1):
                    yield paused

        return pauses().__next__

    async def _watch(self):
        layout = matmul_events_layout(self.config)
        while True:
            await RisingEdge(self.dut.clk)
            self.events.append(layout.from_bits(int(self.dut.events.value)))

    def expect(self, instruction):
        """Execute an instruction on the golden model and count its work."""
        work = super().expect(instruction)
        self.work = Work(self.work.multiplies + work.multiplies, self.work.skipped + work.skipped)

    async def finish(self, instructions):
        """Wait until all is done; small products may leave most of the array idle."""
        multiplications = 2 * sum(i["m"] * i["n"] * i["k"] for i in instructions)
        for _ in range(1000 * (1 + self.issued) + multiplications):
            await RisingEdge(self.dut.clk)
            assert self.driver.fault is None, self.driver.fault
            if self.driver.done == self.issued:
                return
        raise AssertionError(f"{self.driver.done} of {self.issued} products are done")

    def result_words(self, instruction):
        """Return the words that Y takes."""
        y = check_matmul(instruction, self.actual).y
        return [
            y.address + row * y.pitch + word for row in range(y.rows) for word in range(y.words)
        ]

    async def rest(self):
        """The unit becomes idle and has counted what the model has."""
        await super().rest()
        for name, count in self.work._asdict().items():
            counted = self._counted(name)
            assert counted == count, f"{name}: {counted} were counted, not {count}"

    def _counted(self, name):
        return sum(getattr(event, name) for event in self.events)


@cocotb.test()
async def multiplies(dut):
    """Random products in a row equal the golden model; nothing else is written."""
    bench = Bench(dut, "multiplies")
    await bench.start(parameters()["refusals"])
    while bench.issued < parameters()["cases"]:
        count = min(12, parameters()["cases"] - bench.issued)
        placed = random_products(bench.random, bench.actual, flows(), count)
        await bench.run([instruction for _, instruction in placed])
    await bench.rest()


@cocotb.test()
async def takes_what_no_encoder_writes(dut):
    """Compressed words that break no rule give the products and counts of the golden model."""
    bench = Bench(dut, "not canonical")
    await bench.start(parameters()["refusals"])
    while bench.issued < parameters()["cases"]:
        product = random_product(bench.random, bench.config, bench.random.choice(flows()))
        allocator = Allocator(bench.config, bench.random)
        shape = product.m, product.n, product.k
        words = random_words(bench.random, bench.config, product.flow, *shape)
        try:
            instruction = product.place(allocator, bench.actual)
            address = allocator.words(len(words))
        except ValueError:
            continue
        bench.actual.words[address : address + len(words)] = words
        operand = "a" if product.flow in COMPRESSED_A_FLOWS else "b"
        place = {f"{operand}_address": address, "compressed_words": len(words)}
        await bench.run([instruction.replace(**place)])
    await bench.rest()


@cocotb.test()
async def keeps_tiles_apart(dut):
    """Tiles that want little of K end before A of their rows has come, and harm no other tile."""
    bench = Bench(dut, "apart")
    await bench.start(parameters()["refusals"])
    array = bench.config.array
    shape = 3 * array.rows + 1, array.columns + 1, 8 * bench.config.chunk
    for flow in flows():
        for reach in (0.01, 0.3):
            await bench.run(bench.place([Product(*shape, flow=flow, reach=reach)] * 2))
    await bench.rest()


@cocotb.test()
async def adds_to_the_result_before(dut):
    """A product whose residual is the result of the product before sees all of it."""
    bench = Bench(dut, "adds")
    await bench.start(parameters()["refusals"])
    rows = bench.config.array.rows
    wide = bench.config.array.wide_rows
    for m in (1, rows, 2 * rows + 1):
        first, second = bench.place(
            [Product(m, 3, 2), Product(m, 3, 1, residual=True, in_place=True, wide=wide)]
        )
        place = {f"residual_{name}": first[f"y_{name}"] for name in ("address", "pitch")}
        await bench.run([first, second.replace(**place), second, first])
    await bench.rest()


@cocotb.test()
async def keeps_the_array_busy(dut):
    """Tiles follow each other without a pause, between instructions too, if nothing is refused."""
    bench = Bench(dut, "busy")
    await bench.start()
    config = bench.config
    rows, columns = config.array.rows, config.array.columns
    steps, wide = parameters()["steps"], parameters()["wide"]
    tiles = 4
    for transposed in (False, True):
        product = Product(2 * rows, 2 * columns, steps, b_transposed=transposed, wide=wide)
        products = [replace(product, a_transposed=transposed and not wide)] * 2
        bench.events.clear()
        bench.work = Work(0, 0)
        await bench.run(bench.place(products))
        active = [event.active for event in bench.events]
        begin, end = active.index(1), len(active) - active[::-1].index(1)
        assert sum(active) == len(products) * tiles * steps
        assert end - begin == sum(active), f"{end - begin - sum(active)} pauses"
        assert not any(event.drain_stall for event in bench.events)
    await bench.rest()


@cocotb.test()
async def uses_the_array(dut):
    """From the first instruction to the last `done`, the array works for `share` of the time."""
    bench = Bench(dut, "uses")
    await bench.start()
    (flow,) = flows()
    settings = {"flow": flow, "density": parameters()["density"]}
    products = [replace(Product(*shape), **settings) for shape in parameters()["products"]]
    repeat = parameters()["repeat"]
    instructions = bench.place(products) * repeat
    begin = bench.driver.cycle
    await bench.run(instructions)
    cycles = bench.driver.cycle - begin
    array = bench.config.array
    ideal = bench.work.multiplies // (array.rows * array.columns)
    dut._log.info("%d cycles, ideal %d, used %.4f", cycles, ideal, ideal / cycles)
    assert ideal / cycles >= parameters()["share"], f"{cycles} cycles, ideal {ideal}"
    await bench.rest()


@cocotb.test()
async def counts_cycles(dut):
    """Write down the cycles of products of each flow: one after the other, and in a row."""
    bench = Bench(dut, "counts")
    await bench.start()
    cycles: dict[str, list[int]] = {flow.name: [] for flow in flows()}
    for flow in flows():
        shapes = parameters()["products"]
        instructions = bench.place([replace(Product(*shape), flow=flow) for shape in shapes])
        for group in (*([one] for one in instructions), instructions):
            begin = bench.driver.cycle
            await bench.run(group)
            cycles[flow.name].append(bench.driver.cycle - begin)
            await bench.rest()
    Path(parameters()["record"]).write_text(json.dumps(cycles))


def illegal_changes(config, flow):
    """Return what makes an instruction of `flow` illegal, and some of what may."""
    array, words = config.array, config.scratchpad_words
    yield from (
        {"m": 0},
        {"n": 0},
        {"k": 0},
        {"a_pitch": 2 + 4 * config.lanes},
        {"b_pitch": config.lanes},
        {"a_address": words - 1},
        {"b_address": words - 1},
        {"a_address": (1 << 32) - 1, "b_address": words},
        {"row_scale_address": words - 4},
        {"column_scale_address": words - 6},
        {"y_address": words - 5},
        {"y_pitch": words // 4},
        {"residual_enable": 1, "residual_address": words},
        {"k": 65535, "a_transposed": 1, "b_transposed": 1},
        {"y_transposed": 1, "residual_enable": 1, "y_pitch": 1, "residual_pitch": 2},
        {"y_transposed": 1, "y_pitch": 2},
        {"wide": 1, "a_transposed": 1},
        {"wide": 1, "plane_words": (1 << 16) - 1},
    )
    if not (config.array.wide_rows and flow == Flow.DENSE_OUTPUT_STATIONARY):
        yield {"wide": 1}
    if flow in STATIONARY_FLOWS:
        yield {"m": array.partial_rows + 1}
    if flow in SPARSE_OUTPUT_FLOWS:
        yield {"k": array.block * array.panel_blocks + 1}
    if flow == Flow.SPARSE_WEIGHT_STATIONARY:
        yield {"a_transposed": 1}
    if flow in COMPRESSED_A_FLOWS or flow in COMPRESSED_B_FLOWS:
        yield from ({"compressed_words": count} for count in (0, words, (1 << 32) - 1))


@cocotb.test()
async def refuses(dut):
    """What is illegal is reported after what came before is done, and has no effect."""
    bench = Bench(dut, "refuses")
    await bench.start(parameters()["refusals"])
    for flow in flows():
        before, legal = bench.place(
            [Product(3, 5, 9, a_transposed=True), Product(5, 7, 19, flow=flow)]
        )
        for change in illegal_changes(bench.config, flow):
            wrong = legal.replace(**change)
            fault = bench.expected_fault(wrong)
            if fault is None:
                # The pitch of a compressed operand means nothing.
                continue
            await bench.refuse(before, wrong, legal, fault)
        await bench.run([legal])
    await bench.rest()


def spoil(random, words):
    """Return compressed words of which a bit is wrong, the end is missing or too much is there."""
    choice = random.randrange(8)
    if choice == 0:
        return np.append(words, np.uint64(0))
    if choice == 1 and len(words) > 1:
        return words[: random.randrange(1, len(words))]
    spoilt = words.copy()
    place = 0 if choice < 4 else random.randrange(len(words))
    spoilt[place] ^= np.uint64(1 << random.randrange(64))
    return spoilt


@cocotb.test()
async def refuses_malformed_operands(dut):
    """Compressed words that break a rule stop the unit; what came before is done."""
    bench = Bench(dut, "malformed")
    await bench.start(parameters()["refusals"])
    array = bench.config.array
    for flow in flows():
        operand = "a" if flow in COMPRESSED_A_FLOWS else "b"
        shape = (2 * array.rows + 1, 2 * array.columns + 3, 2 * array.rows + 5)
        seen = 0
        while seen < parameters()["rounds"]:
            density = bench.random.choice((0, 0.1, 0.5, 1))
            before, legal = bench.place(
                [
                    Product(3, 5, 9, flow=bench.random.choice((flow, flows()[0]))),
                    Product(*shape, flow=flow, density=density),
                ]
            )
            address, count = legal[f"{operand}_address"], legal["compressed_words"]
            kept = bench.actual.words[address : address + count + 1].copy()
            spoilt = spoil(bench.random, kept[:count])
            bench.actual.words[address : address + len(spoilt)] = spoilt
            wrong = legal.replace(compressed_words=len(spoilt))
            fault = bench.expected_fault(wrong)
            if fault is not None:
                seen += 1
                await bench.refuse(before, wrong, legal, fault, bench.result_words(wrong))
            bench.actual.words[address : address + count + 1] = kept
            await bench.run([legal])


@cocotb.test()
async def refuses_other_flows(dut):
    """Flows that the test does not name, and numbers that no flow has, are illegal operands."""
    bench = Bench(dut, "flows")
    await bench.start()
    (legal,) = bench.place([Product(2, 2, 2, fields={"compressed_words": 1})])
    known = [flow.value for flow in flows()]
    for flow in range(1 << FLOW_BITS):
        if flow in known:
            continue
        word = int.from_bytes(legal.encode(), "little") | flow << FLOW_BIT
        bench.driver.issue(word.to_bytes(INSTRUCTION_BYTES, "little"), flow)
        fault, number = await bench.driver.faulted()
        assert (fault.code, fault.address, number) == (ErrorCode.ILLEGAL_OPERAND, 0, flow)
        await bench.driver.halt()


@cocotb.test()
async def halts(dut):
    """After a halt at any moment the next product is right."""
    bench = Bench(dut, "halts")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"] * 4):
        flow = bench.random.choice(flows())
        instructions = bench.place(
            [Product(9, 11, 21, residual=True, flow=flow, density=0.5), Product(5, 7, 9)]
        )
        await bench.halt_amid(instructions, 150)
        await bench.run(instructions[1:])
