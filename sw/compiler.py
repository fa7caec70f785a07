"""The compiler: encoder layers of a float model to a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import Unit
from .calibrate import LayerRanges, calibrate_inputs, calibration_inputs
from .collector import paused_collector
from .cost import cycles
from .errors import CompileError
from .frontend.bert import BertConfig, EncoderModel
from .gir import Graph
from .gir_text import to_text
from .package import package
from .passes.allocate import allocate
from .passes.compress import SparseWeights, compress, packed_constants
from .passes.constants import layer_constants
from .passes.explore import Budget
from .passes.flows import choose_flows
from .passes.keep import keep, parse_kept
from .passes.lower import lower
from .passes.optimisations import ALL, Optimisations
from .passes.pipeline import OnPass, Pass, ignore, run_pipeline
from .passes.schedule import schedule_that_fits
from .passes.search import DEFAULT_BUDGET
from .passes.synchronise import synchronise
from .passes.tiling import Shape, Tiling
from .profile import profile
from .program import Program
from .quantise import QuantisedLayer, join_ranges, quantise_layer
from .report import describe
from .search_cache import remembered_tiling
from .sparsity.kept import Kept

PASSES = ("lower", "expand", "schedule", "allocate", "synchronise")
"""The passes, in order; `dump_after` takes one of these names."""

WORD_ELEMENTS = 8
"""int8 elements of a word: slices of heads begin at words."""


MAXIMUM_HIDDEN = 8192
"""Columns that NORMALISE takes."""

COMPARED = 4
"""Tilings that are compared for all layers together, where the first leaves units waiting."""

WAITING = 1.03
"""How many times as long as its busiest unit works a program may take without a comparison."""


@paused_collector()
def compile_encoder(
    model: EncoderModel,
    config: AcceleratorConfig,
    sequence_length: int | Sequence[int],
    layers: Sequence[int] = (0,),
    *,
    masked: bool = False,
    ranges: Mapping[int, LayerRanges] | None = None,
    tiling: Tiling | None = None,
    budget: Budget = DEFAULT_BUDGET,
    optimisations: Optimisations = ALL,
    dump_after: str | None = None,
    dump: Callable[[str], None] = print,
) -> Program:
    """Compile some layers of `model`.

    Parameters
    ----------
    model : EncoderModel
        Of the layers in its `activations` the vector unit keeps some inputs only.
    config : AcceleratorConfig
    sequence_length : int or sequence of int
        Tokens; several numbers are a batch of sentences, whose rows follow each other without
        padding in input and output, and which share every load of a weight.
    layers : sequence of int
        Layers to run one after the other.
    masked : bool
        Whether the program takes a mask, so that it can run shorter sentences as well.
    ranges : mapping of int to LayerRanges, optional
        What calibration saw in each of `layers`; the model's `calibration_inputs` are run if
        left out.
    tiling : Tiling, optional
        How to cut the layers; searched for if left out.
    budget : Budget
        How long to search.
    optimisations : Optimisations
        What the passes do; all that they can unless a study leaves some out.
    dump_after : str, optional
        One of `PASSES`; the text of the graph after that pass goes to `dump`.

    Returns
    -------
    Program
        Input tensor ``input`` and output tensor ``output``, int16 [sequence_length, hidden], with
        their numbers of fraction bits; sequence_length is the sum of those of a batch. With
        `masked`, ``mask`` is int16 [sentences, tokens of the longest], 0 where a key counts and
        `quantise.MASKED` where it gets no probability. `report.describe` says what the metadata
        holds.

    Raises
    ------
    CompileError
        If a layer does not exist, a length is not from 1 to the model's limit, the machine
        cannot run a shape, or the scratchpad is too small for any tiling.
    """
    shape = _shape(model.config, sequence_length, masked)
    _check(model.config, layers, dump_after)
    if ranges is None:
        ranges = calibrate_inputs(model, layers, calibration_inputs(model))
    quantised = quantise_layers(model, layers, ranges, masked=masked)
    kept = parse_kept(kept_inputs(model, layers), config)
    texts: dict[Tiling, str] = {}
    constants = constants_of(quantised)
    weights = SparseWeights(constants, config)

    def find(sparse: SparseWeights | None) -> tuple[dict[str, Any], Tiling, Graph]:
        """Return what the search says, and the first tiling with room and its graph."""
        said: dict[str, Any] = {"candidates": 1}
        ranking: tuple[Tiling, ...] = () if tiling is None else (tiling,)
        if tiling is None:
            choice = remembered_tiling(shape, quantised, config, sparse, kept, budget)
            said, ranking = choice.figures(), choice.ranking

        def run(item: Tiling) -> Graph:
            def on_pass(name: str, result: Graph) -> None:
                if name == dump_after:
                    texts[item] = to_text(result)

            return run_passes(
                shape,
                quantised,
                item,
                config,
                on_pass=on_pass,
                weights=sparse,
                kept=kept,
                optimisations=optimisations,
            )

        return said, *_best_that_fits(ranking, run, config)

    try:
        said, chosen, graph = find(weights or None)
    except CompileError:
        if not weights:
            raise
        # Slots of weights with few zeros are larger than the weights.
        said, chosen, graph = find(None)
    if chosen in texts:
        dump(texts[chosen])
    constants = packed_constants(graph, constants, weights)
    metadata = describe(graph, shape, chosen, layers, config) | profile(graph, config) | said
    fractions = quantised[0][1].fractions.input, quantised[-1][1].fractions.output
    return package(graph, constants, fractions, metadata, config)


def kept_inputs(model: EncoderModel, layers: Sequence[int] | None = None) -> dict[int, str]:
    """Return the series of the activations that are kept of each of `layers` that keeps some.

    All layers count if `layers` is left out.
    """
    numbers = range(model.config.layers) if layers is None else layers
    named = ((index, model.activations.get(f"{index}.contract")) for index in numbers)
    return {index: text for index, text in named if text is not None}


def constants_of(layers: Sequence[tuple[int, QuantisedLayer]]) -> dict[str, NDArray]:
    """Return the constants of `layers` by the name of their DRAM buffer."""
    return {
        name: values
        for number, layer in layers
        for name, values in layer_constants(number, layer).items()
    }


def quantise_layers(
    model: EncoderModel,
    layers: Sequence[int],
    ranges: Mapping[int, LayerRanges],
    *,
    masked: bool = False,
) -> list[tuple[int, QuantisedLayer]]:
    """Return the number and the quantised form of each of `layers`.

    Raises
    ------
    CompileError
        If a parameter does not fit its format.
    """
    joined = join_ranges(model.config, dict(ranges), layers)
    return [
        (index, quantise_layer(model.config, model.layers[index], joined[index], masked=masked))
        for index in layers
    ]


def run_passes(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    tiling: Tiling,
    config: AcceleratorConfig,
    *,
    on_pass: OnPass = ignore,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
    optimisations: Optimisations = ALL,
) -> Graph:
    """Return the allocated and synchronised graph; `on_pass` sees name and result of each pass.

    Those of `weights` are compressed where that saves cycles. Of the inputs of the contractions of
    the layers in `kept` only some are.

    Raises
    ------
    CompileError
        If the scratchpad or the semaphores do not suffice.
    """

    def straighten(graph: Graph) -> Graph:
        straight = keep(graph, kept, config)
        if weights is not None:
            straight = compress(straight, weights, config)
        return optimisations.apply(choose_flows(straight, config), config)

    passes: dict[str, Pass] = {
        "expand": straighten,
        "schedule": lambda graph: schedule_that_fits(
            graph,
            config,
            tiling.prefetch,
            critical_path=tiling.critical_path,
            overlap=optimisations.overlap,
        ),
        "allocate": lambda graph: allocate(graph, config),
        "synchronise": lambda graph: synchronise(graph, config, overlap=optimisations.overlap),
    }
    return run_pipeline(lower(shape, layers, tiling, config), passes, config, on_pass)


def _best_that_fits(
    ranking: Sequence[Tiling], run: Callable[[Tiling], Graph], config: AcceleratorConfig
) -> tuple[Tiling, Graph]:
    """Return the first tiling that all layers together have room for, and its graph.

    The search looks at two layers; later ones may find the scratchpad cut up in another way, or
    have other sparsity. Where that leaves even the busiest unit waiting, so many tilings of the
    ranking are compared.
    """
    best: tuple[int, Tiling, Graph] | None = None
    for number, tiling in enumerate(ranking, 1):
        try:
            graph = run(tiling)
        except CompileError:
            if best is None and number == len(ranking):
                raise
            continue
        end = max(operation.end for operation in graph.operations())
        if best is None or end < best[0]:
            best = end, tiling, graph
        if number >= COMPARED or end <= WAITING * _busiest(graph, config):
            break
    assert best is not None
    return best[1], best[2]


def _busiest(graph: Graph, config: AcceleratorConfig) -> int:
    """Return how long the unit with most work is busy."""
    buffers = graph.by_name()
    busy: Counter[Unit] = Counter()
    for operation in graph.operations():
        busy[operation.unit] += cycles(operation, buffers, config)
    return max(busy.values())


def _shape(config: BertConfig, sequence_length: int | Sequence[int], masked: bool) -> Shape:
    lengths = [sequence_length] if isinstance(sequence_length, int) else list(sequence_length)
    if not lengths:
        raise CompileError("a batch must have at least 1 sentence, not 0")
    for length in lengths:
        if not 1 <= length <= config.maximum_tokens:
            raise CompileError(
                f"sequence length must be from 1 to {config.maximum_tokens}, the limit of the "
                f"model, not {length}"
            )
    return Shape.of(config, lengths, masked)


def _check(config: BertConfig, layers: Sequence[int], dump_after: str | None) -> None:
    if dump_after is not None and dump_after not in PASSES:
        raise CompileError(f"dump_after must be one of {', '.join(PASSES)}, not {dump_after!r}")
    sizes = {
        "attention: channels of a head": config.head_width,
        "feed-forward: intermediate_size": config.intermediate,
    }
    check_layers(layers, config.layers, sizes)
    check_hidden("layer norm", config.hidden)


def check_layers(layers: Sequence[int], available: int, sizes: Mapping[str, int]) -> None:
    """Check that `layers` are some of those `available`, and that `sizes`, by name, are words.

    Raises
    ------
    CompileError
        If not.
    """
    if not layers:
        raise CompileError("layers must name at least 1 layer, not 0")
    for number in layers:
        if not 0 <= number < available:
            raise CompileError(f"layers must be from 0 to {available - 1}, not {number}")
    if len(set(layers)) < len(layers):
        raise CompileError(f"layers must be different, not {list(layers)}")
    for operator, figure in sizes.items():
        if figure % WORD_ELEMENTS:
            raise CompileError(f"{operator} must be a multiple of {WORD_ELEMENTS}, not {figure}")


def check_hidden(operator: str, hidden: int) -> None:
    """Check that the norm `operator` takes `hidden` channels.

    Raises
    ------
    CompileError
        If not.
    """
    if hidden > MAXIMUM_HIDDEN:
        raise CompileError(
            f"{operator}: hidden_size must be at most {MAXIMUM_HIDDEN}, not {hidden}"
        )
