"""The compiler of FABNet classifiers: a float model to a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode
from .collector import paused_collector
from .compiler import PASSES
from .cost import cycles
from .errors import CompileError, NoRoomError
from .fabnet_quantise import quantise_blocks, quantise_fabnet
from .fabnet_tilings import FABNET_BUDGET, PREFETCH, choose_blocks, joined
from .frontend.fabnet import Fabnet, FabnetBlock
from .gir import Graph, Level
from .gir_butterfly import butterfly_pairs
from .gir_product import product_of
from .gir_text import to_text
from .package import package
from .passes.allocate import allocate
from .passes.bound import check_operations
from .passes.explore import Budget
from .passes.fabnet import NUMBER_FRACTION, lower_fabnet
from .passes.fabnet_stream import lower_blocks
from .passes.optimisations import ALL, Optimisations
from .passes.pipeline import OnPass, Pass, ignore, run_pipeline
from .passes.schedule import Plan, fit
from .passes.synchronise import synchronise
from .profile import compulsory_bytes, profile
from .program import Program


@paused_collector()
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
    if dump_after is not None and dump_after not in PASSES:
        raise CompileError(f"dump_after must be one of {', '.join(PASSES)}, not {dump_after!r}")
    quantised = quantise_fabnet(model, calibration)
    graph, constants = lower_fabnet(quantised, config)
    graph = run_butterfly_passes(
        graph, config, lambda name, result: dump(to_text(result)) if name == dump_after else None
    )
    metadata = describe_fabnet(graph, config)
    fractions = NUMBER_FRACTION, quantised.logits
    return package(graph, constants, fractions, metadata, config)


@paused_collector()
def compile_blocks(
    blocks: Sequence[FabnetBlock],
    config: AcceleratorConfig,
    calibration: NDArray[np.floating],
    *,
    budget: Budget = FABNET_BUDGET,
    optimisations: Optimisations = ALL,
) -> Program:
    """Compile blocks of any size, without embedding and classifier.

    Parameters
    ----------
    blocks : sequence of FabnetBlock
        Run one after the other.
    config : AcceleratorConfig
    calibration : float [batch, tokens, features]
        Inputs of the first block, from which the fractions of all results are chosen.
    budget : Budget
        How long to search for tiles and an order.
    optimisations : Optimisations
        What the passes do.

    Returns
    -------
    Program
        Tensors ``input`` and ``output``, int16 [tokens, features].

    Raises
    ------
    CompileError
        If the machine cannot run a block, or the scratchpad is too small.
    """
    quantised = quantise_blocks(blocks, calibration)
    _, tokens, features = calibration.shape
    lower = partial(lower_blocks, quantised, tokens, features, config)
    try:
        choice = choose_blocks(lower, (tokens, features), config, budget)
        tiling = choice.ranking[0]
        steps, constants = lower(dict(tiling.steps))
        graph = run_butterfly_passes(
            joined(steps),
            config,
            optimisations=optimisations,
            horizons=(tiling.prefetch, *(item for item in PREFETCH if item < tiling.prefetch)),
            critical_path=tiling.critical_path,
        )
    except NoRoomError as error:
        raise NoRoomError(
            f"{error}: use fewer tokens, features or hidden features, or a larger scratchpad.bytes"
        ) from None
    metadata = describe_fabnet(graph, config) | choice.figures
    fractions = quantised[0][1].input, quantised[-1][1].output
    return package(graph, constants, fractions, metadata, config)


def run_butterfly_passes(
    graph: Graph,
    config: AcceleratorConfig,
    on_pass: OnPass = ignore,
    *,
    optimisations: Optimisations = ALL,
    horizons: Sequence[int] = PREFETCH,
    critical_path: bool = False,
) -> Graph:
    """Return the allocated and synchronised graph; `on_pass` sees name and result of each pass.

    LOADs run ahead by the first of `horizons`, in cycles of work, that there is room for; for
    `critical_path` see `schedule`.

    Raises
    ------
    CompileError
        If the scratchpad or the semaphores do not suffice.
    """
    check_operations(graph, config)
    passes: dict[str, Pass] = {
        "expand": lambda graph: optimisations.apply(graph, config),
        "schedule": lambda graph: _schedule(
            graph, config, horizons, critical_path, optimisations.overlap
        ),
        "allocate": lambda graph: allocate(graph, config),
        "synchronise": lambda graph: synchronise(graph, config, overlap=optimisations.overlap),
    }
    return run_pipeline(graph, passes, config, on_pass)


def _schedule(
    graph: Graph,
    config: AcceleratorConfig,
    horizons: Sequence[int],
    critical_path: bool,
    overlap: bool,
) -> Graph:
    """Return the scheduled graph, with as much prefetch as there is room for."""
    plan = Plan(graph, config, overlap=overlap)
    for horizon in horizons:
        scheduled, allocated = fit(plan, horizon, critical_path=critical_path)
        if allocated:
            break
    return scheduled


def describe_fabnet(graph: Graph, config: AcceleratorConfig) -> dict[str, Any]:
    """Return the metadata of the program that `graph` becomes.

    Returns
    -------
    dict
        - ``labels``: for each instruction but END, the product or step that it belongs to;
        - ``candidates``: 1, there is nothing to choose from;
        - ``array_cycles``, ``butterfly_cycles``: work of these units by the cost model;
        - ``ideal_cycles``: the larger of all multiply-adds of products over those of the array in a
          cycle, and of all pairs of all factors over those of the butterfly unit;
        - ``compulsory_bytes``: constants, input and output, each once;
        - what `profile.profile` returns.
    """
    operations, buffers = graph.operations(), graph.by_name()
    work = {
        opcode: sum(cycles(item, buffers, config) for item in operations if item.opcode == opcode)
        for opcode in (Opcode.MATMUL, Opcode.BUTTERFLY)
    }
    return {
        "labels": [item.product for item in operations],
        "candidates": 1,
        "array_cycles": work[Opcode.MATMUL],
        "butterfly_cycles": work[Opcode.BUTTERFLY],
        "ideal_cycles": max(_array_ideal(graph, config), _butterfly_ideal(graph, config)),
        "compulsory_bytes": sum(
            compulsory_bytes(buffer) for buffer in graph.buffers if buffer.level == Level.DRAM
        ),
        **profile(graph, config),
    }


def _array_ideal(graph: Graph, config: AcceleratorConfig) -> int:
    buffers = graph.by_name()
    products = (
        product_of(item, buffers) for item in graph.operations() if item.opcode == Opcode.MATMUL
    )
    total = sum(product.m * product.n * product.k for product in products)
    return -(-total // (config.array.rows * config.array.columns))


def _butterfly_ideal(graph: Graph, config: AcceleratorConfig) -> int:
    pairs = sum(
        butterfly_pairs(item) for item in graph.operations() if item.opcode == Opcode.BUTTERFLY
    )
    return -(-pairs // (config.butterfly.lanes * config.butterfly.stages))
