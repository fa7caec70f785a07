"""Programs of one butterfly operator: a layer, token mixing, or sequence compression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, singledispatch

from ..hw.config import AcceleratorConfig
from .butterfly.hierarchical import HierarchicalLinear
from .butterfly.linear import ButterflyLinear
from .errors import CompileError, NoRoomError
from .fabnet_compiler import describe_fabnet, run_butterfly_passes
from .gir import Buffer, Graph, Node
from .package import package
from .passes.build import load, part, store
from .passes.butterfly import Matrix
from .passes.butterfly_layers import ButterflyLowering, log_points
from .passes.butterfly_stream import WORD_NUMBERS, StreamedMixing, stream_features, stream_tokens
from .passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .program import Program


@dataclass(frozen=True)
class Mixing:
    """``x + 2^-scale · Re F_tokens(F_features(x))``.

    Parameters
    ----------
    features : int
    scale : int
    spectrum_fraction : int
        Fraction bits of what lies between the two transforms; may be negative.
    """

    features: int
    scale: int
    spectrum_fraction: int


@dataclass(frozen=True)
class Compression:
    """`kept` tokens for each `chunk`, see `butterfly.compress`.

    Parameters
    ----------
    features, chunk, kept : int
    spectrum_fraction : int
        Fraction bits of the spectrum.
    """

    features: int
    chunk: int
    kept: int
    spectrum_fraction: int


Operator = ButterflyLinear | HierarchicalLinear | Mixing | Compression


def compile_butterfly(
    operator: Operator, config: AcceleratorConfig, tokens: int, fractions: tuple[int, int]
) -> Program:
    """Compile one operator; what does not fit the scratchpad goes through it in tiles.

    Parameters
    ----------
    operator : ButterflyLinear, HierarchicalLinear, Mixing or Compression
    config : AcceleratorConfig
    tokens : int
        Rows of the input.
    fractions : tuple of int
        Fraction bits of input and output; those of a mixing are equal.

    Returns
    -------
    Program
        Input tensor ``input``, int16 [tokens, features], and output tensor ``output``.

    Raises
    ------
    CompileError
        If the machine cannot run the operator, or the scratchpad is too small.
    """
    if tokens < 1:
        raise CompileError(f"tokens must be at least 1, not {tokens}")
    found = _programs(_overlapping(operator, config, tokens), operator, config, tokens, fractions)
    if found:
        return min(found, key=lambda program: program.metadata["predicted_cycles"])
    *ways, last = _serial(operator, config)
    for way in ways:
        found = _programs([way], operator, config, tokens, fractions)
        if found:
            return found[0]
    return _program(last, operator, config, tokens, fractions)


TURNS = (1, 2, 3, 4, 6, 8)
"""Vectors of a tile for each lane of the unit that are tried."""


def _programs(
    ways: Iterable[Lower],
    operator: Operator,
    config: AcceleratorConfig,
    tokens: int,
    fractions: tuple[int, int],
) -> list[Program]:
    """Return the programs of those ways for which the scratchpad has room."""
    found = []
    for way in ways:
        with suppress(NoRoomError):
            found.append(_program(way, operator, config, tokens, fractions))
    return found


def _overlapping(operator: Operator, config: AcceleratorConfig, tokens: int) -> Iterator[Lower]:
    """Yield whole matrices, and tiles that are smaller and of which two may be under way."""
    yield _whole
    lanes = config.butterfly.lanes
    most = tokens
    if isinstance(operator, Compression):
        most = operator.features // WORD_NUMBERS
    for width in (turns * lanes for turns in TURNS):
        if width == lanes or width < most:
            yield partial(_tiled, depth=2, width=width)
            if _replaces_its_input(operator):
                yield partial(_tiled, depth=3, width=width, in_place=True)
    if _replaces_its_input(operator):
        yield partial(_tiled, depth=2, width=lanes, in_place=True)


def _serial(operator: Operator, config: AcceleratorConfig) -> Iterator[Lower]:
    """Yield single tiles, down to those that leave most lanes without work."""
    width = config.butterfly.lanes
    in_place = _replaces_its_input(operator)
    while width:
        yield partial(_tiled, depth=1, width=width, in_place=in_place)
        width //= 2


def _replaces_its_input(operator: Operator) -> bool:
    """Return whether Y may take the place of X: one transform of all features, nothing added."""
    if not isinstance(operator, ButterflyLinear) or operator.bias is not None:
        return False
    twiddle = operator.twiddle
    is_single = twiddle.stacks == twiddle.blocks == 1
    return is_single and twiddle.size == operator.in_features == operator.out_features


Lower = Callable[["Operator", ButterflyLowering, Buffer, Buffer, tuple[int, int]], list[Node]]
"""Makes the nodes of an operator between two matrices in DRAM with their fraction bits."""


def _program(
    lower: Lower,
    operator: Operator,
    config: AcceleratorConfig,
    tokens: int,
    fractions: tuple[int, int],
) -> Program:
    memory = Memory(config)
    lowering = ButterflyLowering(memory)
    features, tokens_out, features_out, _ = sizes(operator, tokens)
    source = memory.dram("input", "int16", tokens, features, INPUT_WINDOW)
    target = memory.dram("output", "int16", tokens_out, features_out, OUTPUT_WINDOW)
    body = lower(operator, lowering, source, target, fractions)
    graph = run_butterfly_passes(Graph("butterfly", tuple(memory.buffers), tuple(body)), config)
    metadata = describe_fabnet(graph, config)
    return package(graph, lowering.constants, fractions, metadata, config)


def _whole(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
) -> list[Node]:
    """Return the nodes of an operator whose matrices are in the scratchpad."""
    room = sizes(operator, source.rows)[3]
    is_mixing = isinstance(operator, Mixing)
    x = y = lowering.matrix(
        "x", source.rows, source.columns, fractions[0], room if is_mixing else 0
    )
    if not is_mixing:
        y = lowering.matrix("y", target.rows, target.columns, fractions[1], room)
    return [
        load(part(source), x.whole(), "input"),
        *lowering.with_loads(lower_operator(operator, lowering, x, y)),
        store(y.whole(), part(target), "output"),
    ]


def _tiled(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
    depth: int,
    width: int,
    in_place: bool = False,
) -> list[Node]:
    """Return the nodes of an operator whose matrices go through the scratchpad in tiles."""
    if isinstance(operator, Mixing):
        mixing = StreamedMixing(
            lowering,
            "mixing",
            fractions[0],
            operator.spectrum_fraction,
            operator.scale,
            depth,
            width,
        )
        return mixing.nodes(source, target)

    def body(x: Matrix, y: Matrix) -> list[Node]:
        return lower_operator(operator, lowering, x, y)

    if isinstance(operator, Compression):
        return stream_features(
            lowering, "compression", source, target, fractions, body, depth, width
        )
    room = sizes(operator, source.rows)[3]
    return stream_tokens(
        lowering, "linear", source, target, fractions, room, body, depth, width, in_place
    )


@singledispatch
def sizes(operator: Operator, tokens: int) -> tuple[int, int, int, int]:
    """Return features in, tokens and features out, and features that a row of Y has space for."""
    raise TypeError(f"cannot compile {type(operator).__name__}")


@sizes.register
def _(operator: ButterflyLinear, tokens: int) -> tuple[int, int, int, int]:
    return operator.in_features, tokens, operator.out_features, operator.twiddle.size


@sizes.register
def _(operator: HierarchicalLinear, tokens: int) -> tuple[int, int, int, int]:
    room = operator.coefficients.shape[0] * operator.tile
    return operator.in_features, tokens, operator.out_features, room


@sizes.register
def _(operator: Mixing, tokens: int) -> tuple[int, int, int, int]:
    return operator.features, tokens, operator.features, 1 << log_points(operator.features)


@sizes.register
def _(operator: Compression, tokens: int) -> tuple[int, int, int, int]:
    kept = tokens // operator.chunk * operator.kept
    return operator.features, max(kept, 1), operator.features, operator.features


@singledispatch
def lower_operator(
    operator: Operator, lowering: ButterflyLowering, x: Matrix, y: Matrix
) -> list[Node]:
    """Return the nodes that compute `y` from `x`."""
    raise TypeError(f"cannot compile {type(operator).__name__}")


@lower_operator.register
def _(operator: ButterflyLinear, lowering: ButterflyLowering, x: Matrix, y: Matrix) -> list[Node]:
    return lowering.linear("linear", operator, x, y)


@lower_operator.register
def _(
    operator: HierarchicalLinear, lowering: ButterflyLowering, x: Matrix, y: Matrix
) -> list[Node]:
    return lowering.hierarchical("tiles", operator, x, y)


@lower_operator.register
def _(operator: Mixing, lowering: ButterflyLowering, x: Matrix, y: Matrix) -> list[Node]:
    return lowering.mix("mixing", x, y, operator.spectrum_fraction, operator.scale)


@lower_operator.register
def _(operator: Compression, lowering: ButterflyLowering, x: Matrix, y: Matrix) -> list[Node]:
    return lowering.compress(
        "compression", x, y, operator.chunk, operator.kept, operator.spectrum_fraction
    )
