"""Parameters and real multiply-adds of structured layers, beside those of a dense one.

A complex product is four real multiply-adds and a complex parameter two real ones. Biases count as
parameters and cost no multiply-add.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hierarchical import HierarchicalLinear
from .linear import ButterflyLinear
from .monarch import MonarchLinear
from .validate import require_size


@dataclass(frozen=True)
class Cost:
    """What a layer takes.

    Parameters
    ----------
    parameters : int
        Real numbers kept.
    multiply_adds : int
        Real multiply-adds a token.
    """

    parameters: int
    multiply_adds: int


def dense_cost(
    in_features: int, out_features: int, bias: bool = False, is_complex: bool = False
) -> Cost:
    """Return the cost of a dense layer."""
    entries = in_features * out_features
    parameters = entries + out_features * bias
    return Cost(parameters * (2 if is_complex else 1), entries * (4 if is_complex else 1))


def fourier_cost(size: int) -> Cost:
    """Return the cost of a Fourier transform of complex points: one complex product a butterfly.

    Raises
    ------
    ButterflyError
        If `size` is no power of two from 2 to 8192.
    """
    log_size = require_size("transform size n", size).bit_length() - 1
    return Cost(0, 4 * log_size * size // 2)


@singledispatch
def cost(layer: Any) -> Cost:
    """Return the cost of a structured layer.

    Parameters
    ----------
    layer : ButterflyLinear, HierarchicalLinear or MonarchLinear
    """
    raise TypeError(f"no cost is known of {type(layer).__name__}")


def _tensors_cost(tensors: list[NDArray[Any]], bias: NDArray[Any] | None) -> Cost:
    """Return the cost where every element of `tensors` is used once a token."""
    kept = [*tensors, bias] if bias is not None else tensors
    parameters = sum(tensor.size * (2 if np.iscomplexobj(tensor) else 1) for tensor in kept)
    products = sum(tensor.size * (4 if np.iscomplexobj(tensor) else 1) for tensor in tensors)
    return Cost(parameters, products)


@cost.register
def _(layer: ButterflyLinear) -> Cost:
    return _tensors_cost([layer.twiddle.coefficients], layer.bias)


@cost.register
def _(layer: HierarchicalLinear) -> Cost:
    return _tensors_cost([layer.coefficients], layer.bias)


@cost.register
def _(layer: MonarchLinear) -> Cost:
    return _tensors_cost([layer.first, layer.second], None)
