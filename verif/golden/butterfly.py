"""Model of a whole butterfly transform on a block of rows, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_format import (
    COEFFICIENT_FRACTION,
    DATA_BITS,
    Mode,
    stage_scales,
)
from ...hw.butterfly_order import pass_lengths
from .butterfly_unit import Points, butterfly_unit
from .rounding import saturate

MAXIMUM_POINTS = 8192
MARGIN = 8
"""What rounding may add to the bound on a magnitude in one pass."""

SMALLEST_BOUND = 2.0**-COEFFICIENT_FRACTION


@dataclass(frozen=True)
class Block:
    """Rows with one exponent: a number is ``points · 2^exponent``.

    Parameters
    ----------
    points : int64 [rows, n, 2]
        Real and imaginary parts within `DATA_BITS` bits.
    exponent : int
    saturated : bool
        Whether a result was too large on the way here.
    """

    points: Points
    exponent: int = 0
    saturated: bool = False

    @classmethod
    def from_float(cls, values: NDArray) -> Block:
        """Return real or complex rows [rows, n] with the smallest exponent that holds them."""
        parts = np.stack([np.real(values), np.imag(values)], axis=-1).astype(float)
        largest = float(np.abs(parts).max())
        exponent = math.frexp(largest)[1] - (DATA_BITS - 1) if largest else 0
        points = np.rint(np.ldexp(parts, -exponent)).astype(np.int64)
        return cls(saturate(points, DATA_BITS), exponent)

    def to_complex(self) -> NDArray[np.complex128]:
        """Return the numbers [rows, n]."""
        parts = np.ldexp(self.points.astype(float), self.exponent)
        return parts[..., 0] + 1j * parts[..., 1]

    def headroom(self, mode: Mode) -> int:
        """Return how many bits the largest number, or magnitude, leaves unused; -1 to 15.

        Magnitudes are found without a multiplier, at most 9 % too large; a margin pays for the
        rounding of twiddle factors and results.
        """
        parts = np.where(self.points < 0, ~self.points, self.points)
        bound = parts[..., 0]
        if mode == Mode.COMPLEX:
            larger, smaller = parts.max(axis=-1), parts.min(axis=-1)
            bound = larger + (smaller >> 1) - (smaller >> 4)
        return DATA_BITS - 1 - int(bound.max() + MARGIN).bit_length()


@dataclass(frozen=True)
class Factor:
    """One stage of a transform, in the convention of `torch_butterfly`.

    Pair i of n/2 is the points ``p = 2·(i - i mod s) + i mod s`` and ``p + s``.

    Parameters
    ----------
    log_stride : int
        Log2 of the distance s of a pair.
    coefficients : int64 [n/2, 4] or [n/2, 2]
        As `butterfly_unit` takes them, of pair i.
    mode : Mode
        REAL or COMPLEX.
    exponent : int
        Coefficients are to be multiplied by two to this power.
    """

    log_stride: int
    coefficients: NDArray[np.int64]
    mode: Mode
    exponent: int = 0

    @property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The two points of every pair."""
        index, stride = np.arange(len(self.coefficients)), 1 << self.log_stride
        first = 2 * index - index % stride
        return first, first + stride


def growths(factors: Sequence[Factor]) -> tuple[int, ...]:
    """Return by how many bits numbers may have grown behind each of `factors`, rounded up.

    A compiler knows this of real factors: the same transform of ones with all coefficients
    positive bounds every result. Magnitudes double in a complex stage.
    """
    if factors[0].mode == Mode.COMPLEX:
        return tuple(range(1, len(factors) + 1))
    bounds = np.ones(2 * len(factors[0].coefficients))
    bits = []
    for factor in factors:
        first, second = factor.pairs
        a, b, c, d = np.abs(factor.coefficients.T) / (1 << COEFFICIENT_FRACTION)
        upper = a * bounds[first] + b * bounds[second]
        lower = c * bounds[first] + d * bounds[second]
        bounds[first], bounds[second] = upper, lower
        bits.append(math.ceil(math.log2(max(bounds.max(), SMALLEST_BOUND))))
    return tuple(bits)


def real_factor(twiddle: NDArray, log_stride: int) -> Factor:
    """Return the factor nearest to 2 x 2 matrices, float [n/2, 2, 2], that grows by one bit."""
    largest = float(np.abs(twiddle).sum(axis=-1).max())
    # Rounding may add one last place to the sum of a row.
    fraction = COEFFICIENT_FRACTION + 1
    exponent = math.frexp(largest * (1 + 2.0**-fraction))[1] - 1 if largest else 0
    values = np.rint(np.ldexp(twiddle, COEFFICIENT_FRACTION - exponent)).astype(np.int64)
    return Factor(log_stride, values.reshape(-1, 4), Mode.REAL, exponent)


