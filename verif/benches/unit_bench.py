"""What benches of units that work on the scratchpad share: operands, golden model, faults, halt."""

import numpy as np
from cocotb.triggers import RisingEdge

from ...sw.instruction import Instruction
from ..golden.fault import Fault
from ..golden.scratchpad import Scratchpad
from ..parameters import generator
from .line_memory import LineMemory, noise
from .products import Allocator
from .unit import UnitDriver, configuration, reset

FAULT_CYCLES = 20
"""Cycles for which a fault must stay as it is reported."""


class UnitBench:
    """A unit beside a scratchpad full of noise.

    Parameters
    ----------
    dut
        The simulated unit.
    name : str
        Sets the random choices apart from those of other tests.
    execute : callable
        The golden model: executes an instruction on a `Scratchpad`, or raises `Fault`.
    """

    def __init__(self, dut, name, execute):
        self.dut = dut
        self.execute = execute
        self.config = configuration()
        self.random = generator(name)
        self.actual = Scratchpad(self.config)
        noise(self.actual, self.random)
        self.expected = Scratchpad(self.config)
        self.issued = 0

    async def serve(self, refusals, readers, writers, slow=None):
        """Reset the unit and begin to serve it; each wish is refused with a probability.

        The port called `slow` is refused more often than not.
        """

        def refuse(rate):
            return lambda: self.random.random() < rate

        self.driver = UnitDriver(self.dut, refuse(refusals))
        for name in (*readers, *writers):
            read, written = ((name,), ()) if name in readers else ((), (name,))
            rate = 0.85 if name == slow else refusals
            LineMemory(self.dut, self.actual, read, written, refuse(rate))
        await reset(self.dut)

    def place(self, operations):
        """Put the operands of all `operations` into the scratchpad; return the instructions."""
        allocator = Allocator(self.config, self.random)
        return [operation.place(allocator, self.actual) for operation in operations]

    def place_random(self, draw, most):
        """Return up to `most` random instructions, as many as find room."""
        allocator = Allocator(self.config, self.random)
        instructions: list[Instruction] = []
        for _ in range(20 * most):
            if len(instructions) == most:
                break
            begin = allocator.next
            try:
                instructions.append(draw().place(allocator, self.actual))
            except ValueError:
                allocator.next = begin
        assert instructions
        return instructions

    async def run(self, instructions):
        """Execute instructions and compare the whole scratchpad."""
        self.expected.bytes[:] = self.actual.bytes
        for instruction in instructions:
            self.expect(instruction)
            self.driver.issue(instruction.encode(), self.issued)
            self.issued += 1
        await self.finish(instructions)
        self.compare(instructions)

    def expect(self, instruction):
        """Execute an instruction that the unit will finish on the golden model."""
        return self.execute(instruction, self.expected)

    async def finish(self, instructions):
        """Wait until all is done."""
        while self.driver.done < self.issued:
            await self.driver.finish(self.driver.done + 1)

    def compare(self, instructions, ignored=()):
        """Compare the whole scratchpad but the words `ignored`."""
        different = self.actual.words != self.expected.words
        different[list(ignored)] = False
        wrong = np.flatnonzero(different)
        assert not len(wrong), f"{len(wrong)} wrong words, first {wrong[0]:#x}: {instructions}"

    def expected_fault(self, instruction):
        """Return the golden model's fault, if there is one; the scratchpad stays as it is."""
        trial = Scratchpad(self.config)
        trial.bytes[:] = self.actual.bytes
        try:
            self.execute(instruction, trial)
        except Fault as fault:
            return fault
        return None

    async def refuse(self, before, wrong, legal, fault, ignored=()):
        """See `fault` of `wrong` after `before` is done; `legal`, behind it, has no effect."""
        self.expected.bytes[:] = self.actual.bytes
        self.expect(before)
        self.driver.done = 0
        index = self.random.randrange(1 << 15)
        for place, instruction in enumerate((before, wrong, legal)):
            self.driver.issue(instruction.encode(), index + place)
        found, number = await self.driver.faulted()
        expected = fault.code, fault.address, index + 1
        assert (found.code, found.address, number) == expected, (found, number, expected, wrong)
        assert self.driver.done == 1
        for _ in range(FAULT_CYCLES):
            await RisingEdge(self.dut.clk)
            assert self.driver.fault is not None and self.driver.busy
        self.compare([before], ignored)
        await self.driver.halt()
        self.driver.done = self.issued

    async def halt_amid(self, instructions, most_cycles):
        """Issue instructions and halt the unit after up to `most_cycles` cycles."""
        for instruction in instructions:
            self.driver.issue(instruction.encode(), 0)
        for _ in range(self.random.randrange(most_cycles)):
            await RisingEdge(self.dut.clk)
        await self.driver.halt()
        self.driver.done = self.issued = 0

    async def rest(self):
        """The unit becomes idle, and stays so."""
        await self.driver.until(lambda: not self.driver.busy)
        for _ in range(50):
            await RisingEdge(self.dut.clk)
            assert not self.driver.busy
        assert self.driver.done == self.issued
