"""Model of the check of MATMUL's operands: where they lie, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ...hw.config import AcceleratorConfig
from ...hw.isa import (
    COMPRESSED_A_FLOWS,
    COMPRESSED_B_FLOWS,
    SPARSE_OUTPUT_FLOWS,
    STATIONARY_FLOWS,
    ErrorCode,
    Flow,
)
from ...sw.instruction import Instruction
from .fault import Fault
from .operands import Matrix, check_all, scales
from .scratchpad import Scratchpad


class Places(NamedTuple):
    """Where the matrices of a product lie, in the order in which they are checked.

    A compressed operand is one row of words. `y` and `residual` are as they are stored. `low` is
    the lower plane of a wide A, of which `a` is the upper one; its last word is that of both.
    """

    a: Matrix
    low: Matrix | None
    b: Matrix
    row_scales: Matrix
    column_scales: Matrix
    y: Matrix
    residual: Matrix | None


def is_compressed(flow: Flow, name: str) -> bool:
    """Tell whether operand `name`, a or b, is compressed."""
    return flow in (COMPRESSED_A_FLOWS if name == "a" else COMPRESSED_B_FLOWS)


def check_matmul(instruction: Instruction, scratchpad: Scratchpad) -> Places:
    """Check everything that can be known before anything is read.

    Raises
    ------
    Fault
        `ILLEGAL_OPERAND` with address 0, then `SCRATCHPAD_RANGE` with the last word of the first
        of A (of its lower plane, if it has one), B, row scales, column scales, Y and residual that
        is outside.
    """
    if _is_illegal(instruction, scratchpad.config):
        raise Fault(ErrorCode.ILLEGAL_OPERAND, 0)
    m, n = instruction["m"], instruction["n"]
    shape = (n, m) if instruction["y_transposed"] else (m, n)
    a = _operand(instruction, "a", m)
    low = replace(a, address=a.address + instruction["plane_words"])
    places = Places(
        a,
        low if instruction["wide"] else None,
        _operand(instruction, "b", n),
        scales(m, instruction["row_scale_address"]),
        scales(n, instruction["column_scale_address"]),
        _result(instruction, "y", *shape),
        _result(instruction, "residual", *shape) if instruction["residual_enable"] else None,
    )
    checked = (places.low or a, *places[2:])
    check_all((place for place in checked if place), scratchpad)
    return places


def _is_illegal(instruction: Instruction, config: AcceleratorConfig) -> bool:
    array, flow = config.array, instruction["flow"]
    m, n, k = (instruction[name] for name in "mnk")
    dense = [name for name in "ab" if not is_compressed(flow, name)]
    skewed = [f"{name}_pitch" for name in dense]
    if instruction["y_transposed"]:
        skewed += ["y_pitch", *(["residual_pitch"] if instruction["residual_enable"] else [])]
    # No partial sums have room for any row: this leaves the stationary flows out.
    too_long = (flow in STATIONARY_FLOWS and m > array.partial_rows) or (
        flow in SPARSE_OUTPUT_FLOWS and k > array.block * array.panel_blocks
    )
    cannot_decode = len(dense) < 2 and (array.block == 1 or not instruction["compressed_words"])
    is_dense_output = flow == Flow.DENSE_OUTPUT_STATIONARY and not instruction["a_transposed"]
    illegally_wide = instruction["wide"] and not (array.wide_rows and is_dense_output)
    gathers_columns = flow == Flow.SPARSE_WEIGHT_STATIONARY and instruction["a_transposed"]
    return bool(
        0 in (m, n, k)
        or any(instruction[pitch] % config.lanes != 1 for pitch in skewed)
        or too_long
        or cannot_decode
        or gathers_columns
        or illegally_wide
    )


def _operand(instruction: Instruction, name: str, length: int) -> Matrix:
    """Return the place of operand `name`, which has `length` rows of K."""
    address, pitch = instruction[f"{name}_address"], instruction[f"{name}_pitch"]
    if is_compressed(instruction["flow"], name):
        return Matrix(1, instruction["compressed_words"], "uint64", address, 0)
    shape = (length, instruction["k"])
    rows, columns = reversed(shape) if instruction[f"{name}_transposed"] else shape
    return Matrix(rows, columns, "int8", address, pitch)


def _result(instruction: Instruction, name: str, rows: int, columns: int) -> Matrix:
    address, pitch = instruction[f"{name}_address"], instruction[f"{name}_pitch"]
    return Matrix(rows, columns, "int16", address, pitch)
