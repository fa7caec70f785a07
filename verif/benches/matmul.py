"""Bench of the array unit: random products, exact cycles, faults, halt."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.isa import ErrorCode
from ...hw.matmul_events import matmul_events_layout
from ...sw.instruction import Instruction
from ..golden.array import execute
from ..golden.fault import Fault
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .line_memory import LineMemory, noise
from .products import Allocator, Product, random_product
from .unit import UnitDriver, configuration, reset


class Bench:
    """An array unit beside a scratchpad full of noise."""

    def __init__(self, dut, name):
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.actual = Scratchpad(self.config)
        noise(self.actual, self.random)
        self.expected = Scratchpad(self.config)
        self.events = []
        self.issued = 0
        self.multiplications = 0

    async def start(self, refusals=0.0):
        """Reset the unit and begin to serve it."""

        self.driver = UnitDriver(self.dut, self._refuse(refusals))
        for readers, writers in (
            (("operands",), ()),
            (("drain_read",), ()),
            ((), ("drain_write",)),
        ):
            LineMemory(self.dut, self.actual, readers, writers, self._refuse(refusals))
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

    def place(self, products):
        """Put the operands of all `products` into the scratchpad; return the instructions."""
        allocator = Allocator(self.config, self.random)
        return [product.place(allocator, self.actual) for product in products]

    async def run(self, instructions):
        """Execute instructions and compare the whole scratchpad."""
        self.expected.bytes[:] = self.actual.bytes
        for instruction in instructions:
            self.multiplications += execute(instruction, self.expected).multiplies
            self.driver.issue(instruction.encode(), self.issued)
            self.issued += 1
        await self.finish(sum(i["m"] * i["n"] * i["k"] for i in instructions))
        self.compare()

    async def finish(self, multiplications):
        """Wait until all is done; small products may leave most of the array idle."""
        for _ in range(1000 * (1 + self.issued) + multiplications):
            await RisingEdge(self.dut.clk)
            assert self.driver.fault is None, self.driver.fault
            if self.driver.done == self.issued:
                return
        raise AssertionError(f"{self.driver.done} of {self.issued} products are done")

    async def fault(self):
        """Wait for a fault; return it with the index of its instruction."""
        await self.driver.until(lambda: self.driver.fault is not None)
        return self.driver.fault

    def compare(self):
        """Compare the whole scratchpad."""
        wrong = np.flatnonzero(self.actual.words != self.expected.words)
        assert not len(wrong), f"{len(wrong)} wrong words, the first at {wrong[0]:#x}"

    async def rest(self):
        """The unit becomes idle and has counted each multiplication."""
        await self.driver.until(lambda: not self.driver.busy)
        await RisingEdge(self.dut.clk)
        assert sum(event.multiplies for event in self.events) == self.multiplications
        assert self.driver.done == self.issued


@cocotb.test()
async def multiplies(dut):
    """Random products in a row equal the golden model; nothing else is written."""
    bench = Bench(dut, "multiplies")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"]):
        instructions: list[Instruction] = []
        allocator = Allocator(bench.config, bench.random)
        while len(instructions) < 12:
            product = random_product(bench.random, bench.config)
            try:
                instructions.append(product.place(allocator, bench.actual))
            except ValueError:
                break
        await bench.run(instructions)
    await bench.rest()


@cocotb.test()
async def adds_to_the_result_before(dut):
    """A product whose residual is the result of the product before sees all of it."""
    bench = Bench(dut, "adds")
    await bench.start(parameters()["refusals"])
    rows = bench.config.array.rows
    for m in (1, rows, 2 * rows + 1):
        first, second = bench.place(
            [Product(m, 3, 2), Product(m, 3, 1, residual=True, in_place=True)]
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
    steps = parameters()["steps"]
    tiles = 4
    for transposed in (False, True):
        products = [
            Product(2 * rows, 2 * columns, steps, a_transposed=transposed, b_transposed=transposed)
            for _ in range(2)
        ]
        bench.events.clear()
        bench.multiplications = 0
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
    products = [Product(*shape) for shape in parameters()["products"]]
    repeat = parameters()["repeat"]
    instructions = bench.place(products) * repeat
    begin = bench.driver.cycle
    await bench.run(instructions)
    cycles = bench.driver.cycle - begin
    array = bench.config.array
    ideal = repeat * sum(p.m * p.n * p.k for p in products) // (array.rows * array.columns)
    dut._log.info("%d cycles, ideal %d, used %.4f", cycles, ideal, ideal / cycles)
    assert ideal / cycles >= parameters()["share"], f"{cycles} cycles, ideal {ideal}"
    await bench.rest()


@cocotb.test()
async def refuses(dut):
    """What is illegal is reported after what came before is done, and has no effect."""
    bench = Bench(dut, "refuses")
    await bench.start(parameters()["refusals"])
    words = bench.config.scratchpad_words
    before, legal = bench.place([Product(3, 5, 9, a_transposed=True), Product(5, 7, 19)])
    changes = [
        {"m": 0},
        {"n": 0},
        {"k": 0},
        {"a_pitch": 2 + 4 * bench.config.lanes},
        {"b_pitch": bench.config.lanes},
        {"a_address": words - 1},
        {"b_address": words - 1},
        {"a_address": (1 << 32) - 1, "b_address": words},
        {"row_scale_address": words - 4},
        {"column_scale_address": words - 6},
        {"y_address": words - 5},
        {"y_pitch": words // 4},
        {"residual_enable": 1, "residual_address": words},
        {"k": 65535, "a_transposed": 1, "b_transposed": 1},
    ]
    for index, change in enumerate(changes):
        bench.expected.bytes[:] = bench.actual.bytes
        bench.multiplications += execute(before, bench.expected).multiplies
        wrong = legal.replace(**change)
        expected = expected_fault(wrong, bench.expected)
        bench.driver.done = 0
        bench.driver.issue(before.encode(), index)
        bench.driver.issue(wrong.encode(), index + 1)
        bench.driver.issue(legal.encode(), index + 2)
        fault, number = await bench.fault()
        assert (fault.code, fault.address, number) == (*expected, index + 1), change
        assert bench.driver.done == 1
        bench.compare()
        await bench.driver.halt()
    bench.driver.done = bench.issued
    await bench.run([legal])
    await bench.rest()


def expected_fault(instruction, scratchpad):
    """Return code and address of the golden model's fault."""
    try:
        execute(instruction, scratchpad)
    except Fault as fault:
        return fault.code, fault.address
    raise AssertionError(f"{instruction} is legal")


@cocotb.test()
async def refuses_unknown_flows(dut):
    """A flow that is not built is an illegal operand."""
    bench = Bench(dut, "flows")
    await bench.start()
    (legal,) = bench.place([Product(2, 2, 2)])
    for flow in (1, 8, 15):
        word = int.from_bytes(legal.encode(), "little") | flow << 96
        bench.driver.issue(word.to_bytes(64, "little"), flow)
        fault, number = await bench.fault()
        assert (fault.code, fault.address, number) == (ErrorCode.ILLEGAL_OPERAND, 0, flow)
        await bench.driver.halt()


@cocotb.test()
async def halts(dut):
    """After a halt at any moment the next product is right."""
    bench = Bench(dut, "halts")
    await bench.start(parameters()["refusals"])
    for _ in range(parameters()["rounds"] * 4):
        instructions = bench.place([Product(9, 11, 21, residual=True), Product(5, 7, 9)])
        bench.driver.done = 0
        bench.issued = 0
        for instruction in instructions:
            bench.driver.issue(instruction.encode(), 0)
        for _ in range(bench.random.randrange(150)):
            await RisingEdge(dut.clk)
        await bench.driver.halt()
        bench.driver.done = 0
        await bench.run(instructions[1:])
