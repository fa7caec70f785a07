"""Butterfly factors as the hardware takes them: 16-bit coefficients, exponents, growths, order."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_format import COEFFICIENT_FRACTION
from ...hw.butterfly_order import coefficient_order, pack_growths, pass_lengths, plan_passes
from ...hw.config import AcceleratorConfig
from .errors import ButterflyError

SMALLEST_BOUND = 2.0**-COEFFICIENT_FRACTION
LEAST_GROWTH = -8


@dataclass(frozen=True)
class FixedFactors:
    """The factors of one BUTTERFLY instruction in mode REAL.

    Parameters
    ----------
    coefficients : int64 [stages, pairs, 4]
        2 x 2 matrices row by row with 14 fraction bits, of the pairs of all blocks.
    log_points : int
        Log2 of the points of a block.
    log_stride : int
        Of the first factor.
    decreasing : bool
        Whether the strides of the others decrease.
    exponent : int
        The product of the factors is to be multiplied by two to this power.
    """

    coefficients: NDArray[np.int64]
    log_points: int
    log_stride: int
    decreasing: bool
    exponent: int

    @property
    def stages(self) -> int:
        """Number of factors."""
        return len(self.coefficients)

    @property
    def points(self) -> int:
        """Points of all blocks."""
        return 2 * self.coefficients.shape[1]

    @property
    def blocks(self) -> int:
        """Transforms side by side."""
        return self.points >> self.log_points

    def log_strides(self) -> list[int]:
        """Return log2 of the stride of each factor."""
        step = -1 if self.decreasing else 1
        return [self.log_stride + step * index for index in range(self.stages)]

    def growths(self, chained: int) -> int:
        """Return the field `growths` for `chained` stages a pass.

        The transform of ones with all coefficients positive bounds every result.
        """
        bits: list[int] = []
        first = 0
        for length in pass_lengths(self.stages, chained):
            bits += self._growths(first, first + length)
            first += length
        return pack_growths(bits)

    def _growths(self, first: int, end: int) -> list[int]:
        bounds = np.ones(self.points)
        bits = []
        for factor, log_stride in zip(
            self.coefficients[first:end], self.log_strides()[first:end], strict=True
        ):
            matrices = np.abs(factor.reshape(-1, 1 << log_stride, 2, 2)) / (
                1 << COEFFICIENT_FRACTION
            )
            pairs = bounds.reshape(-1, 2, 1 << log_stride)
            bounds = np.einsum("bsoi,bis->bos", matrices, pairs).reshape(-1)
            largest = max(float(bounds.max()), SMALLEST_BOUND)
            bits.append(max(math.ceil(math.log2(largest)), LEAST_GROWTH))
        return bits

    def words(self, config: AcceleratorConfig, *, tokens: bool = False) -> NDArray[np.uint64]:
        """Return the words at `coefficient_address`.

        Parameters
        ----------
        config : AcceleratorConfig
        tokens : bool
            Whether the axis is TOKENS.
        """
        table = self.coefficients.astype("<i2").view("<u8").reshape(-1)
        fields = self.log_points, self.log_stride, self.stages, self.decreasing
        places = _places(config.butterfly.stages, config.lanes, self.points, fields, tokens)
        return np.append(table, np.uint64(0))[places]


@functools.cache
def _places(
    chained: int, lanes: int, points: int, fields: tuple[int, int, int, bool], tokens: bool
) -> NDArray[np.intp]:
    """Return where each word lies in a table [stages, pairs]; behind its end for none."""
    log_points, log_stride, stages, decreasing = fields
    passes = plan_passes(
        chained, log_points, log_stride, stages, decreasing=decreasing, tokens=tokens
    )
    pairs = points // 2
    order = coefficient_order(passes, lanes, points, tokens=tokens)
    return np.array(
        [stages * pairs if place is None else place[0] * pairs + place[1] for place in order]
    )


def fix_factors(
    matrices: NDArray[np.floating], log_strides: Sequence[int], log_points: int
) -> FixedFactors:
    """Round factors to 16 bits, each with an exponent of its own.

    Parameters
    ----------
    matrices : float [stages, pairs, 2, 2]
        Of all blocks.
    log_strides : sequence of int
        Of each factor, up by one each time or down by one.
    log_points : int

    Raises
    ------
    ButterflyError
        If a coefficient is complex.
    """
    if np.iscomplexobj(matrices):
        raise ButterflyError("free coefficients must be real to run on the hardware")
    fixed = [_fix(factor) for factor in matrices]
    return FixedFactors(
        np.stack([coefficients for coefficients, _ in fixed]),
        log_points,
        log_strides[0],
        len(log_strides) > 1 and log_strides[1] < log_strides[0],
        sum(exponent for _, exponent in fixed),
    )


def _fix(factor: NDArray[np.floating]) -> tuple[NDArray[np.int64], int]:
    """Return coefficients whose rows sum to at most 2 in magnitude, and their exponent."""
    largest = float(np.abs(factor).sum(axis=-1).max())
    # Rounding may add one last place to the sum of a row.
    margin = 1 + 2.0 ** -(COEFFICIENT_FRACTION + 1)
    exponent = math.frexp(largest * margin)[1] - 1 if largest else 0
    scaled = np.ldexp(factor, COEFFICIENT_FRACTION - exponent)
    return np.rint(scaled).astype(np.int64).reshape(-1, 4), exponent
