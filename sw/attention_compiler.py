"""Attention alone as a program: what accelerators of attention are measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from .calibrate import calibrate
from .compiler import check_layers
from .cost import predict
from .errors import CompileError
from .frontend.bert import BertModel
from .gir import Graph
from .gir_verify import verify
from .package import package
from .passes.allocate import allocate
from .passes.attention_only import LAYER, lower_attention, order_loads
from .passes.constants import layer_constants
from .passes.expand import expand
from .passes.flows import choose_flows
from .passes.schedule import schedule_that_fits
from .passes.synchronise import synchronise
from .passes.tiling import Shape, Tiling
from .profile import profile
from .program import Program
from .quantise import WEIGHT_LIMIT, QuantisedLayer, quantise_layer
from .scale import ScaleVector

CONSTANTS = ("query", "key", "value", "projection", "attention.scales")
"""What attention takes of a layer's constants."""


@dataclass(frozen=True)
class AttentionProgram:
    """A program and how its input is to be rounded.

    Parameters
    ----------
    program : Program
        Input ``input``, int8 [tokens, hidden], output ``output``, int16 [tokens, hidden].
    scale : float
        What 1 stands for in the input.
    """

    program: Program
    scale: float

    def quantise(self, x: NDArray[np.floating]) -> NDArray[np.int8]:
        """Return the input for `x`, float [tokens, hidden]; what is too large saturates."""
        return np.clip(np.rint(x / self.scale), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)


def compile_attention(
    model: BertModel,
    config: AcceleratorConfig,
    tokens: NDArray[np.integer],
    *,
    planes: int = 2,
    resident: bool = False,
) -> AttentionProgram:
    """Compile the attention of layer 0 of `model`, from int8 input to the output projection.

    Parameters
    ----------
    model : BertModel
    config : AcceleratorConfig
    tokens : int [sequence]
        To calibrate with; the program takes as many.
    planes : int
        Planes of 7 bits in which a probability is given: 2, or 1 for half the products with V.
    resident : bool
        Whether all operands are loaded before the array begins.

    Raises
    ------
    CompileError
        If `planes` is another number, or the machine cannot run it.
    """
    if planes not in (1, 2):
        raise CompileError(f"attention: planes must be 1 or 2, not {planes}")
    check_layers((LAYER,), model.config.layers, {"channels of a head": model.config.head_width})
    ranges = calibrate(model, (LAYER,), [tokens])[LAYER]
    layer = quantise_layer(model.config, model.layers[LAYER], ranges)
    shape = replace(Shape.of(model.config, len(tokens)), planes=planes)
    scale = ranges.largest("input") / WEIGHT_LIMIT
    tiling, graph, candidates = _best(shape, layer, config, resident)
    constants = {
        name: values
        for name, values in layer_constants(LAYER, layer).items()
        if name.removeprefix(f"{LAYER}.") in CONSTANTS
    }
    scales = ScaleVector.from_float(np.full(len(tokens), scale))
    constants[f"{LAYER}.input.scales"] = scales.pack()[np.newaxis]
    elements = config.array.rows * config.array.columns
    metadata = {
        "labels": [item.product for item in graph.operations()],
        "tiling": asdict(tiling),
        "planes": planes,
        "resident": resident,
        "candidates": candidates,
        "ideal_cycles": multiply_adds(shape) / elements,
        **profile(graph, config),
    }
    fractions = 0, layer.fractions.input
    return AttentionProgram(package(graph, constants, fractions, metadata, config), scale)


def multiply_adds(shape: Shape) -> int:
    """Return those of attention with its four projections; probabilities count once."""
    tokens, attended = shape.sequence, shape.attended
    return 4 * tokens * attended * shape.hidden + 2 * tokens * tokens * attended


def _tilings(shape: Shape, config: AcceleratorConfig) -> Iterator[Tiling]:
    """Yield the tilings to try: nothing of so small an operation needs cutting but the rows."""
    size = config.array.rows
    rows = sorted({min(factor * size, shape.sequence) for factor in (1, 2, 4)})
    for query_rows, block, depth in product(rows, rows, (2, 4, 8)):
        yield Tiling(
            heads=shape.heads,
            query_rows=query_rows,
            rows=block,
            chunk=shape.intermediate,
            projection=shape.hidden,
            depth=depth,
            prefetch=1 << 20,
        )


def _best(
    shape: Shape, layer: QuantisedLayer, config: AcceleratorConfig, resident: bool
) -> tuple[Tiling, Graph, int]:
    """Return the tiling that takes fewest cycles, its graph and the number of candidates."""
    found: list[tuple[int, Tiling, Graph]] = []
    reason = CompileError("attention: there is no tiling")
    tilings = list(_tilings(shape, config))
    for tiling in tilings:
        try:
            graph = _compiled(shape, layer, tiling, config, resident)
        except CompileError as error:
            reason = error
            continue
        found.append((predict(graph, config).cycles, tiling, graph))
    if not found:
        raise reason
    _, tiling, graph = min(found, key=lambda item: item[0])
    verify(graph, config)
    return tiling, graph, len(tilings)


def _compiled(
    shape: Shape,
    layer: QuantisedLayer,
    tiling: Tiling,
    config: AcceleratorConfig,
    resident: bool,
) -> Graph:
    graph = expand(lower_attention(shape, layer, tiling, config))
    graph = order_loads(graph, resident=resident)
    graph = schedule_that_fits(
        choose_flows(graph, config), config, tiling.prefetch, loads_in_order=resident
    )
    return synchronise(allocate(graph, config), config)