def fourier_factors(points: int, inverse: bool = False) -> tuple[Factor, ...]:
    """Return the factors of a Fourier transform of bit-reversed rows, by increasing stride.

    The inverse is divided by `points`, by its exponents.
    """
    sign = 2j if inverse else -2j
    factors = []
    for log_stride in range(_log2(points)):
        stride = 1 << log_stride
        low = np.arange(points // 2) % stride
        twiddles = np.exp(sign * np.pi * low / (2 * stride)) * (1 << COEFFICIENT_FRACTION)
        parts = np.rint(np.stack([twiddles.real, twiddles.imag], axis=-1)).astype(np.int64)
        factors.append(Factor(log_stride, parts, Mode.COMPLEX, -1 if inverse else 0))
    return tuple(factors)


def bit_reversal(points: int) -> NDArray[np.int64]:
    """Return which point of a row comes at each place in bit-reversed order."""
    bits = _log2(points)
    order = np.zeros(points, dtype=np.int64)
    for bit in range(bits):
        order |= (np.arange(points) >> bit & 1) << (bits - 1 - bit)
    return order


def transform(
    block: Block,
    factors: Sequence[Factor],
    passes: Sequence[int],
    real_part: bool = False,
) -> Block:
    """Apply `factors` in order.

    Before a pass the scales of its stages are found from the headroom of the block. A REAL factor
    takes real parts only and gives zero as the imaginary parts.

    Parameters
    ----------
    block : Block
        [rows, n] with n a power of two from 2 to `MAXIMUM_POINTS`.
    factors : sequence of Factor
        All of one mode.
    passes : sequence of int
        Number of stages of each pass, as `pass_lengths` gives.
    real_part : bool
        Imaginary parts of the result are dropped.

    Raises
    ------
    ValueError
        If the number of points, of stages or of coefficients is wrong.
    """
    points = block.points.shape[1]
    _log2(points)
    if sum(passes) != len(factors):
        raise ValueError(f"passes must have {len(factors)} stages in all, not {sum(passes)}")
    for factor in factors:
        if len(factor.coefficients) != points // 2 or 2 << factor.log_stride > points:
            raise ValueError(
                f"a factor of {points} points has {points // 2} coefficients and a stride below "
                f"{points}, not {len(factor.coefficients)} and {1 << factor.log_stride}"
            )
    begin = 0
    for length in passes:
        part = factors[begin : begin + length]
        block = apply_pass(block, part, pass_scales(block, part))
        begin += length
    if real_part:
        block = replace(block, points=block.points * np.array([1, 0]))
    return block


def fourier_transform(
    block: Block, chained: int, inverse: bool = False, real_part: bool = False
) -> Block:
    """Return the (inverse) Fourier transform of rows in natural order, `chained` stages a pass."""
    points = block.points.shape[1]
    factors = fourier_factors(points, inverse)
    reversed_rows = replace(block, points=block.points[:, bit_reversal(points)])
    passes = pass_lengths(len(factors), chained)
    return transform(reversed_rows, factors, passes, real_part=real_part)


def pass_scales(block: Block, factors: Sequence[Factor]) -> tuple[int, ...]:
    """Return the scale of every stage of a pass on `block`."""
    return stage_scales(growths(factors), block.headroom(factors[0].mode))


def apply_pass(block: Block, factors: Sequence[Factor], scales: Sequence[int]) -> Block:
    """Apply the factors of one pass, each divided by two to the power of its scale."""
    points, exponent, saturated = block.points.copy(), block.exponent, block.saturated
    for factor, scale in zip(factors, scales, strict=True):
        first, second = factor.pairs
        y0, y1, too_large = butterfly_unit(
            points[:, first], points[:, second], factor.coefficients, factor.mode, scale
        )
        points[:, first], points[:, second] = y0, y1
        exponent += scale + factor.exponent
        saturated |= too_large
    limited = saturate(points, DATA_BITS)
    return Block(limited, exponent, saturated or bool((limited != points).any()))


def _log2(points: int) -> int:
    if not 2 <= points <= MAXIMUM_POINTS or points & (points - 1):
        raise ValueError(f"points must be a power of two from 2 to {MAXIMUM_POINTS}, not {points}")
    return points.bit_length() - 1
