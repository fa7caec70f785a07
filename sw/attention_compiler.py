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
from .errors import CompileError
from .frontend.bert import BertModel
from .gir import Graph
from .gir_verify import verify
from .package import package
from .passes.allocate import allocate
from .passes.attention_only import (
    INPUT,
    INPUT_COPY,
    KEY,
    KEY_COPY,
    LAYER,
    OUTPUT,
    loads_first,
    lower_attention,
)
from .passes.constants import layer_constants
from .passes.expand import expand
from .passes.first_products import cut_first_products
from .passes.flows import choose_flows
from .passes.load_order import order_loads
from .passes.schedule import schedule_that_fits
from .passes.side_by_side import SideBySide, beside, weights_side_by_side
from .passes.synchronise import synchronise
from .passes.tiling import Shape, Tiling
from .prediction import predict
from .profile import profile
from .program import Program
from .quantise import WEIGHT_LIMIT, QuantisedLayer, quantise_layer
from .scale import ScaleVector

SIDE_BY_SIDE = (1, 2, 4)
"""Rows of the input that are loaded as one, to try."""

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
    cut, graph, candidates = _best(shape, layer, config, resident)
    constants = {
        name: values
        for name, values in layer_constants(LAYER, layer).items()
        if name.removeprefix(f"{LAYER}.") in CONSTANTS
    }
    constants[KEY] = beside(constants[KEY], cut.weights_side_by_side)
    # The same for all tokens, in whatever order the program takes them.
    scales = ScaleVector.from_float(np.full(len(tokens), scale))
    constants[f"{LAYER}.input.scales"] = scales.pack()[np.newaxis]
    elements = config.array.rows * config.array.columns
    metadata = {
        "labels": [item.product for item in graph.operations()],
        "tiling": asdict(cut.tiling),
        "side_by_side": cut.side_by_side,
        "weights_side_by_side": cut.weights_side_by_side,
        "planes": planes,
        "resident": resident,
        "candidates": candidates,
        "ideal_cycles": multiply_adds(shape) / elements,
        **profile(graph, config),
    }
    fractions = 0, layer.fractions.input
    program = package(graph, constants, fractions, metadata, config)
    return AttentionProgram(_one_row_a_token(program, cut.side_by_side), scale)


def _one_row_a_token(program: Program, factor: int) -> Program:
    """Return `program` with an input of a row a token where it loads `factor` of them as one."""
    wide = program.inputs[0]
    rows, columns = wide.shape
    shape = rows * factor, columns // factor
    return replace(program, inputs=(replace(wide, shape=shape, stride=wide.stride // factor),))


def multiply_adds(shape: Shape) -> int:
    """Return those of attention with its four projections; probabilities count once."""
    tokens, attended = shape.sequence, shape.attended
    return 4 * tokens * attended * shape.hidden + 2 * tokens * tokens * attended


@dataclass(frozen=True)
class Cut:
    """How attention alone is cut.

    Parameters
    ----------
    tiling : Tiling
    side_by_side : int
        Rows of the input that are loaded as one.
    weights_side_by_side : int
        Rows of the key weights that are loaded as one.
    """

    tiling: Tiling
    side_by_side: int = 1
    weights_side_by_side: int = 1


def _cuts(shape: Shape, config: AcceleratorConfig, resident: bool) -> Iterator[Cut]:
    """Yield the cuts to try: from the scratchpad, there is nothing to gain beyond the tiling."""
    tilings = list(_tilings(shape, config))
    if resident:
        yield from map(Cut, tilings)
        return
    for tiling, factor in product(tilings, SIDE_BY_SIDE):
        sizes = tiling.rows * factor, tiling.query_rows * factor
        whole = not any(shape.sequence % size for size in sizes)
        # Rows follow each other without a gap if they are whole beats.
        if factor == 1 or (whole and not shape.hidden % config.axi_bytes):
            parts = shape.attended % (config.array.columns * factor) == 0
            yield Cut(tiling, factor, factor if parts and shape.heads == 1 else 1)


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
) -> tuple[Cut, Graph, int]:
    """Return the cut that takes fewest cycles, its graph and the number of candidates."""
    found: list[tuple[int, Cut, Graph]] = []
    reason = CompileError("attention: there is no tiling")
    cuts = list(_cuts(shape, config, resident))
    for cut in cuts:
        try:
            graph = _compiled(shape, layer, cut, config, resident)
        except CompileError as error:
            reason = error
            continue
        found.append((predict(graph, config).cycles, cut, graph))
    if not found:
        raise reason
    _, cut, graph = min(found, key=lambda item: item[0])
    verify(graph, config)
    return cut, graph, len(cuts)


def _compiled(
    shape: Shape,
    layer: QuantisedLayer,
    cut: Cut,
    config: AcceleratorConfig,
    resident: bool,
) -> Graph:
    side_by_side = SideBySide(INPUT, INPUT_COPY, OUTPUT, cut.side_by_side)
    graph = expand(lower_attention(shape, layer, cut.tiling, config, blocks=cut.side_by_side))
    if resident:
        graph = loads_first(graph)
    else:
        graph = side_by_side.apply(graph, config)
        graph = weights_side_by_side(graph, KEY, KEY_COPY, cut.weights_side_by_side, config)
        graph = cut_first_products(graph, config)
        graph = order_loads(graph, config)
    graph = schedule_that_fits(
        choose_flows(graph, config), config, cut.tiling.prefetch, loads_in_order=resident
    )
    return synchronise(allocate(graph, config), config)
