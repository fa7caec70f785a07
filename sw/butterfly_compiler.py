"""Programs of one butterfly operator: a layer, token mixing, or sequence compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from .butterfly.hierarchical import HierarchicalLinear
from .butterfly.linear import ButterflyLinear
from .errors import CompileError
from .fabnet_compiler import describe_fabnet, run_butterfly_passes
from .gir import Graph, Node
from .package import package
from .passes.build import load, part, store
from .passes.butterfly import Matrix
from .passes.butterfly_layers import ButterflyLowering
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
    """Compile one operator.

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
    memory = Memory(config)
    lowering = ButterflyLowering(memory)
    features, tokens_out, features_out, room = sizes(operator, tokens)
    x = lowering.matrix("x", tokens, features, fractions[0])
    y = x
    if not isinstance(operator, Mixing):
        y = lowering.matrix("y", tokens_out, features_out, fractions[1], room)
    source = memory.dram("input", "int16", tokens, features, INPUT_WINDOW)
    target = memory.dram("output", "int16", tokens_out, features_out, OUTPUT_WINDOW)
    body: list[Node] = [
        load(part(source), x.whole(), "input"),
        *lowering.with_loads(lower_operator(operator, lowering, x, y)),
        store(y.whole(), part(target), "output"),
    ]
    graph = run_butterfly_passes(Graph("butterfly", tuple(memory.buffers), tuple(body)), config)
    metadata = describe_fabnet(graph, config)
    constants: dict[str, NDArray[np.generic]] = lowering.constants
    return package(graph, constants, fractions, metadata, config)


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
    return operator.features, tokens, operator.features, operator.features


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
