"""Hierarchical butterfly layer: a weight cut in square tiles, a butterfly in each.

The tiles of a row are accumulated as in a blocked matrix product. A tile of B x B has
2·B·log2 B coefficients in the place of B·B, a density of ``2·log2(B) / B`` (MLX, ISCA 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ButterflyError
from .linear import check_bias, pad_features
from .twiddle import Twiddle, apply_block
from .validate import (
    MAXIMUM_FEATURES,
    finite_tensor,
    require_integer,
    require_last_axis,
    require_shape,
)

TILE_SIZES = (16, 32, 64)


def require_tile(tile: int) -> int:
    """Return `tile` if it is 16, 32 or 64.

    Raises
    ------
    ButterflyError
        If it is another.
    """
    if tile not in TILE_SIZES:
        raise ButterflyError(f"tile must be one of 16, 32, 64, not {tile!r}")
    return tile


@dataclass(frozen=True)
class HierarchicalLinear:
    """y = trim(sum over tile columns of butterfly · pad(x)) + bias.

    Parameters
    ----------
    coefficients : [tile rows, tile columns, log2 B, B/2, 2, 2]
        Kept as float64 or complex128; B is 16, 32 or 64.
    in_features, out_features : int
    increasing_stride : bool
        Whether the strides in a tile increase.
    bias : [out_features], optional

    Raises
    ------
    ButterflyError
        If a tensor does not fit the layer or is not finite.
    """

    coefficients: NDArray[Any]
    in_features: int
    out_features: int
    increasing_stride: bool = True
    bias: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        tensor = finite_tensor("twiddle", self.coefficients)
        if tensor.ndim != 6:
            raise ButterflyError(
                "twiddle must have the 6 axes tile rows, tile columns, log2 B, B/2, 2, 2; "
                f"its shape is {tensor.shape}"
            )
        tile = require_tile(2 * tensor.shape[3])
        down, across = (
            -(-require_integer(name, count, 1, MAXIMUM_FEATURES) // tile)
            for name, count in (
                ("out_features", self.out_features),
                ("in_features", self.in_features),
            )
        )
        expected = (down, across, tile.bit_length() - 1, tile // 2, 2, 2)
        layer = f"twiddle of a layer {self.in_features} -> {self.out_features} in tiles of {tile}"
        require_shape(layer, tensor, expected)
        object.__setattr__(self, "coefficients", tensor)
        object.__setattr__(self, "bias", check_bias(self.bias, self.out_features))

    @classmethod
    def from_columns(
        cls,
        columns: Sequence[Twiddle],
        in_features: int,
        out_features: int,
        bias: NDArray[Any] | None = None,
    ) -> HierarchicalLinear:
        """Return the sum of ``torch_butterfly`` layers, one for each B inputs.

        Parameters
        ----------
        columns : sequence of Twiddle
            Of one block each, n = B, ceil(out_features / B) stacks, all with the same strides.
        in_features, out_features : int
        bias : [out_features], optional

        Raises
        ------
        ButterflyError
            If the twiddles do not fit each other or the layer.
        """
        if not columns:
            raise ButterflyError("tile columns: there must be at least one twiddle")
        first = columns[0]
        expected = (first.stacks, 1, *first.coefficients.shape[2:])
        for number, twiddle in enumerate(columns):
            require_shape(f"twiddle of tile column {number}", twiddle.coefficients, expected)
            if twiddle.increasing_stride != first.increasing_stride:
                raise ButterflyError(f"tile column {number} differs from column 0 in its strides")
        tensor = np.concatenate([twiddle.coefficients for twiddle in columns], axis=1)
        return cls(tensor, in_features, out_features, first.increasing_stride, bias)

    @property
    def tile(self) -> int:
        """Rows and columns B of a tile."""
        return 2 * self.coefficients.shape[3]

    @property
    def density(self) -> float:
        """Coefficients of a tile over its entries."""
        return 2 * self.coefficients.shape[2] / self.tile

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Return the layer's output [..., out_features] for `x` [..., in_features].

        Raises
        ------
        ButterflyError
            If the last axis of `x` is not `in_features`.
        """
        values = require_last_axis("input of the layer", x, self.in_features)
        across = self.coefficients.shape[1]
        pieces = pad_features(values, across * self.tile)
        pieces = pieces.reshape(*values.shape[:-1], 1, across, self.tile)
        y = apply_block(self.coefficients, pieces, self.increasing_stride).sum(axis=-2)
        y = y.reshape(*values.shape[:-1], -1)[..., : self.out_features]
        return y if self.bias is None else y + self.bias

    def dense(self) -> NDArray[Any]:
        """Return the weight [out_features, in_features] of the dense layer that this one equals."""
        tiles = apply_block(
            self.coefficients[:, :, None], np.eye(self.tile), self.increasing_stride
        )
        down, across = self.coefficients.shape[:2]
        weight = tiles.transpose(0, 3, 1, 2).reshape(down * self.tile, across * self.tile)
        return weight[: self.out_features, : self.in_features]
