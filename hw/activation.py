"""The tables behind GELU and SILU: how far they lie below ReLU."""

import math

from .interpolation import Segment, tabulate

POSITION_BITS = 15
"""Fraction bits of |x| where it is looked up."""

TABLE_END = 4
"""The table of GELU covers [0, TABLE_END); beyond, GELU is ReLU."""

SEGMENTS = 128
"""Segments of the table of GELU, and of either table of SILU as it is addressed."""

SILU_FINE_END = 2
"""Where the fine table of SILU ends and the coarse one takes over."""

SILU_TABLE_END = 16
"""The coarse table of SILU covers [0, SILU_TABLE_END); beyond, SILU is ReLU."""

COARSE_BITS = 2
"""The coarse segments of SILU are 2^COARSE_BITS times as long as all others."""

VALUE_BITS = 17
"""Fraction bits of the tabulated values."""


def gelu_distance(x: float) -> float:
    """Return ``relu(x) - gelu(x)`` = |x| Φ(-|x|), the same on both sides of zero."""
    return abs(x) * math.erfc(abs(x) / math.sqrt(2)) / 2


def silu_distance(x: float) -> float:
    """Return ``relu(x) - silu(x)`` = |x| / (1 + e^|x|), the same on both sides of zero."""
    return abs(x) / (1 + math.exp(abs(x)))


def gelu_table() -> tuple[Segment, ...]:
    """Return the segments of `gelu_distance` on [0, TABLE_END).

    Chords of 1/32 lie at most 1.0e-4 below the function, 0.2 of a last place with 11 fraction bits.
    """
    return tabulate(gelu_distance, TABLE_END, SEGMENTS, VALUE_BITS)


def silu_coarse_table() -> tuple[Segment, ...]:
    """Return the segments of `silu_distance` on [0, SILU_TABLE_END), for SILU_FINE_END and beyond.

    Chords of 1/8 lie there at most 1.0e-4 off the function, as those of GELU.
    """
    return tabulate(silu_distance, SILU_TABLE_END, SEGMENTS, VALUE_BITS)


def silu_fine_table() -> tuple[Segment, ...]:
    """Return the segments of `silu_distance` on [0, SILU_FINE_END).

    Chords of 1/32 lie at most 6.1e-5 below the function.
    """
    return tabulate(silu_distance, SILU_FINE_END, SEGMENTS // 2, VALUE_BITS)
