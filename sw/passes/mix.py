"""Lower the product of probabilities and values."""

from __future__ import annotations

from ...hw.config import ArrayConfig
from ..gir import Node, Operation, Slice
from .build import matmul

PLANE_BITS = 7
"""Bits of a plane of probabilities."""

_LARGEST_PROBABILITY = (1 << 2 * PLANE_BITS) - 1
_LARGEST_VALUE = 127


def takes_both_planes(array: ArrayConfig, keys: int) -> bool:
    """Return whether one product multiplies both planes of so many probabilities.

    It takes rows of two planes, and accumulators that hold the largest sum of all.
    """
    largest = keys * _LARGEST_PROBABILITY * _LARGEST_VALUE
    return array.wide_rows and largest < 1 << array.accumulator_width - 1


def mix(
    planes: tuple[Slice, Slice | None],
    scale: Slice,
    values: tuple[Slice, Slice],
    y: Slice,
    fraction: int,
    product: str,
    *,
    both: bool,
    adds: bool = False,
    b_transposed: bool = False,
) -> list[Node]:
    """Return the products of the planes of probabilities with `values`, added up in `y`.

    Parameters
    ----------
    planes : tuple
        The upper one and the lower one, if there are two.
    scale : Slice
        Of the rows of probabilities.
    values : tuple
        Operand and its scales; with `b_transposed` it lies as [k, n].
    y : Slice
    fraction : int
        Bits of `y`.
    product : str
    both : bool
        Whether the array takes both planes at once: see `takes_both_planes`.
    adds : bool
        Whether to add to what `y` holds.
    b_transposed : bool
    """
    high, low = planes
    before = y if adds else None

    def times(plane: Slice, bits: int, added: Slice | None, below: Slice | None) -> Operation:
        a = plane, scale
        return matmul(a, values, y, bits, product, added, b_transposed=b_transposed, low=below)

    if low is None or both:
        return [times(high, fraction, before, low)]
    return [
        times(high, fraction + PLANE_BITS, before, None),
        times(low, fraction, y, None),
    ]
