"""Products of activations that the vector unit has compressed: what N:M saves the array.

One program a case: QUANTISE applies GELU and writes all activations, or N of every M as slots, and
one product takes them. Everything is loaded before, and the instructions run one after the other,
so that the counters `vector_busy` and `array_busy` hold the cycles of these two alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import Activation, Flow, Opcode
from ..sw.errors import CompileError
from ..sw.instruction import Value
from ..sw.program import Program
from ..sw.scale import ScaleVector
from ..sw.sparsity.errors import SparsityError
from ..sw.sparsity.kept import Kept, single_term
from ..sw.sparsity.tasd import parse_series
from ..verif.devices.library import MemorySettings
from ..verif.program_builder import Block, Builder
from .execute import Execution, run_golden, run_rtl
from .measure import mismatches

TOKENS, OUTPUTS, INPUTS = 128, 384, 384
"""A block of the second feed-forward product of all-MiniLM-L6-v2."""

SERIES = ("1:8", "1:4", "2:8", "2:4", "4:8", "4:16", "8:16", "4:8+1:8", "12:16")

X_FRACTION = 11
FRACTION = 12
SEED = 1


@dataclass(frozen=True)
class ActivationCase:
    """A product of `tokens` rows of `inputs` activations with `outputs` rows of weights."""

    tokens: int = TOKENS
    outputs: int = OUTPUTS
    inputs: int = INPUTS

    @property
    def text(self) -> str:
        """The sizes."""
        return f"{self.tokens}x{self.outputs}x{self.inputs}"


def activation_program(
    case: ActivationCase, kept: Kept | None, config: AcceleratorConfig
) -> tuple[Program, Mapping[str, NDArray]]:
    """Return a program that activates, quantises and multiplies, and its inputs.

    Parameters
    ----------
    case : ActivationCase
    kept : Kept, optional
        What QUANTISE keeps; all, for a dense product, if left out.
    config : AcceleratorConfig

    Returns
    -------
    Program
        Output ``y``, int16 [tokens, outputs].
    dict
        Its inputs: normal numbers with a deviation of 1, in 11 fraction bits, and weights.

    Raises
    ------
    CompileError
        If the case does not fit the scratchpad.
    """
    generator = np.random.default_rng(SEED)
    x = np.rint(generator.normal(0, 1 << X_FRACTION, (case.tokens, case.inputs)))
    weights = generator.integers(-127, 128, (case.outputs, case.inputs), dtype=np.int8)
    column_scales = np.full(case.outputs, 1 / (127 * np.sqrt(case.inputs)))
    builder = Builder(config)
    x_block = builder.load("x", np.clip(x, -(1 << 15), (1 << 15) - 1).astype(np.int16))
    w_block = builder.load("weights", weights)
    w_scales = builder.load_scales("scales", ScaleVector.from_float(column_scales))
    scales = builder.block(case.tokens, 1, "uint64", pitch=1)
    y = builder.block(case.tokens, case.outputs, "int16")
    if kept is None:
        values = builder.block(case.tokens, case.inputs, "int8")
    else:
        values = builder.block(1, kept.words(case.tokens, case.inputs), "uint64")
    if builder.scratchpad_words > config.scratchpad_words:
        raise CompileError(
            f"{case.text}: takes {builder.scratchpad_words} words of scratchpad; the limit is "
            f"{config.scratchpad_words}"
        )
    builder.emit(
        Opcode.QUANTISE,
        activation=Activation.GELU,
        x_fraction=X_FRACTION,
        rows=case.tokens,
        columns=case.inputs,
        x_address=x_block.address,
        x_pitch=x_block.pitch,
        y_address=values.address,
        y_pitch=0 if kept else values.pitch,
        scale_address=scales.address,
        keep=kept.term.n if kept else 0,
        log_group=kept.log_group if kept else 0,
    )
    operands = _Operands(values, scales, w_block, w_scales)
    shape = {"k": case.inputs, "fraction": FRACTION, "y_address": y.address, "y_pitch": y.pitch}
    builder.emit(Opcode.MATMUL, **shape, **operands.fields(kept, case))
    builder.store("y", y)
    return builder.program(), builder.inputs


@dataclass(frozen=True)
class _Operands:
    """Activations and weights of a product, with their scales."""

    values: Block
    scales: Block
    weights: Block
    weight_scales: Block

    def fields(self, kept: Kept | None, case: ActivationCase) -> dict[str, Value]:
        """Return the fields of the product: dense, or with swapped operands on csOS."""
        if kept is None:
            return {
                "m": case.tokens,
                "n": case.outputs,
                "a_address": self.values.address,
                "a_pitch": self.values.pitch,
                "b_address": self.weights.address,
                "b_pitch": self.weights.pitch,
                "row_scale_address": self.scales.address,
                "column_scale_address": self.weight_scales.address,
            }
        return {
            "flow": Flow.COLUMN_SPARSE_OUTPUT_STATIONARY,
            "y_transposed": 1,
            "m": case.outputs,
            "n": case.tokens,
            "a_address": self.weights.address,
            "a_pitch": self.weights.pitch,
            "b_address": self.values.address,
            "compressed_words": self.values.columns,
            "row_scale_address": self.weight_scales.address,
            "column_scale_address": self.scales.address,
        }


class ActivationBench:
    """Measures one case with any series, next to the dense product.

    Parameters
    ----------
    config : AcceleratorConfig
    library : Path
        From `execute.build_library`.
    case : ActivationCase

    Raises
    ------
    CompileError
        If the case does not fit the scratchpad.
    """

    def __init__(
        self, config: AcceleratorConfig, library: Path, case: ActivationCase = ActivationCase()
    ) -> None:
        self.config, self.library, self.case = config, library, case
        self._dense = self._run(None)

    def _run(self, kept: Kept | None) -> tuple[Execution, int]:
        """Return what the Verilog gives, and how many results differ from the golden model's."""
        program, inputs = activation_program(self.case, kept, self.config)
        rtl = run_rtl(program, inputs, MemorySettings(), self.library)
        return rtl, mismatches(rtl.outputs, run_golden(program, inputs).outputs)[0]

    def measure(self, text: str) -> dict[str, Any]:
        """Return the record of a series such as ``4:8``.

        Returns
        -------
        dict
            ``bench, preset, case, series, slots, cycles, ideal_cycles, utilization, dense_cycles,
            speedup, ideal_speedup, vector_cycles, dense_vector_cycles, words, dense_words,
            relative_error, mismatches``. Cycles are those of the product, `words` those of the
            activations, and the error is that of the results against the dense ones.

        Raises
        ------
        CompileError
            If the machine cannot keep that.
        """
        case, array = self.case, self.config.array
        try:
            kept = Kept(single_term(parse_series(text)), self.config)
            kept.check(case.inputs)
        except SparsityError as error:
            raise CompileError(str(error)) from None
        rtl, different = self._run(kept)
        dense, dense_different = self._dense
        tiles = -(-case.outputs // array.rows) * -(-case.tokens // array.columns)
        ideal = tiles * kept.slots(case.inputs)
        cycles, dense_cycles = (run.counters["array_busy"] for run in (rtl, dense))
        exact = dense.outputs["y"].astype(np.float64)
        distance = np.linalg.norm(rtl.outputs["y"] - exact) / np.linalg.norm(exact)
        return {
            "bench": "activations",
            "preset": self.config.name,
            "case": case.text,
            "series": text,
            "slots": kept.slots(case.inputs),
            "cycles": cycles,
            "ideal_cycles": ideal,
            "utilization": round(ideal / cycles, 4),
            "dense_cycles": dense_cycles,
            "speedup": round(dense_cycles / cycles, 4),
            "ideal_speedup": round(kept.term.m / kept.term.n, 4),
            "vector_cycles": rtl.counters["vector_busy"],
            "dense_vector_cycles": dense.counters["vector_busy"],
            "words": kept.words(case.tokens, case.inputs),
            "dense_words": case.tokens * -(-case.inputs // 8),
            "relative_error": round(float(distance), 4),
            "mismatches": different + dense_different,
        }
