"""Checks of sizes and tensors, each with a message that names figure and limit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ButterflyError

MAXIMUM_SIZE = 8192
"""Points of the longest butterfly."""

MAXIMUM_FEATURES = 1 << 16
"""Most inputs or outputs of a layer."""


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return None
    return int(value)


def require_integer(what: str, value: object, low: int, high: int) -> int:
    """Return `value` if it is an integer from `low` to `high`.

    Raises
    ------
    ButterflyError
        If it is not.
    """
    number = _integer(value)
    if number is None or not low <= number <= high:
        raise ButterflyError(f"{what} must be an integer from {low} to {high}, not {value!r}")
    return number


def require_size(what: str, value: object, high: int = MAXIMUM_SIZE) -> int:
    """Return `value` if it is a power of two from 2 to `high`.

    Raises
    ------
    ButterflyError
        If it is not.
    """
    number = _integer(value)
    if number is None or number < 2 or number & (number - 1):
        raise ButterflyError(f"{what} must be a power of two from 2 to {high}, not {value!r}")
    if number > high:
        raise ButterflyError(f"{what} must be at most {high}, not {number}")
    return number


def finite_tensor(what: str, values: ArrayLike) -> NDArray[Any]:
    """Return a copy of `values` as float64 or complex128.

    Raises
    ------
    ButterflyError
        If `values` are no floating-point or integer numbers, or not all finite.
    """
    tensor = np.asarray(values)
    if tensor.dtype.kind not in "iufc":
        raise ButterflyError(f"{what} must be numbers, not {tensor.dtype}")
    tensor = tensor.astype(np.complex128 if tensor.dtype.kind == "c" else np.float64)
    bad = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if bad:
        raise ButterflyError(f"{what} must be finite: {bad} of {tensor.size} values are not")
    return tensor


def require_shape(what: str, tensor: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Check that `tensor` has `shape`.

    Raises
    ------
    ButterflyError
        If it has another.
    """
    if tensor.shape != shape:
        raise ButterflyError(f"{what} must have shape {shape}, not {tensor.shape}")


def require_matrix(values: ArrayLike) -> NDArray[Any]:
    """Return a dense weight [out, in] as float64 or complex128.

    Raises
    ------
    ButterflyError
        If it is no matrix, empty, too large or not finite.
    """
    matrix = finite_tensor("matrix", values)
    if matrix.ndim != 2:
        raise ButterflyError(f"matrix must have 2 axes, not {matrix.ndim}")
    require_integer("rows of the matrix", matrix.shape[0], 1, MAXIMUM_FEATURES)
    require_integer("columns of the matrix", matrix.shape[1], 1, MAXIMUM_FEATURES)
    return matrix


def require_last_axis(what: str, x: ArrayLike, size: int) -> NDArray[Any]:
    """Return `x` as an array whose last axis has `size` elements.

    Raises
    ------
    ButterflyError
        If it has none or another number.
    """
    values = np.asarray(x)
    if values.ndim == 0 or values.shape[-1] != size:
        found = values.shape[-1] if values.ndim else "a scalar"
        raise ButterflyError(f"{what}: the last axis must have {size} elements, not {found}")
    return values
