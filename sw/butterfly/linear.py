"""Butterfly linear layer: any number of inputs and outputs, like ``torch_butterfly.Butterfly``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .twiddle import Twiddle
from .validate import (
    MAXIMUM_FEATURES,
    finite_tensor,
    require_integer,
    require_last_axis,
    require_shape,
    require_size,
)


def butterfly_size(in_features: int) -> int:
    """Return the points of a butterfly layer with `in_features` inputs.

    Raises
    ------
    ButterflyError
        If there are none or too many.
    """
    count = require_integer("in_features", in_features, 1, MAXIMUM_FEATURES)
    return require_size("butterfly size n", max(2, 1 << (count - 1).bit_length()))


def twiddle_shape(in_features: int, out_features: int, blocks: int = 1) -> tuple[int, ...]:
    """Return the shape of the twiddle of a layer.

    Raises
    ------
    ButterflyError
        If a number is out of range.
    """
    size = butterfly_size(in_features)
    count = require_integer("out_features", out_features, 1, MAXIMUM_FEATURES)
    return (-(-count // size), blocks, size.bit_length() - 1, size // 2, 2, 2)


def check_bias(bias: ArrayLike | None, out_features: int) -> NDArray[Any] | None:
    """Return `bias` as float64 or complex128 [out_features], or None.

    Raises
    ------
    ButterflyError
        If it has another shape or is not finite.
    """
    if bias is None:
        return None
    values = finite_tensor("bias", bias)
    require_shape("bias", values, (out_features,))
    return values


def pad_features(x: NDArray[Any], size: int) -> NDArray[Any]:
    """Return `x` with zeros after its last axis, up to `size`."""
    widths = [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])]
    return np.pad(x, widths)


@dataclass(frozen=True)
class ButterflyLinear:
    """y = trim(concatenate(stacks · pad(x))) + bias.

    Parameters
    ----------
    twiddle : Twiddle
        With n the power of two from `in_features` upward and ceil(out_features / n) stacks.
    in_features, out_features : int
    bias : [out_features], optional

    Raises
    ------
    ButterflyError
        If the twiddle or the bias does not fit the layer.
    """

    twiddle: Twiddle
    in_features: int
    out_features: int
    bias: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        expected = twiddle_shape(self.in_features, self.out_features, self.twiddle.blocks)
        layer = f"twiddle of a layer {self.in_features} -> {self.out_features}"
        require_shape(layer, self.twiddle.coefficients, expected)
        object.__setattr__(self, "bias", check_bias(self.bias, self.out_features))

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Return the layer's output [..., out_features] for `x` [..., in_features].

        Raises
        ------
        ButterflyError
            If the last axis of `x` is not `in_features`.
        """
        values = require_last_axis("input of the layer", x, self.in_features)
        stacks = self.twiddle.apply(pad_features(values, self.twiddle.size))
        y = stacks.reshape(*values.shape[:-1], -1)[..., : self.out_features]
        return y if self.bias is None else y + self.bias

    def dense(self) -> NDArray[Any]:
        """Return the weight [out_features, in_features] of the dense layer that this one equals."""
        rows = self.twiddle.dense().reshape(-1, self.twiddle.size)
        return rows[: self.out_features, : self.in_features]
