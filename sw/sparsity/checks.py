"""Checks of matrices and of parameters that several formats share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import SparsityError

LONGEST = (1 << 16) - 1
"""Largest size of a matrix, each way: the width of an instruction's m, n and k."""


def check_size(n: int, k: int) -> None:
    """Refuse a size that no instruction can name.

    Raises
    ------
    SparsityError
        If `n` or `k` is not from 1 to `LONGEST`.
    """
    if not 1 <= min(n, k) <= max(n, k) <= LONGEST:
        raise SparsityError(f"weights must have 1 to {LONGEST} elements each way, not {[n, k]}")


def check_matrix(matrix: NDArray, what: str = "weights") -> None:
    """Refuse what is not a finite, non-empty matrix.

    Raises
    ------
    SparsityError
        If `matrix` has not two axes of 1 to `LONGEST`, or an element that is not finite.
    """
    shape = list(matrix.shape)
    if matrix.ndim != 2:
        raise SparsityError(f"{what} must have 2 axes, not {matrix.ndim} (shape {shape})")
    if not 1 <= min(shape) <= max(shape) <= LONGEST:
        raise SparsityError(f"{what} must have 1 to {LONGEST} elements each way, not {shape}")
    if not np.issubdtype(matrix.dtype, np.number) or np.iscomplexobj(matrix):
        raise SparsityError(f"{what} must be real numbers, not {matrix.dtype}")
    if not np.all(np.isfinite(matrix)):
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise SparsityError(f"{what} must be finite; element [{row}, {column}] is not")


def check_int8(matrix: NDArray, what: str = "weights") -> None:
    """Refuse what the array cannot multiply.

    Raises
    ------
    SparsityError
        If `matrix` is not int8, or not as `check_matrix` wants it.
    """
    check_matrix(matrix, what)
    if matrix.dtype != np.int8:
        raise SparsityError(f"{what} must be int8, not {matrix.dtype}")


def check_side(name: str, value: int) -> None:
    """Refuse what is no side of an array.

    Raises
    ------
    SparsityError
        If `value` is not a power of two from 2 to 64.
    """
    if not 2 <= value <= 64 or value & (value - 1):
        raise SparsityError(f"{name} must be a power of two from 2 to 64, not {value}")
