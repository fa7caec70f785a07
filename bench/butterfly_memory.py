"""Butterfly operators from DRAM and back, beside the roofline of their machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..hw.butterfly_unit import MULTIPLIERS
from ..hw.config import AcceleratorConfig
from ..sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ..sw.butterfly.twiddle import Twiddle
from ..sw.butterfly_compiler import compile_butterfly
from ..sw.butterfly_operators import Fourier, Mixing
from ..sw.program import Program
from ..verif.devices.library import MemorySettings
from .execute import run_golden, run_rtl
from .measure import mismatches

MEMORY_MODES = ("bpmm", "fft", "mixing")
SEED = 1
FRACTIONS = 14, 12
LATENCY = 64
"""Cycles from a request to memory to its first data."""


def rotation_layer(features: int, seed: int = SEED) -> ButterflyLinear:
    """Return a butterfly layer of random rotations, `features` to `features`."""
    angles = np.random.default_rng(seed).uniform(
        0, 2 * np.pi, twiddle_shape(features, features)[:-2]
    )
    cosine, sine = np.cos(angles), np.sin(angles)
    rows = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return ButterflyLinear(Twiddle(rows), features, features)


def program_of(mode: str, tokens: int, features: int, config: AcceleratorConfig) -> Program:
    """Return a program on an int16 matrix [tokens, features] in DRAM.

    Parameters
    ----------
    mode : str
        ``bpmm``, a butterfly product of the features; ``fft``, their Fourier transform, real and
        imaginary parts; ``mixing``, x plus the real part of its transform along both axes.
    tokens, features : int
    config : AcceleratorConfig

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    if mode == "bpmm":
        return compile_butterfly(rotation_layer(features), config, tokens, FRACTIONS)
    # Full-scale input: the spectrum has up to log2 more bits.
    spectrum = 12 - (features - 1).bit_length()
    if mode == "mixing":
        scale = (tokens * features).bit_length() // 2
        return compile_butterfly(Mixing(features, scale, spectrum), config, tokens, (12, 12))
    return compile_butterfly(Fourier(features), config, tokens, (12, spectrum))


def coefficient_bytes(mode: str, features: int) -> int:
    """Return the bytes of all coefficients, each once: eight for a pair of a factor."""
    return 8 * features // 2 * (features.bit_length() - 1) if mode == "bpmm" else 0


def roofline(program: Program, constants: int, counters: dict[str, int]) -> dict[str, int]:
    """Return the least cycles by each resource of the machine.

    Parameters
    ----------
    program : Program
    constants : int
        Bytes that must be read besides the input.
    counters : dict
        Of a run.

    Returns
    -------
    dict
        ``read_cycles`` and ``write_cycles``, the bytes that must cross the two data channels of
        the memory port, a beat a cycle; ``multiply_cycles``, the butterfly multiplications over
        the multipliers.
    """
    config = program.config
    multipliers = MULTIPLIERS * config.butterfly.lanes * config.butterfly.stages
    tensors = [
        sum(t.rows * t.row_bytes for t in group) for group in (program.inputs, program.outputs)
    ]
    return {
        "read_cycles": -(-(tensors[0] + constants) // config.axi_bytes),
        "write_cycles": -(-tensors[1] // config.axi_bytes),
        "multiply_cycles": -(-counters["butterfly_multiplies"] // multipliers),
    }


def measure_memory(
    mode: str, tokens: int, features: int, config: AcceleratorConfig, library: Path
) -> dict[str, Any]:
    """Run an operator from DRAM to DRAM on the simulated Verilog and return its record.

    Returns
    -------
    dict
        ``bench, preset, case, mode, n, tokens, cycles, ideal_cycles, utilization,
        predicted_cycles, read_cycles, write_cycles, multiply_cycles, bytes_moved, mismatches``;
        `ideal_cycles` is the largest of the three of `roofline`, `cycles` are all cycles.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    program = program_of(mode, tokens, features, config)
    values = np.random.default_rng(SEED).integers(-(1 << 15), 1 << 15, (tokens, features))
    inputs = {"input": values.astype(np.int16)}
    found = run_rtl(program, inputs, MemorySettings(latency=LATENCY), library)
    wrong, _ = mismatches(run_golden(program, inputs).outputs, found.outputs)
    counters = dict(found.counters)
    bounds = roofline(program, coefficient_bytes(mode, features), counters)
    ideal = max(bounds.values())
    return {
        "bench": "butterfly",
        "preset": config.name,
        "case": f"{mode} {tokens} x {features} from DRAM and back",
        "mode": mode,
        "n": features,
        "tokens": tokens,
        "cycles": counters["cycles"],
        "ideal_cycles": ideal,
        "utilization": round(ideal / counters["cycles"], 4),
        "predicted_cycles": program.metadata["predicted_cycles"],
        **bounds,
        "bytes_moved": counters["dram_read_bytes"] + counters["dram_written_bytes"],
        "mismatches": wrong,
    }
