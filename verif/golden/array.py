"""Model of the array unit: executes MATMUL on the scratchpad."""

from __future__ import annotations

from ...hw.isa import ErrorCode
from ...sw.instruction import Instruction
from .fault import Fault
from .matmul import matmul
from .operands import Matrix, check_all, read_scales, scales
from .scratchpad import Scratchpad


def _operand(instruction: Instruction, name: str, length: int) -> Matrix:
    """Return the place of operand `name`, which has `length` rows of K."""
    address, pitch = instruction[f"{name}_address"], instruction[f"{name}_pitch"]
    rows, columns = length, instruction["k"]
    if instruction[f"{name}_transposed"]:
        rows, columns = columns, rows
    return Matrix(rows, columns, "int8", address, pitch)


def execute(instruction: Instruction, scratchpad: Scratchpad) -> int:
    """Execute MATMUL; return the number of multiplications.

    Raises
    ------
    Fault
        `ILLEGAL_OPERAND` with address 0, then `SCRATCHPAD_RANGE` with the last word of the first
        of A, B, row scales, column scales, Y and residual that is outside.
    """
    config = scratchpad.config
    m, n, k = (instruction[name] for name in "mnk")
    pitches = (instruction["a_pitch"], instruction["b_pitch"])
    if 0 in (m, n, k) or any(pitch % config.lanes != 1 for pitch in pitches):
        raise Fault(ErrorCode.ILLEGAL_OPERAND, 0)
    a = _operand(instruction, "a", m)
    b = _operand(instruction, "b", n)
    row_scales = scales(m, instruction["row_scale_address"])
    column_scales = scales(n, instruction["column_scale_address"])
    y = Matrix(m, n, "int16", instruction["y_address"], instruction["y_pitch"])
    residual = Matrix(m, n, "int16", instruction["residual_address"], instruction["residual_pitch"])
    adds = bool(instruction["residual_enable"])
    check_all([a, b, row_scales, column_scales, y], scratchpad)
    if adds:
        residual.check(scratchpad)

    a_values, b_values = a.read(scratchpad), b.read(scratchpad)
    result = matmul(
        a_values.T if instruction["a_transposed"] else a_values,
        b_values.T if instruction["b_transposed"] else b_values,
        read_scales(row_scales, scratchpad),
        read_scales(column_scales, scratchpad),
        instruction["fraction"],
        residual.read(scratchpad) if adds else None,
        accumulator_width=config.array.accumulator_width,
    )
    y.write(scratchpad, result)
    return m * n * k
