"""Tables of functions that the vector unit interpolates linearly between."""

from collections.abc import Callable
from typing import NamedTuple

OFFSET_BITS = 10
"""Bits of the place within a segment."""


class Segment(NamedTuple):
    """One segment of a table: ``value = base + floor(delta · offset / 2^OFFSET_BITS)``."""

    base: int
    delta: int


def tabulate(
    function: Callable[[float], float], end: float, segments: int, fraction_bits: int
) -> tuple[Segment, ...]:
    """Return `segments` chords of `function` on [0, end), with `fraction_bits` fraction bits."""
    scale = 1 << fraction_bits
    knots = [round(function(end * k / segments) * scale) for k in range(segments + 1)]
    return tuple(Segment(base, after - base) for base, after in zip(knots, knots[1:], strict=False))
