"""How long the compiler takes for the workloads, and what comes out."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hw.config import AcceleratorConfig
from ..sw.compiler import compile_encoder
from ..sw.decoder_compiler import compile_decoder
from ..sw.fabnet_compiler import compile_blocks
from ..sw.frontend.bert import load
from ..sw.frontend.synthetic_fabnet import synthetic_block
from ..sw.passes.explore import Budget
from ..sw.passes.optimisations import ALL, Optimisations
from ..sw.program import Program
from .decode import decode_model
from .fabnet import LENGTHS as BLOCK_LENGTHS
from .fabnet import SEED as BLOCK_SEED
from .fabnet import WORKLOADS as BLOCKS
from .shapes import SHAPES, shape_model

KIBIBYTE = 1024

MINILM_LENGTHS = (32, 128, 256)
DECODE_LENGTHS = (128, 1024)
BASE_LAYERS = 12
"""Encoder layers of BERT-base and of ViT-base."""

FRESH = Budget(reuse=False)
"""The search of every compilation, from nothing."""


@dataclass(frozen=True)
class CompileCase:
    """A workload in one size.

    Parameters
    ----------
    workload : str
        A name from `WORKLOADS`.
    length : int
        Tokens, or those in the cache of a decoder.
    layers : int
    kind : int
        Which of the blocks of the workload.
    """

    workload: str
    length: int
    layers: int = 1
    kind: int = 0

    @property
    def name(self) -> str:
        """Workload, layers and tokens."""
        name = BLOCKS[self.workload][self.kind].name if self.workload in BLOCKS else self.workload
        layers = f" layers 0-{self.layers - 1}" if self.layers > 1 else ""
        return f"{name}{layers} S={self.length}"


def _cases() -> Iterator[CompileCase]:
    for length in MINILM_LENGTHS:
        yield CompileCase("minilm", length, 6)
    for workload, shape in SHAPES.items():
        for length in shape.lengths:
            yield CompileCase(workload, length)
            yield CompileCase(workload, length, BASE_LAYERS)
    for workload, kinds in BLOCKS.items():
        for kind in range(len(kinds)):
            yield from (CompileCase(workload, length, kind=kind) for length in BLOCK_LENGTHS)
    yield from (CompileCase("decode", length) for length in DECODE_LENGTHS)


CASES = tuple(_cases())

WORKLOADS = tuple(dict.fromkeys(case.workload for case in CASES))


def program_figures(program: Program) -> dict[str, Any]:
    """Return what a compilation gave.

    Returns
    -------
    dict
        ``instructions, candidates, predicted_cycles, program_bytes``, the last without constants;
        where tilings were searched also ``pruned``, those ruled out without a schedule,
        ``search_gain``, the predicted cycles of the fixed rule over those of the choice, and
        ``search_ended_early``.
    """
    names = ("candidates", "predicted_cycles", "pruned", "search_gain", "search_ended_early")
    figures = {name: program.metadata[name] for name in names if name in program.metadata}
    return {
        "instructions": program.instructions,
        **figures,
        "program_bytes": len(program.code),
    }


def measure_compile(case: CompileCase, config: AcceleratorConfig) -> dict[str, Any]:
    """Compile `case` in a process of its own, from a float model in memory to the bytes of a file.

    Returns
    -------
    dict
        ``bench, preset, case, seconds, processor_seconds, peak_memory_bytes`` and those of
        `program_figures`. Seconds include calibration, quantisation and search; memory the model.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, case, config).result()


def _measure(case: CompileCase, config: AcceleratorConfig) -> dict[str, Any]:
    compile_case = compiler(case, config)
    wall, processor = time.perf_counter(), time.process_time()
    program = compile_case(FRESH, ALL)
    size = len(program.to_bytes())
    return {
        "bench": "compile",
        "preset": config.name,
        "case": case.name,
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
        **program_figures(program),
        "file_bytes": size,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE,
    }


def compiler(
    case: CompileCase, config: AcceleratorConfig
) -> Callable[[Budget, Optimisations], Program]:
    """Return what compiles `case` within a budget and with some optimisations."""
    layers: Sequence[int] = range(case.layers)
    if case.workload in SHAPES or case.workload == "minilm":
        model = load(None) if case.workload == "minilm" else shape_model(case.workload, case.layers)
        return lambda budget, optimisations: compile_encoder(
            model, config, case.length, layers, budget=budget, optimisations=optimisations
        )
    if case.workload in BLOCKS:
        kind = BLOCKS[case.workload][case.kind]
        block = synthetic_block(kind.attention, dense=kind.dense, seed=BLOCK_SEED)
        features = len(block.mixing_norm.gain)
        x = np.random.default_rng(BLOCK_SEED).normal(size=(1, case.length, features))
        return lambda budget, optimisations: compile_blocks(
            [block], config, x, budget=budget, optimisations=optimisations
        )
    decoder = decode_model()
    return lambda budget, optimisations: compile_decoder(
        decoder, config, 1, case.length, layers, budget=budget, optimisations=optimisations
    )
