"""The table behind the powers of two of SOFTMAX."""

from .interpolation import Segment, tabulate

POSITION_BITS = 15
"""Fraction bits of the exponent where it is looked up."""

SEGMENTS = 64

VALUE_BITS = 16
"""Fraction bits of the tabulated values."""


def exponential_table() -> tuple[Segment, ...]:
    """Return the segments of 2^-f on [0, 1), at most 1.5e-5 above the function."""
    return tabulate(lambda f: 2.0**-f, 1, SEGMENTS, VALUE_BITS)
