"""Short ways to write slices and operations."""

from __future__ import annotations

from collections.abc import Mapping

from ...hw.isa import Activation, Norm, Opcode
from ..gir import Affine, Buffer, Compute, Move, Slice


def block(name: str) -> tuple[Affine, Affine]:
    """Return number and extent of the iteration of loop `name`."""
    return Affine.variable(name), Affine.variable(f"|{name}|")


def part(
    buffer: Buffer,
    row: Affine | int = 0,
    column: Affine | int = 0,
    rows: Affine | int | None = None,
    columns: Affine | int | None = None,
    step: int = 1,
) -> Slice:
    """Return a slice of `buffer` of as many rows and columns as it has, where none are given."""
    return Slice(
        buffer.name,
        Affine.of(row),
        Affine.of(column),
        Affine.of(buffer.rows if rows is None else rows),
        Affine.of(buffer.columns if columns is None else columns),
        step,
    )


def load(source: Slice, destination: Slice, product: str) -> Move:
    """Copy from DRAM to the scratchpad."""
    return Move(Opcode.LOAD, {"source": source}, {"destination": destination}, product=product)


def store(source: Slice, destination: Slice, product: str) -> Move:
    """Copy from the scratchpad to DRAM."""
    return Move(Opcode.STORE, {"source": source}, {"destination": destination}, product=product)


def matmul(
    a: tuple[Slice, Slice],
    b: tuple[Slice, Slice],
    y: Slice,
    fraction: int,
    product: str,
    residual: Slice | None = None,
    *,
    b_transposed: bool = False,
    low: Slice | None = None,
) -> Compute:
    """Multiply `a` by `b` transposed, each an operand and its scales, to `fraction` bits.

    With `b_transposed`, `b` lies as [k, n]. `low` is the lower plane of `a`, if it has two.
    """
    reads = {"a": a[0], "b": b[0], "row_scale": a[1], "column_scale": b[1]}
    if residual is not None:
        reads["residual"] = residual
    attributes = {"fraction": fraction} | ({"b_transposed": 1} if b_transposed else {})
    if low is not None:
        reads["low"] = low
        attributes["wide"] = 1
    return Compute(Opcode.MATMUL, reads, {"y": y}, attributes, product)


def quantise(
    x: Slice,
    y: tuple[Slice, Slice],
    fraction: int,
    product: str,
    activation: Activation = Activation.IDENTITY,
) -> Compute:
    """Turn int16 `x` with `fraction` bits into int8 rows and their scales `y`."""
    attributes: Mapping[str, int] = {"activation": activation.value, "x_fraction": fraction}
    return Compute(Opcode.QUANTISE, {"x": x}, {"y": y[0], "scale": y[1]}, attributes, product)


def softmax(
    x: Slice,
    planes: tuple[Slice, Slice | None],
    scale: Slice,
    fraction: int,
    product: str,
    first_length: int | None = None,
) -> Compute:
    """Turn scores `x` into two planes of probabilities, or one, and their scale a row.

    With `first_length`, row r counts its first ``first_length + r`` columns only.
    """
    high, low = planes
    writes = {"y": high, "scale": scale} | ({} if low is None else {"low": low})
    attributes = {"two_planes": int(low is not None), "x_fraction": fraction}
    if first_length is not None:
        attributes |= {"causal": 1, "first_length": first_length}
    return Compute(Opcode.SOFTMAX, {"x": x}, writes, attributes, product)


def normalise(
    x: Slice,
    parameter: Slice,
    y: Slice,
    fraction: int,
    epsilon: int,
    product: str,
    norm: Norm = Norm.LAYER,
) -> Compute:
    """Normalise the rows of `x` to `fraction` bits."""
    attributes = {"norm": norm.value, "y_fraction": fraction, "epsilon": epsilon}
    return Compute(
        Opcode.NORMALISE, {"x": x, "parameter": parameter}, {"y": y}, attributes, product
    )


def multiply(
    x: Slice,
    w: Slice,
    y: Slice,
    fractions: tuple[int, int, int],
    product: str,
    activation: Activation = Activation.IDENTITY,
    *,
    is_complex: bool = False,
) -> Compute:
    """Multiply activated `x` by `w`, element by element; fractions are those of x, w and y."""
    names = ("x_fraction", "w_fraction", "y_fraction")
    attributes = {"activation": activation.value, "complex": int(is_complex)}
    attributes |= dict(zip(names, fractions, strict=True))
    return Compute(Opcode.MULTIPLY, {"x": x, "w": w}, {"y": y}, attributes, product)
