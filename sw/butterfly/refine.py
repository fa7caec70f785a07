"""Alternating least squares over the factors of butterflies with increasing strides.

With all other factors fixed, the contributions of the 2n coefficients of a factor lie on disjoint
entries of the product: each has a least-squares value of its own, and the error never grows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .twiddle import apply_block, apply_factor

NEGLIGIBLE = float(np.finfo(np.float64).eps) ** 2
"""Share of the largest squared influence below which a coefficient is left as it is."""


def squared_error(
    coefficients: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> float:
    """Return the squared error over the entries that count; the parameters are those of `sweep`."""
    size = targets.shape[-1]
    product = apply_block(coefficients[:, None], np.eye(size), True).transpose(0, 2, 1)
    difference = (product - targets) * rows[:, :, None] * columns[:, None, :]
    return float(np.sum(np.abs(difference) ** 2))


def sweep(
    coefficients: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> NDArray[Any]:
    """Return coefficients of which each factor in turn was fitted to `targets`.

    Parameters
    ----------
    coefficients : [m, log2 n, n/2, 2, 2]
    targets : [m, n, n]
        Zero where an entry does not count.
    rows, columns : bool [m, n]
        Which rows and columns of each target count.
    """
    fitted = coefficients.copy()
    left = [rows[:, :, None] * np.eye(targets.shape[-1], dtype=coefficients.dtype)]
    for factor in range(fitted.shape[1] - 1, 0, -1):
        transposed = fitted[:, factor].swapaxes(-1, -2)
        left.append(apply_factor(transposed[:, None], left[-1], factor))
    right = columns[:, :, None] * np.eye(targets.shape[-1], dtype=coefficients.dtype)
    for factor in range(fitted.shape[1]):
        fitted[:, factor] = _fit(fitted[:, factor], targets, left.pop(), right, 1 << factor)
        right = apply_factor(fitted[:, factor, None], right, factor)
    return fitted


def _fit(
    coefficients: NDArray[Any],
    targets: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    stride: int,
) -> NDArray[Any]:
    """Return the least-squares coefficients [m, n/2, 2, 2] of one factor.

    Parameters
    ----------
    coefficients, targets : see `sweep`
    left : [m, row, element]
        Product of the later factors.
    right : [m, column, element]
        Product of the earlier factors, transposed.
    stride : int

    Axes below: h and l number the matrices of the factor, a and b are its row and column; i and j
    are the rows and columns of the target on which a coefficient acts.
    """
    count, size = targets.shape[:2]
    high = size // (2 * stride)
    outputs = left.reshape(count, high, 2 * stride, high, 2 * stride)
    outputs = np.einsum("mirhr->mirh", outputs).reshape(count, high, 2, stride, high)
    inputs = right.reshape(count, 2 * high, stride, 2 * high, stride)
    inputs = np.einsum("mbjbl->mbjl", inputs).reshape(count, high, 2, stride, stride)
    tiles = targets.reshape(count, high, 2, stride, high, 2, stride)
    gathered = np.einsum("mialhbj,mialh->mhlabj", tiles, outputs.conj())
    wanted = np.einsum("mhlabj,mhbjl->mhlab", gathered, inputs.conj())
    influence = np.einsum(
        "malh,mhbl->mhlab",
        np.sum(np.abs(outputs) ** 2, axis=1),
        np.sum(np.abs(inputs) ** 2, axis=3),
    )
    kept = coefficients.reshape(wanted.shape)
    usable = influence > NEGLIGIBLE * influence.max()
    values = np.where(usable, wanted / np.where(usable, influence, 1), kept)
    return values.reshape(coefficients.shape)
