"""Operators that become butterflies: what they are, their sizes, and their nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TypeGuard

from ..hw.config import AcceleratorConfig
from .butterfly.hierarchical import HierarchicalLinear
from .butterfly.linear import ButterflyLinear
from .gir import Node
from .passes.butterfly import Matrix
from .passes.butterfly_layers import ButterflyLowering, log_points


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


def is_complex(operator: Operator) -> TypeGuard[ButterflyLinear]:
    """Return whether an operator takes and gives complex numbers: a layer of such coefficients."""
    return isinstance(operator, ButterflyLinear) and operator.twiddle.is_complex


def replaces_its_input(operator: Operator) -> bool:
    """Return whether Y may take the place of X: one transform of all features, nothing added."""
    if not isinstance(operator, ButterflyLinear) or operator.bias is not None:
        return False
    twiddle = operator.twiddle
    is_single = twiddle.stacks == twiddle.blocks == 1
    is_single &= not twiddle.is_complex
    return is_single and twiddle.size == operator.in_features == operator.out_features


def rows_together(operator: Operator, config: AcceleratorConfig, tokens: int) -> int:
    """Return how many tokens lie side by side in a vector.

    Short rows that follow each other in DRAM are read and written as one, so that bursts are as
    long as they may be; their transforms are blocks of one instruction.
    """
    is_plain = isinstance(operator, Fourier) or replaces_its_input(operator)
    features = sizes(operator, tokens)[0]
    if not is_plain or features & (features - 1) or 2 * features % config.axi_bytes:
        return 1
    burst_features = config.axi.burst_beats * config.axi_bytes // 2
    together = 1
    while 2 * together * features <= burst_features and tokens % (2 * together) == 0:
        together *= 2
    return together


def remedy(operator: Operator) -> str:
    """Return what has no room however it is cut, and what helps, for the end of a refusal."""
    if isinstance(operator, Compression):
        what, fewer = f"a chunk of {operator.chunk} tokens and its spectrum", "a shorter chunk"
    elif isinstance(operator, Fourier | Mixing):
        what, fewer = f"a row of {operator.features} features and its spectrum", "fewer features"
    else:
        what, fewer = "one token with the coefficients of a tile", "smaller tiles"
    return f"it takes {what} at a time; use {fewer} or a larger scratchpad.bytes"


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
