"""How large the results of butterfly factors may become, and the fractions that hold them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .linear import ButterflyLinear, pad_features
from .twiddle import apply_factor, factor_log_stride

NUMBER_BITS = 15
"""Bits of an int16 without its sign."""

MARGIN = 1.5
"""Room above the largest magnitude in calibration."""


def factor_fractions(
    layer: ButterflyLinear, fraction: int, calibration: NDArray[Any] | None = None
) -> list[list[int]]:
    """Return the fraction bits of int16 results behind each factor of each stack.

    Parameters
    ----------
    layer : ButterflyLinear
    fraction : int
        Fraction bits of the input.
    calibration : [rows, in_features], optional
        Inputs from which the fractions are chosen, with a margin of `MARGIN`, where that gives
        more bits. Without them no int16 input saturates: the fractions follow from the transform
        of the largest inputs with the magnitudes of all coefficients.
    """
    largest = np.ldexp(np.ones((1, layer.in_features)), NUMBER_BITS - fraction)
    if layer.twiddle.is_complex:
        largest = largest * math.sqrt(2)
    bounds = _fractions(layer, pad_features(largest, layer.twiddle.size), 1.0, magnitudes=True)
    if calibration is None:
        return bounds
    padded = pad_features(calibration, layer.twiddle.size)
    measured = _fractions(layer, padded, MARGIN, magnitudes=False)
    return [
        [max(pair) for pair in zip(*stacks, strict=True)]
        for stacks in zip(bounds, measured, strict=True)
    ]


def _fractions(
    layer: ButterflyLinear, x: NDArray[Any], margin: float, *, magnitudes: bool
) -> list[list[int]]:
    twiddle = layer.twiddle
    result = []
    for stack in twiddle.coefficients:
        values, fractions = x, []
        for number, block in enumerate(stack):
            for index, factor in enumerate(block):
                log_stride = factor_log_stride(
                    index, twiddle.log_size, twiddle.block_increases(number)
                )
                matrices = np.abs(factor) if magnitudes else factor
                values = apply_factor(matrices, values, log_stride)
                fractions.append(_fraction(values, margin))
        result.append(fractions)
    return result


def _fraction(values: NDArray[Any], margin: float) -> int:
    largest = margin * max(float(np.abs(values.real).max()), float(np.abs(values.imag).max()))
    return NUMBER_BITS - math.ceil(math.log2(largest)) if largest else NUMBER_BITS
