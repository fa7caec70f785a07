"""Programs of one butterfly operator: a layer, a transform, mixing, or sequence compression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, takewhile
from typing import Any

from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from .butterfly.bounds import factor_fractions
from .butterfly.hierarchical import HierarchicalLinear
from .butterfly.linear import ButterflyLinear
from .butterfly_lowerings import Lower, in_groups, in_trips, mixed, resident, tiled
from .butterfly_operators import (
    Compression,
    Mixing,
    Operator,
    is_complex,
    remedy,
    replaces_its_input,
    rows_together,
    sizes,
)
from .errors import CompileError, NoRoomError
from .fabnet_compiler import describe_fabnet, run_butterfly_passes
from .gir import Graph, Node
from .mixing_tilings import rank_mixing
from .package import package
from .passes.butterfly_layers import ButterflyLowering
from .passes.butterfly_split import SplitTiling, least_bytes, least_width
from .passes.butterfly_stream import WORD_NUMBERS, Tiling
from .passes.butterfly_tiles import TileGroups, group_sizes
from .passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, Memory
from .program import Program
from .tensor import Tensor


def compile_butterfly(
    operator: Operator,
    config: AcceleratorConfig,
    tokens: int,
    fractions: tuple[int, int],
    calibration: NDArray[Any] | None = None,
) -> Program:
    """Compile one operator; what does not fit the scratchpad goes through it in tiles.

    Layers of which not even a row fits, with its coefficients, take several trips through DRAM.

    Parameters
    ----------
    operator : ButterflyLinear, HierarchicalLinear, Fourier, Mixing or Compression
    config : AcceleratorConfig
    tokens : int
        Rows of the input.
    fractions : tuple of int
        Fraction bits of input and output; those of a mixing are equal.
    calibration : [rows, in_features], optional
        Inputs of a layer, from which the fractions between trips, and between complex factors, are
        chosen. Without them no input saturates there.

    Returns
    -------
    Program
        Input tensor ``input``, int16 [tokens, features], and output tensor ``output``: as many
        rows, but ``2 · tokens`` of a `Fourier`, and those that a `Compression` keeps. Complex
        layers have ``2 · tokens`` rows in both, the real parts above the imaginary ones.

    Raises
    ------
    CompileError
        If the machine cannot run the operator, or the scratchpad is too small.
    """
    if tokens < 1:
        raise CompileError(f"tokens must be at least 1, not {tokens}")
    if is_complex(operator):
        _check_complex(operator, config)
    search = _Search(operator, config, tokens, fractions, calibration)
    if isinstance(operator, Mixing):
        found = search.mixing(operator.features)
    else:
        found = [] if is_complex(operator) else search.overlapping()
    if not found:
        found = [*search.serial(), *search.split()]
    if not found and search.refusal:
        raise CompileError(f"{search.refusal}: {remedy(operator)}")
    return min(found, key=_predicted)


def _check_complex(layer: ButterflyLinear, config: AcceleratorConfig) -> None:
    """Check that the stacks of a complex layer begin at words and at beats of the bus."""
    size, stacks = layer.twiddle.size, layer.twiddle.stacks
    least = WORD_NUMBERS if stacks == 1 else 1 << least_width(config.axi_bytes)
    if size < least:
        raise CompileError(
            f"linear: the {stacks} complex stacks of {layer.in_features} inputs and "
            f"{layer.out_features} outputs must have at least {least} points, not {size}"
        )


TURNS = (1, 2, 3, 4, 6, 8)
"""Vectors of a tile for each lane of the unit that are tried."""

DEPTHS = (2, 3, 6)
"""Tiles under way that are tried."""

MIXING_TILINGS = 2
"""Ways to cut a mixing of which there is a program, the best ones step by step."""


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
        calibration: NDArray[Any] | None,
    ) -> None:
        self.operator, self.config = operator, config
        self.tokens, self.fractions = tokens, fractions
        self.calibration = calibration
        self.refusal: NoRoomError | None = None

    def program(self, lower: Lower) -> Program:
        """Return the program of one way to cut them."""
        return _program(lower, self.operator, self.config, self.tokens, self.fractions)

    def attempt(self, lower: Lower) -> Program | None:
        """Return the program if the scratchpad has room for it."""
        try:
            return self.program(lower)
        except NoRoomError as error:
            self.refusal = error
        return None

    def mixing(self, features: int) -> list[Program]:
        """Return programs of whole matrices, and of the best ways to cut them."""
        found = [self.attempt(resident)]
        for tiling in rank_mixing(self.tokens, features, self.config)[:MIXING_TILINGS]:
            found.append(self.attempt(partial(mixed, tiling=tiling)))
        return [program for program in found if program]

    def serial(self) -> list[Program]:
        """Return programs of tiles with fewer vectors, or one at a time, as long as that helps."""
        if is_complex(self.operator):
            return []
        in_place = replaces_its_input(self.operator)
        found: list[Program] = []
        for width, depth in self._narrower():
            tiling = Tiling(width, depth, in_place=in_place)
            program = self.attempt(partial(tiled, tiling=tiling))
            if program and found and _predicted(program) >= _predicted(found[-1]):
                break
            found += [program] if program else []
        return found

    def split(self) -> list[Program]:
        """Return programs of a layer in trips, of the largest tiles that fit and of half those.

        A compression goes by parts of the tokens, a layer in tiles by groups of them.
        """
        layer = self.operator
        if isinstance(layer, Compression):
            return self._by_parts(layer)
        if isinstance(layer, HierarchicalLinear):
            return self._by_groups(layer)
        if not isinstance(layer, ButterflyLinear):
            return []
        between = factor_fractions(layer, self.fractions[0], self.calibration)
        for stack in between:
            stack[-1] = self.fractions[1]
        lower = partial(in_trips, between=between)
        least = least_width(self.config.axi_bytes)
        found: list[Program] = []
        whole = layer.twiddle.log_size
        for log_points in range(whole, min(least, whole - 1), -1):
            programs = self._of_points(lower, log_points)
            if found and (not programs or _predicted(programs[0]) >= _predicted(found[-1])):
                break
            found += programs
        return found

    def _by_parts(self, operator: Compression) -> list[Program]:
        """Return the program of the fewest parts of whole chunks of which one fits."""
        chunks = self.tokens // operator.chunk
        counts = [count for count in range(2, chunks + 1) if chunks % count == 0]
        for width, depth in self._narrower():
            for parts in counts:
                tiling = Tiling(width, depth, parts=parts)
                if program := self.attempt(partial(tiled, tiling=tiling)):
                    return [program]
        return []

    def _by_groups(self, layer: HierarchicalLinear) -> list[Program]:
        """Return programs of groups of tiles, the largest that fit and smaller ones if they win."""
        found: list[Program] = []
        for down, across in group_sizes(layer, self.config.scratchpad.bytes):
            sizes = (TileGroups(down, across, *size) for size in self._narrower())
            attempts = (self.attempt(partial(in_groups, groups=groups)) for groups in sizes)
            program = next((each for each in attempts if each), None)
            if found and (program is None or _predicted(program) >= _predicted(found[-1])):
                break
            found += [program] if program else []
        return found

    def _narrower(self) -> Iterator[tuple[int, int]]:
        """Yield vectors of a tile and tiles under way: all lanes first, then fewer."""
        width = self.config.butterfly.lanes
        while width:
            yield width, DEPTHS[0]
            yield width, 1
            width //= 2

    def _of_points(self, lower: partial[list[Node]], log_points: int) -> list[Program]:
        """Return the program of tiles of 2^`log_points` points, if any fits: the most of them."""
        assert isinstance(self.operator, ButterflyLinear)
        for rows, depth in self._narrower():
            tiling = SplitTiling(log_points, rows, depth)
            least = least_bytes(self.operator, tiling, self.config)
            if least <= self.config.scratchpad.bytes:
                program = self.attempt(partial(lower, tiling=tiling))
                if program is not None:
                    return [program]
        return []

    def overlapping(self) -> list[Program]:
        """Return programs of whole matrices, and of tiles of which several may be under way."""
        whole = self.attempt(resident)
        found = [whole] if whole else []
        lanes = self.config.butterfly.lanes
        vectors = self.tokens // rows_together(self.operator, self.config, self.tokens)
        if isinstance(self.operator, Compression):
            vectors = self.operator.features // WORD_NUMBERS
        wider = [turns * lanes for turns in TURNS[1:] if turns * lanes < vectors]
        fitting = list(takewhile(bool, map(self._of_width, (lanes, *wider))))
        if not whole and wider and len(fitting) == 1:
            # Tiles of long rows: two with half of the lanes may have room beside each other.
            fitting.append(self._of_width(lanes // 2))
        return [*found, *chain.from_iterable(fitting)]

    def _of_width(self, width: int) -> list[Program]:
        """Return programs of tiles of `width`, more of them under way as long as that helps."""
        lanes = self.config.butterfly.lanes
        tiling = Tiling(width, in_place=replaces_its_input(self.operator))
        found: list[Program] = []
        for depth in DEPTHS:
            program = self.attempt(partial(tiled, tiling=replace(tiling, depth=depth)))
            if program is None or (found and _predicted(program) >= _predicted(found[-1])):
                break
            found.append(program)
            tiling = replace(tiling, depth=depth)
        if found and lanes < width:
            short = self.attempt(partial(tiled, tiling=replace(tiling, edge=lanes)))
            found += [short] if short else []
        return found


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
    planes = 2 if is_complex(operator) else 1
    shapes = (planes * tokens, features), (planes * tokens_out, features_out)
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
