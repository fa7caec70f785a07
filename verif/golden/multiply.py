"""Model of MULTIPLY: an activation, then the product with a second matrix, bit for bit.

With f the activated elements and ``s = x_fraction + w_fraction - y_fraction``, 0 to 29,
``y = sat16(rhe(f · w, s))``. In a complex product f is x, and elements 2i and 2i + 1 are

- ``sat16(rhe(x[2i] · w[2i] - x[2i + 1] · w[2i + 1], s))`` and
- ``sat16(rhe(x[2i + 1] · w[2i] + x[2i] · w[2i + 1], s))``.
"""

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Activation
from .activation import activation as activate
from .rounding import round_half_even, saturate

SHIFT_LIMIT = 29
"""Most bits that a product is shifted right by; the least is 0."""


def multiply(
    x: NDArray[np.int16],
    w: NDArray[np.int16],
    activation: Activation,
    fractions: tuple[int, int, int],
    *,
    is_complex: bool = False,
) -> NDArray[np.int16]:
    """Return what a MULTIPLY instruction writes.

    Parameters
    ----------
    x : int16 [rows, columns]
    w : int16 [rows or 1, columns]
    activation : Activation
        Applied to x first.
    fractions : tuple of int
        Fraction bits of x (and its activation), of w and of the result.
    is_complex : bool
        Pairs of elements are complex numbers.

    Returns
    -------
    int16 [rows, columns]

    Raises
    ------
    ValueError
        If the product cannot be shifted as the fractions ask, or a complex product has an odd
        number of columns or an activation.
    """
    x_fraction, w_fraction, y_fraction = fractions
    shift = x_fraction + w_fraction - y_fraction
    if not 0 <= shift <= SHIFT_LIMIT:
        raise ValueError(
            f"x_fraction + w_fraction - y_fraction must be 0 to {SHIFT_LIMIT}, not {shift}"
        )
    f = activate(x, activation, x_fraction).astype(np.int64)
    w = np.broadcast_to(w, f.shape).astype(np.int64)
    if is_complex:
        if f.shape[1] % 2 or activation != Activation.IDENTITY:
            raise ValueError(
                "a complex product must have an even number of columns and no activation, not "
                f"{f.shape[1]} columns and {activation.name}"
            )
        product = np.empty_like(f)
        product[:, ::2] = f[:, ::2] * w[:, ::2] - f[:, 1::2] * w[:, 1::2]
        product[:, 1::2] = f[:, 1::2] * w[:, ::2] + f[:, ::2] * w[:, 1::2]
    else:
        product = f * w
    return saturate(round_half_even(product, shift), 16).astype(np.int16)
