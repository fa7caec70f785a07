"""Programs that use every instruction, for comparing devices and for measuring simulation."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from ..hw.butterfly_order import pack_growths, pass_lengths
from ..hw.config import AcceleratorConfig
from ..hw.isa import Activation, Axis, ButterflyMode, Norm, Opcode
from ..sw.instruction import Value
from ..sw.program import Program
from ..sw.scale import ScaleVector
from .benches.butterfly_operations import coefficient_words
from .program_builder import Block, Builder


def random_scales(generator: np.random.Generator, length: int) -> ScaleVector:
    """Return `length` scales between 2^-8 and 2^-3, with biases."""
    scales = np.exp2(generator.uniform(-8, -3, length))
    return ScaleVector.from_float(scales, generator.integers(-300, 300, length))


def product(builder: Builder, generator: np.random.Generator, m: int, n: int, k: int) -> Block:
    """Append a MATMUL of random operands in random orientation; return its result."""
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
        activation=Activation(int(generator.integers(0, len(Activation)))),
        x_fraction=int(generator.integers(6, 13)),
        scale_address=scale.address,
    )
    return y, scale


def _multiply(builder: Builder, generator: np.random.Generator, x: Block, w: Block) -> Block:
    """Append products of the elements of X with W, or its first row; return the result."""
    is_complex = x.columns % 2 == 0 and bool(generator.integers(0, 2))
    activation = 0 if is_complex else int(generator.integers(0, len(Activation)))
    y = builder.block(x.rows, x.columns, "int16")
    builder.emit(
        Opcode.MULTIPLY,
        **_vector_operands(x, y),
        activation=Activation(activation),
        complex=int(is_complex),
        x_fraction=int(generator.integers(6, 13)),
        w_fraction=14,
        y_fraction=int(generator.integers(4, 12)),
        w_address=w.address,
        w_pitch=w.pitch * int(generator.integers(0, 2)),
    )
    return y


def _softmax(
    builder: Builder, generator: np.random.Generator, x: Block
) -> tuple[Block, Block, Block]:
    """Append a SOFTMAX, causal or not, with two planes; return them and the scales."""
    high = builder.block(x.rows, x.columns, "int8")
    low = builder.block(x.rows, x.columns, "int8")
    scale = builder.block(x.rows, 1, "uint64", pitch=1)
    builder.emit(
        Opcode.SOFTMAX,
        **_vector_operands(x, high),
        two_planes=1,
        causal=int(generator.integers(0, 2)),
        first_length=int(generator.integers(1, x.columns + 1)),
        x_fraction=int(generator.integers(6, 13)),
        scale_address=scale.address,
        plane_words=low.address - high.address,
    )
    return high, low, scale


def _planes(builder: Builder, rows: int, columns: int) -> tuple[Block, int]:
    """Return real parts of a complex matrix and the distance of the imaginary ones."""
    real = builder.block(rows, columns, "int16")
    imaginary = builder.block(rows, columns, "int16")
    return real, imaginary.address - real.address


def _fourier(builder: Builder, x: Block) -> tuple[Block, Block]:
    """Append the Fourier transforms of the rows of X, padded with zeros; return both parts."""
    log_points = max(2, (x.columns - 1).bit_length())
    y, plane = _planes(builder, x.rows, 1 << log_points)
    builder.emit(
        Opcode.BUTTERFLY,
        mode=ButterflyMode.FOURIER,
        axis=Axis.HIDDEN,
        bit_reversed=1,
        x_real=1,
        log_points=log_points,
        stages=log_points,
        vectors=x.rows,
        blocks=1,
        x_points=x.columns,
        x_headroom=-1,
        plane_words=plane,
        y_exponent=log_points - 1,
        x_address=x.address,
        x_pitch=x.pitch,
        y_address=y.address,
        y_pitch=y.pitch,
        work_address=y.address,
    )
    return y, Block(y.rows, y.columns, y.dtype, y.address + plane, y.pitch)


def _butterfly(builder: Builder, generator: np.random.Generator, x: Block) -> Block:
    """Append a butterfly product over the rows of X, of blocks of four or eight points."""
    points, chained = x.rows, builder.config.butterfly.stages
    log_points = int(generator.integers(2, 4))
    blocks = -(-points >> log_points)
    y = builder.block(blocks << log_points, x.columns, "int16")
    lengths = pass_lengths(log_points, chained)
    table = generator.integers(-16384, 16385, (log_points, blocks << log_points - 1, 4))
    values: dict[str, Value] = {
        "axis": Axis.TOKENS,
        "decreasing": 1,
        "log_points": log_points,
        "log_stride": log_points - 1,
        "stages": log_points,
        "blocks": blocks,
        "x_points": points,
        "vectors": x.columns,
        "x_headroom": -1,
        "growths": pack_growths([index + 1 for length in lengths for index in range(length)]),
        "y_exponent": 1,
        "x_address": x.address,
        "x_pitch": x.pitch,
        "y_address": y.address,
        "y_pitch": y.pitch,
        "work_address": y.address,
    }
    words = coefficient_words(values, builder.config, table)
    coefficients = builder.load("coefficients", words[:, np.newaxis], pitch=1)
    builder.emit(Opcode.BUTTERFLY, **values, coefficient_address=coefficients.address)
    return y


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
    size = size or min(3 * config.array.rows, 48, config.scratchpad_words // 110)
    shapes = random.Random(seed)
    generator = np.random.default_rng(seed)
    builder = Builder(config)
    m, n, k = (shapes.randint(1, size) for _ in range(3))
    result = product(builder, generator, m, n, k)
    normalised = _normalise(builder, generator, result)
    quantised, scale = _quantise(builder, generator, normalised)
    high, low, total = _softmax(builder, generator, normalised)
    gated = _multiply(builder, generator, normalised, result)
    real, imaginary = _fourier(builder, normalised)
    mixed = _butterfly(builder, generator, normalised)
    outputs = {
        "real": real,
        "imaginary": imaginary,
        "mixed": mixed,
        "product": result,
        "normalised": normalised,
        "quantised": quantised,
        "quantised_scale": scale,
        "probability_high": high,
        "probability_low": low,
        "probability_scale": total,
        "gated": gated,
    }
    for name, block in outputs.items():
        builder.store(name, block)
    return builder.program(), builder.inputs


def steady_program(config: AcceleratorConfig, rounds: int) -> tuple[Program, dict[str, NDArray]]:
    """Return a program of `rounds` equal products with their vector operations, and its inputs.

    A round keeps the array busy for ``8 · 8 · 24 · rows`` cycles.
    """
    generator = np.random.default_rng(0)
    builder = Builder(config)
    size, depth = 8 * config.array.rows, 24 * config.array.rows
    result = product(builder, generator, size, size, depth)
    quantised, _ = _quantise(builder, generator, result)
    one_round = builder.code[-2:]
    for _ in range(rounds - 1):
        for instruction in one_round:
            builder.emit(instruction.opcode, **instruction.values)
    builder.store("quantised", quantised)
    return builder.program(), builder.inputs
