"""The matrices of a product, checked: weights become int8 with a scale a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import CompileError
from ..sparsity.checks import LONGEST, check_matrix
from ..sparsity.errors import SparsityError

LARGEST = 127
"""Magnitude of the largest quantised weight."""


@dataclass(frozen=True)
class QuantisedMatrix:
    """An int8 matrix and what a unit of each row stands for.

    Parameters
    ----------
    values : int8 [rows, k]
    scales : float64 [rows]
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float64]

    def to_float(self) -> NDArray[np.float64]:
        """Return the numbers that the matrix stands for."""
        return self.values * self.scales[:, None]


def check_sizes(m: int, n: int, k: int) -> None:
    """Refuse sizes that no instruction can name.

    Raises
    ------
    CompileError
        Naming the size.
    """
    for name, value in (("m", m), ("n", n), ("k", k)):
        if not 1 <= value <= LONGEST:
            raise CompileError(f"{name} must be from 1 to {LONGEST}, not {value}")


def check_values(matrix: NDArray, shape: tuple[int, int], what: str) -> None:
    """Refuse a matrix that is not finite, real numbers of `shape`.

    Raises
    ------
    CompileError
        With the shape, the dtype or the first element that is wrong.
    """
    if matrix.shape != shape:
        raise CompileError(f"{what} must be {list(shape)}, not {list(matrix.shape)}")
    try:
        check_matrix(matrix, what)
    except SparsityError as error:
        raise CompileError(str(error)) from None


def quantise(matrix: NDArray, what: str) -> QuantisedMatrix:
    """Return `matrix` as int8: integers as they are, floats with a scale a row.

    Raises
    ------
    CompileError
        If an integer is beyond int8.
    """
    if np.issubdtype(matrix.dtype, np.integer):
        return QuantisedMatrix(_narrow(matrix, what), np.ones(len(matrix)))
    largest = np.abs(matrix.astype(np.float64)).max(axis=1)
    scales = largest / LARGEST
    safe = np.where(scales == 0, 1.0, scales)[:, None]
    return QuantisedMatrix(np.rint(matrix / safe).astype(np.int8), scales)


def activations_of(matrix: NDArray, what: str = "activations") -> NDArray[np.int8]:
    """Return int8 activations.

    Raises
    ------
    CompileError
        If they are not integers, or one is beyond int8.
    """
    if not np.issubdtype(matrix.dtype, np.integer):
        raise CompileError(f"{what} must be int8, not {matrix.dtype}")
    return _narrow(matrix, what)


def random_activations(m: int, k: int, seed: int) -> NDArray[np.int8]:
    """Return activations, each number from -127 to 127 as likely as any other."""
    return np.random.default_rng(seed).integers(-LARGEST, LARGEST + 1, (m, k), dtype=np.int8)


def _narrow(matrix: NDArray, what: str) -> NDArray[np.int8]:
    beyond = np.argwhere((matrix < -128) | (matrix > 127))
    if beyond.size:
        row, column = beyond[0]
        raise CompileError(
            f"{what} must be from -128 to 127; element [{row}, {column}] is {matrix[row, column]}"
        )
    return matrix.astype(np.int8)
