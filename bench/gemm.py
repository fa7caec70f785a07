"""Dense products with resident operands: how well each flow uses the array.

Everything is loaded before the first product, and one semaphore starts all products of a case, so
that the hardware's counter `array_busy` holds their cycles and nothing else: from the moment the
array takes the first instruction until the last result is in the scratchpad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import WORD_BYTES, AcceleratorConfig
from ..hw.isa import Opcode
from ..sw.gemm.flows import DENSE_FLOWS, INPUT_STATIONARY, INSTRUCTION_FLOW, is_stationary
from ..sw.gir import scratchpad_pitch
from ..sw.instruction import Instruction
from ..sw.program import Program
from ..sw.scale import ScaleVector
from ..sw.sparsity.dataflow import Dataflow
from ..verif.devices.library import MemorySettings
from ..verif.program_builder import Block, Builder
from .execute import run_golden, run_rtl
from .measure import mismatches
from .scale_sim import Shape, folds


@dataclass(frozen=True)
class GemmCase:
    """`count` products ``[m, k]`` by ``[n, k]``.

    Parameters
    ----------
    name : str
    m, n, k : int
    count : int
        Products of this shape, one after the other, each with its own columns of the operands.
    """

    name: str
    m: int
    n: int
    k: int
    count: int = 1

    @property
    def shape(self) -> Shape:
        """m, n and k."""
        return self.m, self.n, self.k

    @property
    def text(self) -> str:
        """Name and sizes."""
        times = f"{self.count} x " if self.count > 1 else ""
        return f"{self.name} {times}{self.m}x{self.n}x{self.k}"


CASES = (
    GemmCase("minilm QKV", 128, 384, 384),
    GemmCase("minilm FFN 1", 128, 1536, 384),
    GemmCase("minilm FFN 2", 128, 384, 1536),
    GemmCase("QK^T", 128, 128, 32, 12),
    GemmCase("PV", 128, 32, 128, 12),
    GemmCase("ITA QKV", 64, 64, 128),
    GemmCase("ITA QK^T", 64, 64, 64),
    GemmCase("odd", 67, 131, 257),
    GemmCase("one tile", 16, 16, 16),
)
"""What is measured unless all cases are asked for."""

LARGE_CASES = (
    GemmCase("bert-base QKV", 128, 768, 768),
    GemmCase("bert-base FFN 1", 128, 3072, 768),
    GemmCase("bert-base FFN 2", 128, 768, 3072),
)
"""Millions of cycles each."""

FRACTION = -6
"""Keeps random results in int16."""


@dataclass(frozen=True)
class _Operand:
    """One operand of a case: `count` matrices side by side, cut in parts of at most `limit` rows.

    Parts that do not fit together share the place of the first: what the array does in a dense
    flow does not depend on the numbers.
    """

    rows: int
    limit: int
    k: int
    count: int

    @property
    def parts(self) -> list[int]:
        """Rows of each part."""
        starts = range(0, self.rows, self.limit)
        return [min(self.limit, self.rows - start) for start in starts]


def resident_program(
    case: GemmCase, flow: Dataflow, config: AcceleratorConfig, seed: int = 1
) -> tuple[Program, Mapping[str, NDArray]]:
    """Return a program that loads random operands, runs all products, and stores the last result.

    Parameters
    ----------
    case : GemmCase
    flow : Dataflow
        A dense one.
    config : AcceleratorConfig
    seed : int
        Of the operands.
    """
    generator = np.random.default_rng(seed)
    a, b = _operands(case, flow, config)
    turned = flow in INPUT_STATIONARY
    builder = Builder(config)
    blocks = [
        builder.load(name, _random(generator, operand)) for name, operand in (("a", a), ("b", b))
    ]
    ones = ScaleVector.from_float(np.ones(max(a.limit, b.limit)))
    scales = builder.load_scales("scales", ones)
    y = (
        builder.block(b.limit, a.limit, "int16")
        if turned
        else builder.block(a.limit, b.limit, "int16")
    )
    instructions = [
        _matmul(case, flow, (rows, columns), number, blocks, scales, y)
        for number in range(case.count)
        for columns in b.parts
        for rows in a.parts
    ]
    builder.emit(Opcode.MATMUL, **instructions[0].values)
    builder.code += instructions[1:]
    builder.store("y", y)
    return builder.program(), builder.inputs


def _operands(
    case: GemmCase, flow: Dataflow, config: AcceleratorConfig
) -> tuple[_Operand, _Operand]:
    """Return operands A and B, cut until everything fits the scratchpad."""
    sizes = (case.n, case.m) if flow in INPUT_STATIONARY else (case.m, case.n)
    a_limit, b_limit = sizes
    if is_stationary(flow):
        a_limit = min(a_limit, config.array.partial_rows)
    while _words(case, a_limit, b_limit, config) > config.scratchpad_words:
        if a_limit >= b_limit:
            a_limit = _half(a_limit, config.array.rows)
        else:
            b_limit = _half(b_limit, config.array.columns)
    return (
        _Operand(sizes[0], a_limit, case.k, case.count),
        _Operand(sizes[1], b_limit, case.k, case.count),
    )


def _half(rows: int, side: int) -> int:
    tiles = -(-rows // side)
    if tiles == 1:
        raise ValueError(f"a product of {side} rows does not fit the scratchpad")
    return -(-tiles // 2) * side


def _words(case: GemmCase, a: int, b: int, config: AcceleratorConfig) -> int:
    lanes = config.lanes
    operand = scratchpad_pitch(case.k * case.count, "int8", lanes)
    result = max(a * scratchpad_pitch(b, "int16", lanes), b * scratchpad_pitch(a, "int16", lanes))
    return (a + b) * operand + result + max(a, b)


def _random(generator: np.random.Generator, operand: _Operand) -> NDArray[np.int8]:
    shape = operand.limit, operand.k * operand.count
    return generator.integers(-127, 128, shape, dtype=np.int8)


def _matmul(
    case: GemmCase,
    flow: Dataflow,
    sizes: tuple[int, int],
    number: int,
    operands: Sequence[Block],
    scales: Block,
    y: Block,
) -> Instruction:
    a, b = operands
    column = number * case.k // WORD_BYTES
    return Instruction(
        Opcode.MATMUL,
        {
            "flow": INSTRUCTION_FLOW[flow],
            "m": sizes[0],
            "n": sizes[1],
            "k": case.k,
            "fraction": FRACTION,
            "y_transposed": int(flow in INPUT_STATIONARY),
            "a_address": a.address + column,
            "a_pitch": a.pitch,
            "b_address": b.address + column,
            "b_pitch": b.pitch,
            "row_scale_address": scales.address,
            "column_scale_address": scales.address,
            "y_address": y.address,
            "y_pitch": y.pitch,
        },
    )


def measure_gemm(
    case: GemmCase,
    flow: Dataflow,
    config: AcceleratorConfig,
    library: Path,
    reference: tuple[int, str],
) -> dict[str, Any]:
    """Return the record of one case on one flow.

    Parameters
    ----------
    case : GemmCase
    flow : Dataflow
    config : AcceleratorConfig
    library : Path
        From `execute.build_library`.
    reference : tuple of int, str
        Cycles of one product on the reference, and its name.

    Returns
    -------
    dict
        ``bench, preset, case, flow, cycles, ideal_cycles, utilization, folds, reference,
        reference_cycles, speedup, mismatches``. `folds` is how often the reference fills its array
        in one product; `mismatches` counts elements that differ from the golden model's.
    """
    program, inputs = resident_program(case, flow, config)
    rtl = run_rtl(program, inputs, MemorySettings(), library)
    different, _ = mismatches(rtl.outputs, run_golden(program, inputs).outputs)
    cycles = rtl.counters["array_busy"]
    elements = config.array.rows * config.array.columns
    ideal = -(-case.m * case.n * case.k * case.count // elements)
    reference_cycles = case.count * reference[0]
    return {
        "bench": "gemm",
        "preset": config.name,
        "case": case.text,
        "flow": flow.value,
        "cycles": cycles,
        "ideal_cycles": ideal,
        "utilization": round(ideal / cycles, 4),
        "folds": folds(flow, case.shape, config.array),
        "reference": reference[1],
        "reference_cycles": reference_cycles,
        "speedup": round(reference_cycles / cycles, 4),
        "mismatches": different,
    }


FLOWS = DENSE_FLOWS
"""The flows that are measured."""
