"""Model of one butterfly unit: four real multipliers, bit for bit."""

import numpy as np
from numpy.typing import NDArray

from ...hw.butterfly_format import COEFFICIENT_FRACTION, STAGE_BITS, Mode
from .rounding import round_half_even, saturate

Points = NDArray[np.int64]
"""Complex points: real and imaginary part on the last axis. A real point has 0 as the latter."""


def _sums(x0: Points, x1: Points, coefficients: NDArray[np.int64], mode: Mode) -> Points:
    """Return the exact results [2, ..., 2] with `COEFFICIENT_FRACTION` more fraction bits."""
    if mode == Mode.PASS:
        return np.stack([x0, x1]) << COEFFICIENT_FRACTION
    if mode == Mode.REAL:
        a, b, c, d = np.moveaxis(coefficients, -1, 0)
        first, second = x0[..., 0], x1[..., 0]
        results = np.stack([a * first + b * second, c * first + d * second])
        return np.stack([results, np.zeros_like(results)], axis=-1)
    real, imaginary = coefficients[..., 0], coefficients[..., 1]
    product = np.stack(
        [
            real * x1[..., 0] - imaginary * x1[..., 1],
            real * x1[..., 1] + imaginary * x1[..., 0],
        ],
        axis=-1,
    )
    upper = x0 << COEFFICIENT_FRACTION
    return np.stack([upper + product, upper - product])


def butterfly_unit(
    x0: Points, x1: Points, coefficients: NDArray[np.int64], mode: Mode, scale: int
) -> tuple[Points, Points, bool]:
    """Combine pairs of points.

    Parameters
    ----------
    x0, x1 : int64 [..., 2]
        Points within `STAGE_BITS` bits.
    coefficients : int64 [..., 4] or [..., 2]
        For REAL the 2 x 2 matrix row by row, for COMPLEX the twiddle factor; within
        `COEFFICIENT_BITS` bits of which `COEFFICIENT_FRACTION` are fraction. Not used for PASS.
    mode : Mode
    scale : int
        Results are divided by two to this power and rounded half to even; not used for PASS.

    Returns
    -------
    y0, y1 : int64 [..., 2]
        Saturated to `STAGE_BITS` bits.
    saturated : bool
        Whether any result had to be.
    """
    shift = COEFFICIENT_FRACTION + (0 if mode == Mode.PASS else scale)
    rounded = round_half_even(_sums(x0, x1, coefficients, mode), shift)
    limited = saturate(rounded, STAGE_BITS)
    return limited[0], limited[1], bool((limited != rounded).any())
