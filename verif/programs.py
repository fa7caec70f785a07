"""Small programs that use every instruction, for comparing devices with each other."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..hw.config import WORD_BYTES, AcceleratorConfig
from ..hw.isa import UNITS, Activation, Norm, Opcode, Unit
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
    """Collects instructions that run strictly one after the other, and places what they use.

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
        block = self.block(*values.shape, values.dtype.name, pitch=pitch)
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


def random_scales(generator: np.random.Generator, length: int) -> ScaleVector:
    """Return `length` scales between 2^-8 and 2^-3, with biases."""
    scales = np.exp2(generator.uniform(-8, -3, length))
    return ScaleVector.from_float(scales, generator.integers(-300, 300, length))


def _product(builder: Builder, generator: np.random.Generator, m: int, n: int, k: int) -> Block:
    transposed = generator.integers(0, 2, 2)
    a_shape = (k, m) if transposed[0] else (m, k)
    b_shape = (k, n) if transposed[1] else (n, k)
    a = builder.load("a", generator.integers(-127, 128, a_shape, dtype=np.int8))
    b = builder.load("b", generator.integers(-127, 128, b_shape, dtype=np.int8))
    rows = builder.load_scales("rows", random_scales(generator, m))
    columns = builder.load_scales("columns", random_scales(generator, n))
    residual = builder.load("residual", generator.integers(-9000, 9000, (m, n), dtype=np.int16))
    y = builder.block(m, n, "int16")
    builder.emit(
        Opcode.MATMUL,
        m=m,
        n=n,
        k=k,
        fraction=int(generator.integers(2, 8)),
        a_transposed=int(transposed[0]),
        b_transposed=int(transposed[1]),
        residual_enable=int(generator.integers(0, 2)),
        a_address=a.address,
        a_pitch=a.pitch,
        b_address=b.address,
        b_pitch=b.pitch,
        row_scale_address=rows.address,
        column_scale_address=columns.address,
        y_address=y.address,
        y_pitch=y.pitch,
        residual_address=residual.address,
        residual_pitch=residual.pitch,
    )
    return y


def _vector_operands(x: Block, y: Block) -> dict[str, Value]:
    return {
        "rows": x.rows,
        "columns": x.columns,
        "x_address": x.address,
        "x_pitch": x.pitch,
        "y_address": y.address,
        "y_pitch": y.pitch,
    }


def _normalise(builder: Builder, generator: np.random.Generator, x: Block) -> Block:
    gain = generator.integers(-8000, 8000, x.columns)
    bias = generator.integers(-2000, 2000, x.columns)
    parameters = builder.load("parameters", np.stack([gain, bias]).astype(np.int16))
    y = builder.block(x.rows, x.columns, "int16")
    builder.emit(
        Opcode.NORMALISE,
        **_vector_operands(x, y),
        norm=Norm(int(generator.integers(0, 2))),
        y_fraction=int(generator.integers(6, 13)),
        parameter_address=parameters.address,
        parameter_pitch=parameters.pitch,
        epsilon=int(generator.integers(0, 1000)),
    )
    return y


def _quantise(builder: Builder, generator: np.random.Generator, x: Block) -> tuple[Block, Block]:
    y = builder.block(x.rows, x.columns, "int8")
    scale = builder.block(x.rows, 1, "uint64", pitch=1)
    builder.emit(
        Opcode.QUANTISE,
        **_vector_operands(x, y),
        activation=Activation(int(generator.integers(0, 3))),
        x_fraction=int(generator.integers(6, 13)),
        scale_address=scale.address,
    )
    return y, scale


def _softmax(
    builder: Builder, generator: np.random.Generator, x: Block
) -> tuple[Block, Block, Block]:
    high = builder.block(x.rows, x.columns, "int8")
    low = builder.block(x.rows, x.columns, "int8")
    scale = builder.block(x.rows, 1, "uint64", pitch=1)
    builder.emit(
        Opcode.SOFTMAX,
        **_vector_operands(x, high),
        two_planes=1,
        x_fraction=int(generator.integers(6, 13)),
        scale_address=scale.address,
        plane_words=low.address - high.address,
    )
    return high, low, scale


def random_program(
    config: AcceleratorConfig, seed: int, *, size: int = 0
) -> tuple[Program, dict[str, NDArray]]:
    """Return a program with every instruction on random data and shapes, and its inputs.

    Parameters
    ----------
    config : AcceleratorConfig
    seed : int
        Of shapes and data.
    size : int
        Largest m, n and k; chosen to fit the scratchpad unless given.
    """
    size = size or min(3 * config.array.rows, 48)
    shapes = random.Random(seed)
    generator = np.random.default_rng(seed)
    builder = Builder(config)
    m, n, k = (shapes.randint(1, size) for _ in range(3))
    product = _product(builder, generator, m, n, k)
    normalised = _normalise(builder, generator, product)
    quantised, scale = _quantise(builder, generator, normalised)
    high, low, total = _softmax(builder, generator, normalised)
    outputs = {
        "product": product,
        "normalised": normalised,
        "quantised": quantised,
        "quantised_scale": scale,
        "probability_high": high,
        "probability_low": low,
        "probability_scale": total,
    }
    for name, block in outputs.items():
        builder.store(name, block)
    return builder.program(), builder.inputs
