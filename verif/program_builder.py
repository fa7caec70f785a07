"""Programs by hand: instructions in strict order, data placed, tensors named."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..hw.config import WORD_BYTES, AcceleratorConfig
from ..hw.isa import UNITS, Opcode, Unit
from ..sw.instruction import Dram, Instruction, Value
from ..sw.program import Program, Window
from ..sw.scale import ScaleVector
from ..sw.tensor import Tensor

CODE, DATA = 0, 1
"""The windows of these programs."""


def semaphore(first: Unit, second: Unit) -> int:
    """Return the semaphore by which `first` lets `second` go on."""
    places = {unit: place for place, unit in enumerate((*UNITS, Unit.CONTROLLER))}
    return places[first] + len(UNITS) * places[second]


@dataclass(frozen=True)
class Block:
    """A matrix in the scratchpad.

    Parameters
    ----------
    rows, columns : int
    dtype : str
    address, pitch : int
        Words.
    """

    rows: int
    columns: int
    dtype: str
    address: int
    pitch: int

    @property
    def row_words(self) -> int:
        """Words of a row."""
        return -(-self.columns * np.dtype(self.dtype).itemsize // WORD_BYTES)


@dataclass
class Builder:
    """Collects instructions that run one after the other, and places what they use.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    config: AcceleratorConfig
    code: list[Instruction] = field(default_factory=list)
    inputs: dict[str, NDArray] = field(default_factory=dict)
    input_tensors: list[Tensor] = field(default_factory=list)
    output_tensors: list[Tensor] = field(default_factory=list)
    scratchpad_words: int = 0
    dram_bytes: int = 0

    def emit(self, opcode: Opcode, **values: Value) -> None:
        """Append an instruction that waits for the one before."""
        instruction = Instruction(opcode, values)
        if self.code:
            # One semaphore for each ordered pair of units: no third unit can take what it gives.
            last = self.code[-1]
            ordered = 1 << semaphore(last.unit, instruction.unit)
            self.code[-1] = last.replace(signal=ordered)
            instruction = instruction.replace(wait=ordered)
        self.code.append(instruction)

    def repeat(self, count: int) -> None:
        """Append the last instruction `count` times more; nothing but its unit orders them."""
        self.code += [self.code[-1].replace(wait=0)] * count

    def block(self, rows: int, columns: int, dtype: str, *, pitch: int = 0) -> Block:
        """Return an unused place for a matrix, with a pitch that any access allows."""
        words = -(-columns * np.dtype(dtype).itemsize // WORD_BYTES)
        lanes = self.config.lanes
        pitch = pitch or -(-(words - 1) // lanes) * lanes + 1
        block = Block(rows, columns, dtype, self.scratchpad_words, pitch)
        self.scratchpad_words += rows * max(pitch, words)
        return block

    def _tensor(self, name: str, block: Block) -> Tensor:
        beat = self.config.axi_bytes
        stride = -(-block.row_words * WORD_BYTES // beat) * beat
        offset = self.dram_bytes
        self.dram_bytes += stride * block.rows
        shape = (block.rows, block.columns)
        return Tensor(name, DATA, offset, shape, block.dtype, stride)

    def _transfer(self, opcode: Opcode, tensor: Tensor, block: Block) -> None:
        self.emit(
            opcode,
            rows=block.rows,
            row_words=block.row_words,
            dram_address=Dram(tensor.window, tensor.offset),
            dram_stride=tensor.stride,
            address=block.address,
            pitch=block.pitch,
        )

    def load(self, name: str, values: NDArray, *, pitch: int = 0) -> Block:
        """Make `values` [rows, columns] an input, load it and return where it is."""
        rows, columns = values.shape
        block = self.block(rows, columns, values.dtype.name, pitch=pitch)
        tensor = self._tensor(name, block)
        self.input_tensors.append(tensor)
        self.inputs[name] = values
        self._transfer(Opcode.LOAD, tensor, block)
        return block

    def load_scales(self, name: str, values: ScaleVector) -> Block:
        """Load a vector of scale words, one after the other."""
        return self.load(name, values.pack()[:, np.newaxis], pitch=1)

    def store(self, name: str, block: Block) -> None:
        """Store `block` as an output."""
        tensor = self._tensor(name, block)
        self.output_tensors.append(tensor)
        self._transfer(Opcode.STORE, tensor, block)

    def program(self) -> Program:
        """Return the program, ended."""
        self.emit(Opcode.END)
        code = b"".join(instruction.encode() for instruction in self.code)
        return Program(
            config=self.config,
            code=code,
            code_address=Dram(CODE, 0),
            windows=(
                Window("code", len(code) + 64),
                Window("data", max(self.dram_bytes, 64), writable=True),
            ),
            inputs=tuple(self.input_tensors),
            outputs=tuple(self.output_tensors),
        )
