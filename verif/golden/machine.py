"""Model of the whole machine: executes a program that lies in DRAM, word by word."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from ...hw.config import INSTRUCTION_BYTES, AcceleratorConfig
from ...hw.isa import MAGIC, VERSION, ErrorCode, ProgramHeader, Unit
from ...hw.registers import COUNTERS
from ...sw.instruction import Dram, InstructionError, decode, split_words
from . import array, butterfly_instruction, vector
from .controller import Controller, Outcome
from .fault import Fault
from .load import load
from .scratchpad import Scratchpad
from .store import store
from .transfer import Transfer
from .window import Window

CLOSED = Window()


@dataclass
class Statistics:
    """What a program did, as the counters of the registers have it."""

    instructions: int = 0
    array_multiplies: int = 0
    butterfly_multiplies: int = 0
    array_skipped: int = 0
    load_written_words: int = 0
    array_written_words: int = 0
    vector_written_words: int = 0
    dram_read_bytes: int = 0
    dram_written_bytes: int = 0


COUNTED = tuple(
    counter.name
    for counter in COUNTERS
    if counter.name in {statistic.name for statistic in fields(Statistics)}
)
"""Counters that the model has as well."""


@dataclass
class Machine:
    """The accelerator as the host sees it.

    Parameters
    ----------
    config : AcceleratorConfig
    dram : uint8 [bytes]
        Physical memory from address 0; changed in place. Beyond it nothing decodes.
    windows : list of Window
        What the host has opened, in the order of their indices.
    seed : int, optional
        Units that no semaphore orders run in an order drawn from it; two seeds that give
        different results prove a missing semaphore. Without it the order is fixed.

    Attributes
    ----------
    scratchpad : Scratchpad
        Keeps its contents from one program to the next.
    statistics : Statistics
        Of the last program.
    """

    config: AcceleratorConfig
    dram: NDArray[np.uint8]
    windows: Sequence[Window] = ()
    seed: int | None = None
    scratchpad: Scratchpad = field(init=False)
    statistics: Statistics = field(init=False, default_factory=Statistics)

    def __post_init__(self) -> None:
        self.scratchpad = Scratchpad(self.config)

    def run(self, address: Dram, length: int) -> Outcome:
        """Run the program whose header is at `address`, with `length` instructions.

        Raises
        ------
        Deadlock
            If the program waits for ever; the hardware would stop by its watchdog.
        """
        self.statistics = Statistics()
        self.scratchpad.written_words = 0
        try:
            words = self._fetch(address, length)
        except Fault as fault:
            return Outcome(fault.code, 0, fault.address, 0)
        choice = None if self.seed is None else random.Random(self.seed)
        outcome = Controller(self.config, self._execute, choice).run(words)
        self.statistics.instructions = outcome.finished
        return outcome

    def _fetch(self, address: Dram, length: int) -> list[bytes]:
        """Return the instructions; checks and their order are those of `hw.fetch.Fetch`."""
        if length == 0:
            raise Fault(ErrorCode.PROGRAM_HEADER, _header_offset("instructions"))
        size = INSTRUCTION_BYTES * (length + 1)
        is_open = address.window < len(self.windows)
        window = self.windows[address.window] if is_open else CLOSED
        if not window.readable or address.offset + size > window.size:
            raise Fault(ErrorCode.WINDOW, address.offset)
        start = window.base + address.offset
        if start % INSTRUCTION_BYTES:
            raise Fault(ErrorCode.ILLEGAL_OPERAND, address.offset)
        if start + size > len(self.dram):
            # The header and each instruction are one read.
            missing = max(start, len(self.dram) // INSTRUCTION_BYTES * INSTRUCTION_BYTES)
            raise Fault(ErrorCode.READ_DECODE_ERROR, missing)
        image = self.dram[start : start + size].tobytes()
        self.statistics.dram_read_bytes += size
        self._check_header(image[:INSTRUCTION_BYTES], length)
        return split_words(image[INSTRUCTION_BYTES:])

    def _check_header(self, image: bytes, length: int) -> None:
        header = ProgramHeader.from_bits(
            int.from_bytes(image, "little") & ((1 << ProgramHeader.as_shape().size) - 1)
        )
        expected = {
            "magic": MAGIC,
            "version": VERSION,
            "parameter_hash": self.config.hash,
            "instructions": length,
        }
        for name, value in expected.items():
            if header[name] != value:
                raise Fault(ErrorCode.PROGRAM_HEADER, _header_offset(name))

    def _execute(self, unit: Unit, index: int, word: bytes) -> None:
        if unit in (Unit.LOAD, Unit.STORE):
            self._transfer(unit, Transfer.unpack(word))
            return
        try:
            instruction = decode(word)
        except InstructionError:
            # The opcode is known, so that it is an enumeration that has no such value.
            raise Fault(ErrorCode.ILLEGAL_OPERAND, 0) from None
        if unit == Unit.ARRAY:
            work = array.execute(instruction, self.scratchpad)
            self.statistics.array_written_words += self._newly_written()
            self.statistics.array_multiplies += work.multiplies
            self.statistics.array_skipped += work.skipped
        elif unit == Unit.BUTTERFLY:
            multiplies = butterfly_instruction.execute(instruction, self.scratchpad)
            self.statistics.butterfly_multiplies += multiplies
            self._newly_written()  # What is between the passes is not in it.
        else:
            vector.execute(instruction, self.scratchpad)
            self.statistics.vector_written_words += self._newly_written()

    def _newly_written(self) -> int:
        """Return the words that were written to the scratchpad since the last call."""
        words, self.scratchpad.written_words = self.scratchpad.written_words, 0
        return words

    def _transfer(self, unit: Unit, transfer: Transfer) -> None:
        size = transfer.rows * transfer.row_bytes
        if unit == Unit.LOAD:
            load(self.config, transfer, self.windows, self.dram, self.scratchpad)
            self.statistics.dram_read_bytes += size
            self.statistics.load_written_words += self._newly_written()
        else:
            store(self.config, transfer, self.windows, self.dram, self.scratchpad)
            self.statistics.dram_written_bytes += size


def _header_offset(name: str) -> int:
    return ProgramHeader.as_shape()[name].offset // 8
