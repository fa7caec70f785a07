"""Number formats of the butterfly engine, and the scaling of its stages."""

from collections.abc import Sequence

from amaranth.lib import enum

from .config import ConfigError

DATA_BITS = 16
"""Bits of a real number, or of each part of a complex one, in the scratchpad."""

STAGE_BITS = 18
"""Bits of the same between chained stages, as wide as a multiplier takes at no cost."""

COEFFICIENT_BITS = 16
COEFFICIENT_FRACTION = 14
"""Fraction bits of a coefficient: -2 to 2, with an exact 1."""

LOWEST_SCALE = -2
HIGHEST_SCALE = 3
"""Range of a stage's scale: its results are divided by two to this power."""

LOWEST_GIVEN_SCALE = -COEFFICIENT_FRACTION
HIGHEST_GIVEN_SCALE = 31 - COEFFICIENT_FRACTION
"""The same for the last stage of a transform whose result has a given exponent."""

SCALE_BITS = 6
"""Bits of a scale, signed."""


class Mode(enum.Enum, shape=2):
    """What a butterfly unit does with a pair of points."""

    REAL = 0
    """A free 2 x 2 matrix on two real numbers."""
    COMPLEX = 1
    """Sum and difference of a complex number and a second one times a twiddle factor."""
    PASS = 2
    """Nothing, in the same time."""


def stage_scales(growths: Sequence[int], headroom: int) -> tuple[int, ...]:
    """Return the scale of every stage of a pass, such that no stage saturates.

    A result uses all bits that the bound on it permits: `STAGE_BITS` behind the inner stages and
    `DATA_BITS` behind the last one. A block with more headroom than the scales can take up in one
    pass keeps the rest.

    Parameters
    ----------
    growths : sequence of int
        Bits that a number (or magnitude, if complex) may have gained behind each stage since the
        first one began, rounded up; at most one more a stage.
    headroom : int
        Bits that every number of the block (or magnitude, if complex) leaves unused, from -1 to
        `DATA_BITS` - 1.

    Raises
    ------
    ConfigError
        If there is no stage, a growth or the headroom is out of range.
    """
    if not growths:
        raise ConfigError("growths must have at least 1 stage, not 0")
    for index, growth in enumerate(growths):
        if growth > index + 1:
            raise ConfigError(f"growth of stage {index} must be at most {index + 1}, not {growth}")
    if not -1 <= headroom < DATA_BITS:
        raise ConfigError(f"headroom must be -1 to {DATA_BITS - 1}, not {headroom}")
    return clamped_scales(growths, headroom)


def clamped_scales(growths: Sequence[int], headroom: int) -> tuple[int, ...]:
    """Return the same for any growths and headroom, as the hardware does."""
    scales: list[int] = []
    for index, growth in enumerate(growths):
        spare = 0 if index == len(growths) - 1 else STAGE_BITS - DATA_BITS
        scale = growth - headroom - spare - sum(scales)
        scales.append(min(max(scale, LOWEST_SCALE), HIGHEST_SCALE))
    return tuple(scales)


def given_scales(scales: Sequence[int], shift: int) -> tuple[int, ...]:
    """Return the scales of the last pass for results of a given exponent.

    Parameters
    ----------
    scales : sequence of int
        As `clamped_scales` gives them.
    shift : int
        The given exponent less that which `scales` lead to.
    """
    last = min(max(scales[-1] + shift, LOWEST_GIVEN_SCALE), HIGHEST_GIVEN_SCALE)
    return (*scales[:-1], last)
