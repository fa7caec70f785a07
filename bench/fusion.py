"""What fusion, overlap and search gain: each workload compiled with ever more of them.

The first form is what an unfused heuristic does: each operator reads its operands from DRAM and
writes its result there, tiles follow a fixed rule, and no two units work at a time. The comparison
follows POWERFUSION (Ma et al., arXiv 2307.04995), which reports 2.31 times on average over unfused
programs on its scratchpad machine.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np

from ..hw.config import AcceleratorConfig
from ..sw.errors import CompileError
from ..sw.passes.explore import Budget
from ..sw.passes.optimisations import Optimisations
from ..sw.program import Program
from ..verif.devices.library import MemorySettings
from .compile import CASES, CompileCase, compiler
from .execute import run_golden, run_rtl
from .measure import mismatches

FIXED = Budget(candidates=1)
"""The fixed rule alone."""

SEED = 1

AMPLITUDE = 2048
"""Of random inputs: the largest absolute value."""

MEMORY = MemorySettings(latency=64)
"""What the cost model counts with."""


@dataclass(frozen=True)
class Form:
    """One way to compile.

    Parameters
    ----------
    name : str
    optimisations : Optimisations
    budget : Budget
    """

    name: str
    optimisations: Optimisations
    budget: Budget


FORMS = (
    Form("unfused", Optimisations(fuse=False, overlap=False), FIXED),
    Form("fused", Optimisations(overlap=False), FIXED),
    Form("overlapped", Optimisations(), FIXED),
    Form("searched", Optimisations(), Budget()),
)

FUSION_CASES = tuple(case for case in CASES if case.layers == 1) + tuple(
    CompileCase("minilm", length) for length in (32, 128, 256)
)


class FusionMismatch(Exception):
    """The Verilog and the golden model differ; the message names case and form."""


def measure_fusion(
    case: CompileCase, config: AcceleratorConfig, library: Path | None
) -> dict[str, Any]:
    """Compile `case` in every form of `FORMS`.

    Parameters
    ----------
    case : CompileCase
    config : AcceleratorConfig
    library : Path, optional
        The simulator; without it, and for decoders, whose caches hold no random bytes, cycles are
        those of the cost model.

    Returns
    -------
    dict
        ``bench, study, preset, case, source``: ``rtl`` or ``predicted``; for each form
        ``FORM_cycles`` and ``FORM_bytes``, the DRAM traffic, None where it cannot be compiled; and
        ``speedup``, the cycles of the first form over those of the last.

    Raises
    ------
    CompileError
        If the last form cannot be compiled.
    FusionMismatch
        If a form computes something else than the golden model.
    """
    compile_case = compiler(case, config)
    on_rtl = library is not None and case.workload != "decode"
    record: dict[str, Any] = {
        "bench": "compile",
        "study": "fusion",
        "preset": config.name,
        "case": case.name,
        "source": "rtl" if on_rtl else "predicted",
    }
    programs: dict[str, Program] = {}
    for form in FORMS:
        try:
            programs[form.name] = compile_case(form.budget, form.optimisations)
        except CompileError:
            if form is FORMS[-1]:
                raise
            record |= {f"{form.name}_cycles": None, f"{form.name}_bytes": None}
    cycles = {name: item.metadata["predicted_cycles"] for name, item in programs.items()}
    if on_rtl:
        cycles = _measured_cycles(programs, library, case.name)
    for name, program in programs.items():
        moved = sum(item["moved"] for item in program.metadata["traffic"])
        record |= {f"{name}_cycles": cycles[name], f"{name}_bytes": moved}
    first, last = (record[f"{form.name}_cycles"] for form in (FORMS[0], FORMS[-1]))
    return record | {"speedup": round(first / last, 2) if first else None}


def _measured_cycles(
    programs: Mapping[str, Program], library: Path | None, case: str
) -> dict[str, int]:
    """Return the cycles of the program of each form, simulated side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            name: pool.submit(_simulated_cycles, program, library, f"{case}, {name}")
            for name, program in programs.items()
        }
        return {name: run.result() for name, run in runs.items()}


def _simulated_cycles(program: Program, library: Path | None, name: str) -> int:
    generator = np.random.default_rng(SEED)
    inputs = {
        tensor.name: generator.integers(-AMPLITUDE, AMPLITUDE, tensor.shape).astype(tensor.dtype)
        for tensor in program.inputs
    }
    golden, rtl = run_golden(program, inputs), run_rtl(program, inputs, MEMORY, library)
    if mismatches(golden.outputs, rtl.outputs)[0]:
        raise FusionMismatch(f"{name}: the Verilog differs from the golden model")
    return rtl.counters["cycles"]


def mean_speedups(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield the name of each form but the last, and the geometric mean of its cycles over those
    of the last form."""
    last = f"{FORMS[-1].name}_cycles"
    for form in FORMS[:-1]:
        pairs = [(record[f"{form.name}_cycles"], record[last]) for record in records]
        ratios = [first / second for first, second in pairs if first]
        if ratios:
            yield form.name, geometric_mean(ratios)
