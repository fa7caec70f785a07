"""Programs of one butterfly operator: a layer, a transform, mixing, or sequence compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
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
from .passes.butterfly_stream import (
    WORD_NUMBERS,
    StreamedMixing,
    Tiling,
    stream_features,
    stream_spectrum,
    stream_tokens,
)
from .passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .program import Program
from .tensor import Tensor


@dataclass(frozen=True)
class Fourier:
    """The transform of the features of each token, all real parts above all imaginary ones.

    Features that are no power of two are padded, and as many frequencies are kept.

    Parameters
    ----------
    features : int
    """

    features: int


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


Operator = ButterflyLinear | HierarchicalLinear | Fourier | Mixing | Compression


def compile_butterfly(
    operator: Operator, config: AcceleratorConfig, tokens: int, fractions: tuple[int, int]
) -> Program:
    """Compile one operator; what does not fit the scratchpad goes through it in tiles.

    Parameters
    ----------
    operator : ButterflyLinear, HierarchicalLinear, Fourier, Mixing or Compression
    config : AcceleratorConfig
    tokens : int
        Rows of the input.
    fractions : tuple of int
        Fraction bits of input and output; those of a mixing are equal.

    Returns
    -------
    Program
        Input tensor ``input``, int16 [tokens, features], and output tensor ``output``: as many
        rows, but ``2 · tokens`` of a `Fourier`, and those that a `Compression` keeps.

    Raises
    ------
    CompileError
        If the machine cannot run the operator, or the scratchpad is too small.
    """
    if tokens < 1:
        raise CompileError(f"tokens must be at least 1, not {tokens}")
    search = _Search(operator, config, tokens, fractions)
    found = search.overlapping()
    if found:
        return min(found, key=_predicted)
    *ways, last = _serial(operator, config)
    for way in ways:
        if program := search.attempt(way):
            return program
    return search.program(last)


TURNS = (1, 2, 3, 4, 6, 8)
"""Vectors of a tile for each lane of the unit that are tried."""

DEPTHS = (2, 3, 6)
"""Tiles under way that are tried."""


def _predicted(program: Program) -> int:
    cycles: int = program.metadata["predicted_cycles"]
    return cycles


class _Search:
    """Programs of one operator by how its matrices are cut."""

    def __init__(
        self,
        operator: Operator,
        config: AcceleratorConfig,
        tokens: int,
        fractions: tuple[int, int],
    ) -> None:
        self.operator, self.config = operator, config
        self.tokens, self.fractions = tokens, fractions

    def program(self, lower: Lower) -> Program:
        """Return the program of one way to cut them."""
        return _program(lower, self.operator, self.config, self.tokens, self.fractions)

    def attempt(self, lower: Lower) -> Program | None:
        """Return the program if the scratchpad has room for it."""
        with suppress(NoRoomError):
            return self.program(lower)
        return None

    def overlapping(self) -> list[Program]:
        """Return programs of whole matrices, and of tiles of which several may be under way."""
        whole = self.attempt(_whole)
        found = [whole] if whole else []
        lanes = self.config.butterfly.lanes
        vectors = self.tokens // rows_together(self.operator, self.config, self.tokens)
        if isinstance(self.operator, Compression):
            vectors = self.operator.features // WORD_NUMBERS
        for width in (turns * lanes for turns in TURNS):
            if width != lanes and width >= vectors:
                break
            programs = self._of_width(width)
            found += programs
            if not programs:
                break
        return found

    def _of_width(self, width: int) -> list[Program]:
        """Return programs of tiles of `width`, more of them under way as long as that helps."""
        lanes = self.config.butterfly.lanes
        tiling = Tiling(width, in_place=_replaces_its_input(self.operator))
        found: list[Program] = []
        for depth in DEPTHS:
            program = self.attempt(partial(_tiled, tiling=replace(tiling, depth=depth)))
            if program is None or (found and _predicted(program) >= _predicted(found[-1])):
                break
            found.append(program)
            tiling = replace(tiling, depth=depth)
        if found and lanes < width:
            short = self.attempt(partial(_tiled, tiling=replace(tiling, edge=lanes)))
            found += [short] if short else []
        return found


def _serial(operator: Operator, config: AcceleratorConfig) -> Iterator[Lower]:
    """Yield single tiles, down to those that leave most lanes without work."""
    width = config.butterfly.lanes
    in_place = _replaces_its_input(operator)
    while width:
        yield partial(_tiled, tiling=Tiling(width, 1, in_place=in_place))
        width //= 2


def _replaces_its_input(operator: Operator) -> bool:
    """Return whether Y may take the place of X: one transform of all features, nothing added."""
    if not isinstance(operator, ButterflyLinear) or operator.bias is not None:
        return False
    twiddle = operator.twiddle
    is_single = twiddle.stacks == twiddle.blocks == 1
    return is_single and twiddle.size == operator.in_features == operator.out_features


def rows_together(operator: Operator, config: AcceleratorConfig, tokens: int) -> int:
    """Return how many tokens lie side by side in a vector.

    Short rows that follow each other in DRAM are read and written as one, so that bursts are as
    long as they may be; their transforms are blocks of one instruction.
    """
    is_plain = isinstance(operator, Fourier) or _replaces_its_input(operator)
    features = sizes(operator, tokens)[0]
    if not is_plain or features & (features - 1) or 2 * features % config.axi_bytes:
        return 1
    burst_features = config.axi.burst_beats * config.axi_bytes // 2
    together = 1
    while 2 * together * features <= burst_features and tokens % (2 * together) == 0:
        together *= 2
    return together


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
    together = rows_together(operator, config, tokens)
    shapes = (tokens, features), (tokens_out, features_out)
    source, target = (
        memory.dram(name, "int16", shape[0] // together, shape[1] * together, window)
        for name, shape, window in zip(
            ("input", "output"), shapes, (INPUT_WINDOW, OUTPUT_WINDOW), strict=True
        )
    )
    body = lower(operator, lowering, source, target, fractions)
    graph = run_butterfly_passes(Graph("butterfly", tuple(memory.buffers), tuple(body)), config)
    metadata = describe_fabnet(graph, config)
    program = package(graph, lowering.constants, fractions, metadata, config)
    inputs, outputs = (
        tuple(_reshaped(tensor, together) for tensor in tensors)
        for tensors in (program.inputs, program.outputs)
    )
    return replace(program, inputs=inputs, outputs=outputs)


def _reshaped(tensor: Tensor, together: int) -> Tensor:
    """Return the tensor with a row for each of the `together` tokens of one."""
    rows, columns = tensor.shape
    shape = rows * together, columns // together
    return replace(tensor, shape=shape, stride=tensor.stride // together)


def _whole(
    operator: Operator,
    lowering: ButterflyLowering,
    source: Buffer,
    target: Buffer,
    fractions: tuple[int, int],
) -> list[Node]:
    """Return the nodes of an operator whose matrices are in the scratchpad."""
    if isinstance(operator, Fourier):
        whole = Tiling(source.rows, 1)
        return _tiled(operator, lowering, source, target, fractions, whole)
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
    tiling: Tiling,
) -> list[Node]:
    """Return the nodes of an operator whose matrices go through the scratchpad in tiles."""
    if isinstance(operator, Mixing):
        spectrum = operator.spectrum_fraction
        mixing = StreamedMixing(
            lowering, "mixing", fractions[0], spectrum, operator.scale, tiling, tiling
        )
        return [node for step in mixing.steps(source, target) for node in step]
    if isinstance(operator, Fourier):
        blocks = source.columns // operator.features
        return stream_spectrum(lowering, "fourier", source, target, fractions, blocks, tiling)

    def body(x: Matrix, y: Matrix) -> list[Node]:
        return lower_operator(operator, lowering, x, y)

    if isinstance(operator, Compression):
        return stream_features(lowering, "compression", source, target, fractions, body, tiling)
    room = sizes(operator, source.rows)[3]
    return stream_tokens(lowering, "linear", source, target, fractions, room, body, tiling)


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
def _(operator: Fourier, tokens: int) -> tuple[int, int, int, int]:
    return operator.features, 2 * tokens, operator.features, 1 << log_points(operator.features)


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
    together = x.values.columns // operator.in_features
    if together > 1:
        return [lowering.side_by_side("linear", operator, x, y, together)]
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
