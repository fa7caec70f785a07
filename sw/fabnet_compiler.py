"""The compiler of FABNet classifiers: a float model to a program."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode
from .compiler import PASSES
from .cost import cycles, predict
from .errors import CompileError
from .fabnet_quantise import quantise_fabnet
from .frontend.fabnet import Fabnet
from .gir import WORD, Graph, Level
from .gir_text import to_text
from .gir_verify import verify
from .package import package
from .passes.allocate import allocate
from .passes.expand import expand
from .passes.fabnet import NUMBER_FRACTION, lower_fabnet
from .passes.schedule import schedule
from .passes.synchronise import synchronise
from .program import Program

PREFETCH = 1 << 14
"""Cycles of array work that a LOAD may run ahead."""


def compile_fabnet(
    model: Fabnet,
    config: AcceleratorConfig,
    calibration: NDArray[np.floating],
    *,
    dump_after: str | None = None,
    dump: Callable[[str], None] = print,
) -> Program:
    """Compile a classifier whose linear layers are butterflies.

    Parameters
    ----------
    model : Fabnet
    config : AcceleratorConfig
    calibration : float [batch, tokens]
        Inputs from which the fractions of all results are chosen.
    dump_after : str, optional
        One of `compiler.PASSES`; the text of the graph after that pass goes to `dump`.

    Returns
    -------
    Program
        Input tensor ``input``, int8 [tokens, 1] with 4 fraction bits; output tensor ``output``,
        int16 [1, classes].

    Raises
    ------
    CompileError
        If the machine cannot run the model, or the scratchpad is too small.
    """
    started = time.perf_counter()
    if dump_after is not None and dump_after not in PASSES:
        raise CompileError(f"dump_after must be one of {', '.join(PASSES)}, not {dump_after!r}")
    quantised = quantise_fabnet(model, calibration)
    graph, constants = lower_fabnet(quantised, config)
    graph = run_butterfly_passes(
        graph, config, lambda name, result: dump(to_text(result)) if name == dump_after else None
    )
    metadata = describe_fabnet(graph, config) | {
        "predicted_cycles": predict(graph, config).cycles,
        "seconds": round(time.perf_counter() - started, 3),
    }
    fractions = NUMBER_FRACTION, quantised.logits
    return package(graph, constants, fractions, metadata, config)


def run_butterfly_passes(
    graph: Graph,
    config: AcceleratorConfig,
    on_pass: Callable[[str, Graph], Any] = lambda name, graph: None,
) -> Graph:
    """Return the allocated and synchronised graph; `on_pass` sees name and result of each pass.

    Raises
    ------
    CompileError
        If the scratchpad or the semaphores do not suffice.
    """
    steps: dict[str, Callable[[Graph], Graph]] = {
        "lower": lambda graph: graph,
        "expand": expand,
        "schedule": lambda graph: schedule(graph, config, PREFETCH),
        "allocate": lambda graph: allocate(graph, config),
        "synchronise": lambda graph: synchronise(graph, config),
    }
    for name, step in steps.items():
        graph = step(graph)
        on_pass(name, graph)
    verify(graph, config)
    return graph


def describe_fabnet(graph: Graph, config: AcceleratorConfig) -> dict[str, Any]:
    """Return the metadata of the program that `graph` becomes.

    Returns
    -------
    dict
        - ``labels``: for each instruction but END, the product or step that it belongs to;
        - ``array_cycles``, ``butterfly_cycles``: work of these units by the cost model;
        - ``ideal_cycles``: that of the busier of the two;
        - ``compulsory_bytes``: constants, input and output, each once.
    """
    operations, buffers = graph.operations(), graph.by_name()
    work = {
        opcode: sum(cycles(item, buffers, config) for item in operations if item.opcode == opcode)
        for opcode in (Opcode.MATMUL, Opcode.BUTTERFLY)
    }
    return {
        "labels": [item.product for item in operations],
        "array_cycles": work[Opcode.MATMUL],
        "butterfly_cycles": work[Opcode.BUTTERFLY],
        "ideal_cycles": max(work.values()),
        "compulsory_bytes": sum(
            (buffer.rows if buffer.pitch else 1) * buffer.row_words * WORD
            for buffer in graph.buffers
            if buffer.level == Level.DRAM
        ),
    }
