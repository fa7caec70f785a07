"""Coefficients of butterfly matrices in the convention of ``torch_butterfly``.

A factor of stride s is n/2 free 2x2 matrices. Number i combines the elements p and p + s, where
``lo = i mod s`` and ``p = 2·(i - lo) + lo``. A block is log2 n factors, whose strides 1, 2, ... n/2
increase or decrease; the blocks of a chain alternate. Coefficients are kept in the order in which
they are applied (HazyResearch/butterfly; Dao et al., arXiv 1903.05895).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ButterflyError
from .validate import finite_tensor, require_last_axis, require_shape, require_size


def factor_log_stride(factor: int, log_size: int, increasing_stride: bool) -> int:
    """Return the binary logarithm of the stride of a block's factor number `factor`."""
    return factor if increasing_stride else log_size - 1 - factor


def apply_factor(coefficients: NDArray[Any], x: NDArray[Any], log_stride: int) -> NDArray[Any]:
    """Return one factor times `x`; the leading axes of both are broadcast.

    Parameters
    ----------
    coefficients : [..., n/2, 2, 2]
    x : [..., n]
    log_stride : int
    """
    stride = 1 << log_stride
    matrices = coefficients.reshape(*coefficients.shape[:-3], -1, stride, 2, 2)
    pairs = x.reshape(*x.shape[:-1], -1, 2, stride)
    y = np.stack(
        [
            matrices[..., row, 0] * pairs[..., 0, :] + matrices[..., row, 1] * pairs[..., 1, :]
            for row in (0, 1)
        ],
        axis=-2,
    )
    return y.reshape(*y.shape[:-3], x.shape[-1])


def apply_block(
    coefficients: NDArray[Any], x: NDArray[Any], increasing_stride: bool
) -> NDArray[Any]:
    """Return one block times `x`; the leading axes of both are broadcast.

    Parameters
    ----------
    coefficients : [..., log2 n, n/2, 2, 2]
    x : [..., n]
    increasing_stride : bool
    """
    log_size = coefficients.shape[-4]
    for factor in range(log_size):
        log_stride = factor_log_stride(factor, log_size, increasing_stride)
        x = apply_factor(coefficients[..., factor, :, :, :], x, log_stride)
    return x


@dataclass(frozen=True)
class Twiddle:
    """One chain of butterfly blocks a stack; all stacks read the same input.

    Parameters
    ----------
    coefficients : [stacks, blocks, log2 n, n/2, 2, 2]
        Kept as float64 or complex128. n is a power of two from 2 to 8192.
    increasing_stride : bool
        Whether block 0 begins with stride 1; odd blocks do the opposite.

    Raises
    ------
    ButterflyError
        If the tensor has another shape, a size beyond the limit, or values that are not finite.
    """

    coefficients: NDArray[Any]
    increasing_stride: bool = True

    def __post_init__(self) -> None:
        tensor = finite_tensor("twiddle", self.coefficients)
        if tensor.ndim != 6:
            raise ButterflyError(
                "twiddle must have the 6 axes stacks, blocks, log2 n, n/2, 2, 2; "
                f"its shape is {tensor.shape}"
            )
        size = require_size("butterfly size n", 2 * tensor.shape[3])
        stacks, blocks = (max(1, axis) for axis in tensor.shape[:2])
        expected = (stacks, blocks, size.bit_length() - 1, size // 2, 2, 2)
        require_shape(f"twiddle of n = {size}", tensor, expected)
        object.__setattr__(self, "coefficients", tensor)

    @property
    def stacks(self) -> int:
        """Butterflies side by side, whose outputs are concatenated."""
        return self.coefficients.shape[0]

    @property
    def blocks(self) -> int:
        """Blocks in a chain."""
        return self.coefficients.shape[1]

    @property
    def log_size(self) -> int:
        """Factors of a block."""
        return self.coefficients.shape[2]

    @property
    def size(self) -> int:
        """Points n."""
        return 1 << self.log_size

    @property
    def is_complex(self) -> bool:
        """Whether coefficients are complex."""
        return np.iscomplexobj(self.coefficients)

    def block_increases(self, block: int) -> bool:
        """Return whether the strides of chain position `block` increase."""
        return self.increasing_stride != bool(block % 2)

    def apply(self, x: ArrayLike) -> NDArray[Any]:
        """Return every stack's product with `x`.

        Parameters
        ----------
        x : [..., n]

        Returns
        -------
        [..., stacks, n]

        Raises
        ------
        ButterflyError
            If the last axis of `x` is not n.
        """
        y = require_last_axis("input of the butterfly", x, self.size)[..., None, :]
        for block in range(self.blocks):
            y = apply_block(self.coefficients[:, block], y, self.block_increases(block))
        return y

    def dense(self) -> NDArray[Any]:
        """Return the matrix of each stack, [stacks, n, n], such that ``y = matrix @ x``."""
        return self.apply(np.eye(self.size)).transpose(1, 2, 0)
