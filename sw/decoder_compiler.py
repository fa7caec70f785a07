"""The compiler of decoder layers: prefill and decode with a cache of keys and values in DRAM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode
from .collector import paused_collector
from .compiler import PASSES, WORD_ELEMENTS, check_hidden, check_layers
from .cost import cycles
from .decoder_cache import cache_tensors
from .decoder_quantise import (
    QuantisedDecoderLayer,
    calibrate_decoder,
    calibration_tokens,
    quantise_decoder,
    rotation_table,
)
from .decoder_reference import rotations
from .decoder_search import DECODER_BUDGET, DecoderChoice, choose_decoder_tiling
from .errors import CompileError, NoRoomError
from .frontend.llama import LlamaConfig, LlamaModel
from .gir import Graph
from .gir_text import to_text
from .package import package
from .passes.allocate import allocate
from .passes.constants import decoder_constants
from .passes.decoder import lower_decoder
from .passes.decoder_tiling import ALIGNMENT, DecoderShape, DecoderTiling, split
from .passes.explore import Budget
from .passes.optimisations import ALL, Optimisations
from .passes.pipeline import OnPass, Pass, ignore, run_pipeline
from .passes.schedule import schedule_that_fits
from .passes.synchronise import synchronise
from .profile import bytes_moved, profile
from .program import Program

STEP_TOKENS = (128, 64, 32, 16, 8)
"""Tokens of a prompt that go through the layers together: as many as the scratchpad allows."""

WEIGHT_BYTES = (1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10)
"""Bytes of a block of weights, at most: as many as the scratchpad allows."""

CACHE_BYTES = 1 << 14
"""Bytes of a block of the cache, at most: the array begins when the first one is there."""


@paused_collector()
def compile_decoder(
    model: LlamaModel,
    config: AcceleratorConfig,
    tokens: int,
    past: int = 0,
    layers: Sequence[int] = (0,),
    *,
    capacity: int | None = None,
    quantised: Sequence[tuple[int, QuantisedDecoderLayer]] | None = None,
    tiling: DecoderTiling | None = None,
    budget: Budget = DECODER_BUDGET,
    optimisations: Optimisations = ALL,
    dump_after: str | None = None,
    dump: Callable[[str], None] = print,
) -> Program:
    """Compile some layers of `model` for `tokens` tokens after `past` ones.

    A prompt is many tokens after none, decoding is one token after many.

    Parameters
    ----------
    model : LlamaModel
    config : AcceleratorConfig
    tokens, past : int
        `past` is a multiple of 8, unless there is one token only.
    layers : sequence of int
        Layers to run one after the other.
    capacity : int, optional
        Tokens that the cache has room for; by default as many as there will be. Programs of one
        capacity and the same layers lay the cache out in the same way.
    quantised : sequence of tuple, optional
        Number and quantised form of each of `layers`; by default `quantise_decoder` makes them
        from what calibration sees in random tokens.
    tiling : DecoderTiling, optional
        How to cut the layers; searched for if left out.
    budget : Budget
        How long to search.
    optimisations : Optimisations
        What the passes do.
    dump_after : str, optional
        One of `compiler.PASSES`; the text of the graph after that pass goes to `dump`.

    Returns
    -------
    Program
        Input tensor ``input`` and output tensor ``output``, int16 [tokens, hidden]. For each layer
        i further inputs ``i.keys`` and ``i.values``, int8 [past, channels], and ``i.scales``,
        uint64 [key heads, past], if there are any, and outputs ``i.keys.new`` and so on for the
        new tokens; they are parts of the cache in window 3.

    Raises
    ------
    CompileError
        If a layer does not exist, a number of tokens is out of range, the machine cannot run a
        shape, or the scratchpad is too small.
    """
    if dump_after is not None and dump_after not in PASSES:
        raise CompileError(f"dump_after must be one of {', '.join(PASSES)}, not {dump_after!r}")
    check_model(model.config, layers)
    capacity = _check_tokens(model.config, tokens, past, capacity)
    if quantised is None:
        ranges = calibrate_decoder(model, layers, calibration_tokens(model))
        quantised = quantise_decoder(model, layers, ranges)
    texts: dict[str, str] = {}

    def on_pass(name: str, result: Graph) -> None:
        if name == dump_after:
            texts[name] = to_text(result)

    candidates = list(_candidates(model.config, tokens, past, capacity, config))
    if tiling is not None:
        candidates = [(shape, tiling) for shape in dict.fromkeys(shape for shape, _ in candidates)]
        budget = replace(budget, candidates=1)
    of_layers = quantised

    def run(shape: DecoderShape, item: DecoderTiling) -> Graph:
        return _run_passes(shape, of_layers, item, config, optimisations, on_pass)

    choice, shape, chosen, graph = _first_that_fits(candidates, quantised, config, budget, run)
    for text in texts.values():
        dump(text)
    positions = range(past, past + tokens)
    constants = {"rotations": rotation_table(rotations(model.config, positions))}
    for number, layer in quantised:
        constants |= decoder_constants(number, layer, model.config.head_width)
    metadata = describe_decoder(graph, shape, chosen, layers, config) | choice.figures
    fraction = quantised[0][1].fractions.residual
    cached = cache_tensors(graph, shape, layers)
    return package(graph, constants, (fraction, fraction), metadata, config, cached=cached)


def describe_decoder(
    graph: Graph,
    shape: DecoderShape,
    tiling: DecoderTiling,
    layers: Sequence[int],
    config: AcceleratorConfig,
) -> dict[str, Any]:
    """Return the metadata of the program that `graph` becomes.

    Returns
    -------
    dict
        - ``layers``, ``tokens``, ``past``, ``capacity``, ``step_tokens``: its shape;
        - ``tiling``: how it is cut;
        - ``labels``: for each instruction but END, the product or step that it belongs to;
        - ``ideal_cycles``: the model's multiply-adds over those of the array in a cycle, with the
          scores of all pairs of tokens that attend to each other;
        - ``array_cycles``: multiply cycles of all MATMULs by the cost model;
        - ``loaded_bytes``, ``stored_bytes``: what the instructions move;
        - what `profile.profile` returns.
    """
    operations, buffers = graph.operations(), graph.by_name()
    moved = {
        opcode: sum(bytes_moved(item, buffers) for item in operations if item.opcode == opcode)
        for opcode in (Opcode.LOAD, Opcode.STORE)
    }
    matmuls = [item for item in operations if item.opcode == Opcode.MATMUL]
    elements = config.array.rows * config.array.columns
    return {
        "layers": list(layers),
        "tokens": shape.tokens,
        "past": shape.past,
        "capacity": shape.capacity,
        "step_tokens": shape.steps[0].tokens,
        "tiling": asdict(tiling),
        "labels": [item.product for item in operations],
        "ideal_cycles": -(-_multiply_adds(shape) * len(layers) // elements),
        "array_cycles": sum(cycles(item, buffers, config) for item in matmuls),
        "loaded_bytes": moved[Opcode.LOAD],
        "stored_bytes": moved[Opcode.STORE],
        **profile(graph, config),
    }


def _multiply_adds(shape: DecoderShape) -> int:
    model, tokens = shape.model, shape.tokens
    channels = 2 * (model.query_width + model.key_width) + 3 * model.intermediate
    pairs = tokens * shape.past + tokens * (tokens + 1) // 2
    return tokens * model.hidden * channels + 2 * pairs * model.query_width


def check_model(config: LlamaConfig, layers: Sequence[int]) -> None:
    """Check that a machine can run `layers` of a model.

    Raises
    ------
    CompileError
        If a layer is not there, or a size is not supported.
    """
    sizes = {
        "residual stream: hidden_size": config.hidden,
        "attention: channels of a head": config.head_width,
        "feed-forward: intermediate_size": config.intermediate,
    }
    check_layers(layers, config.layers, sizes)
    check_hidden("norm", config.hidden)


def _check_tokens(config: LlamaConfig, tokens: int, past: int, capacity: int | None) -> int:
    """Return the capacity, whole stretches of aligned tokens."""
    limit = config.maximum_tokens
    if tokens < 1 or past < 0 or tokens + past > limit:
        raise CompileError(
            f"tokens must be at least 1 and past at least 0, together at most {limit}, the limit "
            f"of the model, not {tokens} and {past}"
        )
    if tokens > 1 and past % ALIGNMENT:
        raise CompileError(
            f"past must be a multiple of {ALIGNMENT} before more than one token, not {past}"
        )
    if capacity is not None and capacity < past + tokens:
        raise CompileError(f"capacity must be at least {past + tokens} tokens, not {capacity}")
    return -(-(capacity or past + tokens) // ALIGNMENT) * ALIGNMENT


def _candidates(
    model: LlamaConfig, tokens: int, past: int, capacity: int, config: AcceleratorConfig
) -> Iterator[tuple[DecoderShape, DecoderTiling]]:
    """Yield how a program may be cut, the best first: long steps, then large blocks."""
    blocks = [block for block in STEP_TOKENS if block < tokens]
    for block in [min(tokens, STEP_TOKENS[0]), *blocks] if tokens > 1 else [1]:
        shape = DecoderShape(model, split(past, tokens, block), capacity)
        seen = set()
        for limit in WEIGHT_BYTES:
            for tiling in _tilings(shape, limit, config):
                if tiling not in seen:
                    seen.add(tiling)
                    yield shape, tiling


def _tilings(shape: DecoderShape, limit: int, config: AcceleratorConfig) -> Iterator[DecoderTiling]:
    """Yield tilings with weights of `limit` bytes a block."""
    model = shape.model
    least = WORD_ELEMENTS
    groups = [(model.key_heads, model.group)]
    if model.key_heads == 1 or model.head_width % config.axi_bytes == 0:
        # A key head's columns of the cache begin at a beat of the bus.
        groups += [(1, heads) for heads in _divisors(model.group, 1)[::-1]]
    for key_heads, heads in groups:
        width = key_heads * model.head_width
        yield DecoderTiling(
            channels=_largest(_divisors(model.head_width, least), limit // model.hidden),
            outputs=_largest(_outputs(model, config), limit // model.head_width),
            chunk=_largest(_divisors(model.intermediate, least), limit // model.hidden),
            key_heads=key_heads,
            heads=heads,
            key_block=max(1, min(limit, CACHE_BYTES) // (ALIGNMENT * width)) * ALIGNMENT,
            rows=2 * config.array.rows,
            prefetch=4 * limit // config.array.columns,
        )


def _outputs(model: LlamaConfig, config: AcceleratorConfig) -> list[int]:
    """Return by how many columns the projection may be cut: whole beats of the bus, or not."""
    cuts = _divisors(model.hidden, max(WORD_ELEMENTS, config.axi_bytes))
    return [*cuts, model.hidden] if model.hidden not in cuts else cuts


def _divisors(size: int, multiple: int) -> list[int]:
    """Return the divisors of `size` that are multiples of `multiple`, ascending."""
    return [step for step in range(multiple, size + 1, multiple) if size % step == 0]


def _largest(values: Iterable[int], limit: int) -> int:
    """Return the largest of ascending `values` that is at most `limit`, or the least."""
    first, *rest = values
    return max([first, *(value for value in rest if value <= limit)])


def _first_that_fits(
    candidates: Sequence[tuple[DecoderShape, DecoderTiling]],
    layers: Sequence[tuple[int, QuantisedDecoderLayer]],
    config: AcceleratorConfig,
    budget: Budget,
    run: Callable[[DecoderShape, DecoderTiling], Graph],
) -> tuple[DecoderChoice, DecoderShape, DecoderTiling, Graph]:
    """Return the first choice that all layers and steps together have room for, and its graph.

    The search looks at one layer in one step.
    """
    while True:
        choice = choose_decoder_tiling(candidates, layers, config, budget)
        shape = candidates[choice.place][0]
        candidates = candidates[choice.place + 1 :]
        for number, tiling in enumerate(choice.ranking, 1):
            try:
                return choice, shape, tiling, run(shape, tiling)
            except NoRoomError:
                if number == len(choice.ranking) and not candidates:
                    raise


def _run_passes(
    shape: DecoderShape,
    layers: Sequence[tuple[int, QuantisedDecoderLayer]],
    tiling: DecoderTiling,
    config: AcceleratorConfig,
    optimisations: Optimisations,
    on_pass: OnPass = ignore,
) -> Graph:
    passes: dict[str, Pass] = {
        "expand": lambda graph: optimisations.apply(graph, config),
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
    return run_pipeline(lower_decoder(shape, layers, tiling, config), passes, config, on_pass)
