"""What the passes of butterfly instructions must move, beside what the hardware counted.

A program transforms a matrix along its tokens and then multiplies it along its features. Were
anything transposed in between, the scratchpad would be read and written more often than the passes
ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.butterfly_order import plan_passes
from ..hw.config import AcceleratorConfig
from ..hw.isa import Axis, ButterflyMode, Opcode
from ..sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ..sw.butterfly.twiddle import Twiddle
from ..sw.fabnet_compiler import describe_fabnet, run_butterfly_passes
from ..sw.gir import Graph
from ..sw.instruction import Instruction, decode_all
from ..sw.package import package
from ..sw.passes.build import load, part, store
from ..sw.passes.butterfly_layers import ButterflyLowering, log_points
from ..sw.passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from ..sw.program import Program
from ..verif.devices.library import MemorySettings
from .execute import run_golden, run_rtl
from .measure import mismatches

SEED = 1
FRACTION = 12
WORD_NUMBERS = 4


@dataclass(frozen=True)
class Traffic:
    """Scratchpad accesses of the butterfly unit.

    Parameters
    ----------
    data_lines, coefficient_lines : int
        Lines that are read.
    written_words : int
    """

    data_lines: int = 0
    coefficient_lines: int = 0
    written_words: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.data_lines + other.data_lines,
            self.coefficient_lines + other.coefficient_lines,
            self.written_words + other.written_words,
        )


def needed_traffic(instruction: Instruction, config: AcceleratorConfig) -> Traffic:
    """Return what the passes of a BUTTERFLY read and write: every number once a pass.

    Not for vectors that are padded or trimmed or shorter than a group of words (16 points on the
    axis HIDDEN), and results with exponents of their own.
    """
    tokens = instruction["axis"] == Axis.TOKENS
    is_real = instruction["mode"] == ButterflyMode.REAL
    points = instruction["blocks"] << instruction["log_points"]
    words = points if tokens else points // WORD_NUMBERS
    columns = -(-instruction["vectors"] // (WORD_NUMBERS if tokens else 1))
    turns = -(-columns // config.butterfly.lanes)
    passes = plan_passes(
        config.butterfly.stages,
        instruction["log_points"],
        instruction["log_stride"],
        instruction["stages"],
        decreasing=bool(instruction["decreasing"]),
        tokens=tokens,
        bit_reversed=bool(instruction["bit_reversed"]),
    )
    lines = coefficients = written = 0
    for number, each in enumerate(passes):
        is_first, is_last = number == 0, number == len(passes) - 1
        planes_in = 1 if is_real or (is_first and instruction["x_real"]) else 2
        planes_out = 1 if is_real or (is_last and instruction["y_real"]) else 2
        lines += turns * words * planes_in
        if is_last and instruction["accumulate"]:
            lines += turns * words * planes_out
        written += columns * words * planes_out
        if is_real:
            beats = each.groups(words) * each.beats
            coefficients += turns * -(-beats // config.lanes) * len(each.bits)
    return Traffic(lines, coefficients, written)


def mixed_program(tokens: int, features: int, config: AcceleratorConfig) -> Program:
    """Return a program of a transform over the tokens, then a butterfly product of the features.

    Raises
    ------
    CompileError
        If the matrices do not fit the scratchpad.
    """
    random = np.random.default_rng(SEED)
    angles = random.uniform(0, 2 * np.pi, twiddle_shape(features, features)[:-2])
    rows = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], -1)
    twiddle = Twiddle(rows.reshape(*angles.shape, 2, 2))
    memory = Memory(config)
    lowering = ButterflyLowering(memory)
    source = memory.dram("input", "int16", tokens, features, INPUT_WINDOW)
    target = memory.dram("output", "int16", tokens, features, OUTPUT_WINDOW)
    x, y, z = (lowering.matrix(name, tokens, features, FRACTION) for name in ("x", "y", "z"))
    points = log_points(tokens)
    body = [
        load(part(source), x.whole(), "input"),
        *lowering.with_loads(
            [
                lowering.fourier("mixing", x, y, points, axis=Axis.TOKENS, exponent=-points),
                *lowering.linear("linear", ButterflyLinear(twiddle, features, features), y, z),
            ]
        ),
        store(z.whole(), part(target), "output"),
    ]
    graph = run_butterfly_passes(Graph("mixed", tuple(memory.buffers), tuple(body)), config)
    metadata = describe_fabnet(graph, config)
    return package(graph, lowering.constants, (FRACTION, FRACTION), metadata, config)


def measure_traffic(
    tokens: int, features: int, config: AcceleratorConfig, library: Path
) -> dict[str, Any]:
    """Run `mixed_program` on the simulated Verilog and return its record.

    Returns
    -------
    dict
        ``bench, preset, case, cycles, read_lines, needed_lines, coefficient_lines, written_words,
        needed_words, extra_bytes, mismatches``; `needed_lines` includes `coefficient_lines`, and
        `extra_bytes` is what was read and written beyond what the passes need: bytes that a
        transposition would take.

    Raises
    ------
    CompileError
        If the matrices do not fit the scratchpad.
    """
    program = mixed_program(tokens, features, config)
    x = np.random.default_rng(SEED).integers(-(1 << 15), 1 << 15, (tokens, features))
    inputs = {"input": x.astype(np.int16)}
    found = run_rtl(program, inputs, MemorySettings(), library)
    wrong, _ = mismatches(run_golden(program, inputs).outputs, found.outputs)
    needed = Traffic()
    for instruction in decode_all(program.code):
        if instruction.opcode is Opcode.BUTTERFLY:
            needed += needed_traffic(instruction, config)
    needed_lines = needed.data_lines + needed.coefficient_lines
    read, written = (
        found.counters[f"butterfly_{name}"] for name in ("read_lines", "written_words")
    )
    extra_words = (read - needed_lines) * config.lanes + written - needed.written_words
    return {
        "bench": "butterfly",
        "preset": config.name,
        "case": f"fft {tokens} tokens, bpmm {features} features",
        "cycles": found.counters["butterfly_busy"],
        "read_lines": read,
        "needed_lines": needed_lines,
        "coefficient_lines": needed.coefficient_lines,
        "written_words": written,
        "needed_words": needed.written_words,
        "extra_bytes": 8 * extra_words,
        "mismatches": wrong,
    }
