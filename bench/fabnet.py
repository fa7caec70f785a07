"""The workloads `fnet` and `fabnet-base`: blocks in the sizes of the papers, random weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.config import AcceleratorConfig
from ..sw.fabnet_compiler import compile_blocks
from ..sw.fabnet_reference import run_block
from ..sw.frontend.fabnet import EPSILON
from ..sw.frontend.synthetic_fabnet import synthetic_block
from ..verif.devices.library import MemorySettings
from .execute import run_golden, run_rtl
from .measure import measure
from .record import Case

LENGTHS = (128,)
"""Tokens, unless the user has others in mind; powers of two."""

SEED = 1


@dataclass(frozen=True)
class BlockKind:
    """One kind of block.

    Parameters
    ----------
    name : str
    attention, dense : bool
        As `synthetic_block` takes them.
    """

    name: str
    attention: bool
    dense: bool


WORKLOADS = {
    "fnet": (BlockKind("fnet", False, True),),
    "fabnet-base": (
        BlockKind("fabnet-base FBfly", False, False),
        BlockKind("fabnet-base ABfly", True, False),
    ),
}
"""The kinds of block of each workload."""


def measure_block(
    kind: BlockKind,
    length: int,
    config: AcceleratorConfig,
    settings: MemorySettings,
    library: Path,
) -> tuple[dict[str, Any], Case]:
    """Run one block on `length` tokens on both devices.

    Returns
    -------
    dict
        The keys of `bench.attention.measure_job`, and ``butterfly_busy``. `ideal_cycles` are
        those of the busier of array and butterfly unit if it never rested.
    Case
        Everything else that is known of the run.

    Raises
    ------
    CompileError
        If the machine cannot run the block.
    """
    block = synthetic_block(kind.attention, dense=kind.dense, seed=SEED)
    x = np.random.default_rng(SEED).normal(size=(1, length, len(block.mixing_norm.gain)))
    program = compile_blocks([block], config, x)
    inputs = {"input": program.inputs[0].from_float(x[0])}
    golden = run_golden(program, inputs)
    rtl = run_rtl(program, inputs, settings, library)
    reference = run_block(block, x, EPSILON)["output"][0]
    name = f"{kind.name} S={length}"
    case = measure(name, program, rtl, golden=golden, reference=reference)
    record = {
        "bench": "attention",
        "preset": config.name,
        "case": name,
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "utilization": round(case.utilization, 4),
        "roofline_cycles": case.roofline_cycles,
        "array_busy": round(case.busy["array"] / case.cycles, 4),
        "butterfly_busy": round(case.busy["butterfly"] / case.cycles, 4),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "compulsory_bytes": case.compulsory_bytes,
        "predicted_cycles": case.predicted_cycles,
        "cosine": round(case.mean_cosine or 0.0, 6),
        "mismatches": case.mismatches,
    }
    return record, case
