"""Model of the vector unit: executes its instructions on the scratchpad."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import TABULATED_ACTIVATIONS, Activation, ErrorCode, Opcode
from ...sw.instruction import Instruction
from ...sw.sparsity.kept import Kept
from .activation import FRACTION_LIMIT
from .activation_compressor import compress, kept_of
from .fault import Fault
from .multiply import SHIFT_LIMIT, multiply
from .normalise import MAXIMUM_COLUMNS, Y_FRACTION_LIMIT, normalise
from .operands import Matrix, check_all, scales, write_scales
from .quantise import X_FRACTION_LIMIT, quantise
from .scratchpad import Scratchpad
from .softmax import softmax


def _matrix(instruction: Instruction, name: str, dtype: str) -> Matrix:
    return Matrix(
        instruction["rows"],
        instruction["columns"],
        dtype,
        instruction[f"{name}_address"],
        instruction[f"{name}_pitch"],
    )


def _result(instruction: Instruction, kept: Kept | None) -> Matrix:
    """Return the place of int8 Y, or of the words of what is kept of it."""
    if kept is None:
        return _matrix(instruction, "y", "int8")
    words = kept.words(instruction["rows"], instruction["columns"])
    return Matrix(1, words, "uint64", instruction["y_address"], 0)


def _write(y: Matrix, scratchpad: Scratchpad, values: NDArray[np.int8], kept: Kept | None) -> None:
    y.write(scratchpad, values if kept is None else compress(values, kept)[np.newaxis])


def _require(condition: bool) -> None:
    if not condition:
        raise Fault(ErrorCode.ILLEGAL_OPERAND, 0)


def _quantise(instruction: Instruction, scratchpad: Scratchpad) -> None:
    activation, x_fraction = instruction["activation"], instruction["x_fraction"]
    if activation in TABULATED_ACTIVATIONS:
        _require(0 <= x_fraction <= FRACTION_LIMIT)
    _require(-X_FRACTION_LIMIT <= x_fraction <= X_FRACTION_LIMIT)
    kept = kept_of(instruction, scratchpad.config)
    x, y = _matrix(instruction, "x", "int16"), _result(instruction, kept)
    scale = scales(instruction["rows"], instruction["scale_address"])
    check_all([x, y, scale], scratchpad)
    values, row_scales = quantise(x.read(scratchpad), activation, x_fraction)
    _write(y, scratchpad, values, kept)
    write_scales(scale, scratchpad, row_scales)


def _softmax(instruction: Instruction, scratchpad: Scratchpad) -> None:
    x_fraction = instruction["x_fraction"]
    _require(0 <= x_fraction <= FRACTION_LIMIT)
    first_length = instruction["first_length"] if instruction["causal"] else None
    _require(first_length != 0)
    two_planes = bool(instruction["two_planes"])
    kept = kept_of(instruction, scratchpad.config)
    _require(kept is None or not two_planes)
    x, high = _matrix(instruction, "x", "int16"), _result(instruction, kept)
    low = Matrix(
        high.rows, high.columns, "int8", high.address + instruction["plane_words"], high.pitch
    )
    scale = scales(instruction["rows"], instruction["scale_address"])
    check_all([x, high, *([low] if two_planes else []), scale], scratchpad)
    high_values, low_values, row_scales = softmax(
        x.read(scratchpad), x_fraction, two_planes, first_length
    )
    _write(high, scratchpad, high_values, kept)
    if low_values is not None:
        low.write(scratchpad, low_values)
    write_scales(scale, scratchpad, row_scales)


def _normalise(instruction: Instruction, scratchpad: Scratchpad) -> None:
    columns, y_fraction = instruction["columns"], instruction["y_fraction"]
    _require(columns <= MAXIMUM_COLUMNS)
    _require(0 <= y_fraction <= Y_FRACTION_LIMIT)
    x, y = _matrix(instruction, "x", "int16"), _matrix(instruction, "y", "int16")
    parameters = Matrix(
        2,
        columns,
        "int16",
        instruction["parameter_address"],
        instruction["parameter_pitch"],
    )
    check_all([x, y, parameters], scratchpad)
    gain, bias = parameters.read(scratchpad)
    norm, epsilon = instruction["norm"], instruction["epsilon"]
    y.write(scratchpad, normalise(x.read(scratchpad), gain, bias, norm, y_fraction, epsilon))


def _multiply(instruction: Instruction, scratchpad: Scratchpad) -> None:
    activation, is_complex = instruction["activation"], bool(instruction["complex"])
    fractions = (
        instruction["x_fraction"],
        instruction["w_fraction"],
        instruction["y_fraction"],
    )
    if activation in TABULATED_ACTIVATIONS:
        _require(0 <= fractions[0] <= FRACTION_LIMIT)
    _require(0 <= fractions[0] + fractions[1] - fractions[2] <= SHIFT_LIMIT)
    if is_complex:
        _require(instruction["columns"] % 2 == 0 and activation == Activation.IDENTITY)
    x, y, w = (_matrix(instruction, name, "int16") for name in "xyw")
    check_all([x, y, w], scratchpad)
    values = x.read(scratchpad), w.read(scratchpad)
    y.write(scratchpad, multiply(*values, activation, fractions, is_complex=is_complex))


_OPERATIONS = {
    Opcode.QUANTISE: _quantise,
    Opcode.SOFTMAX: _softmax,
    Opcode.NORMALISE: _normalise,
    Opcode.MULTIPLY: _multiply,
}


def execute(instruction: Instruction, scratchpad: Scratchpad) -> None:
    """Execute an instruction of the vector unit.

    Raises
    ------
    Fault
        `ILLEGAL_OPERAND` with address 0, then `SCRATCHPAD_RANGE` with the last word of the first
        of X, Y (and its second plane), and scales, parameters or W that is outside.
    """
    _require(instruction["rows"] > 0 and instruction["columns"] > 0)
    _OPERATIONS[instruction.opcode](instruction, scratchpad)
