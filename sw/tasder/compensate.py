"""Pruning that makes up for its own error: optimal brain surgeon, a block of inputs at a time.

After SparseGPT (Frantar and Alistarh, arXiv 2301.00774): inputs are pruned from the first to the
last; the error of each pruned weight is pushed into the weights of later inputs, along the inverse
Hessian of the layer's squared error, which is that of its inputs alone. `refit` then solves for
all weights that are left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sparsity.checks import check_matrix
from ..sparsity.errors import SparsityError
from ..sparsity.tasd import GROUP_SIZES, Series, decompose

BLOCK = max(GROUP_SIZES)
"""Inputs that are chosen together: whole groups of any term."""

DAMPING = 0.03
"""What is added to the diagonal of a Hessian, over the diagonal's mean."""


@dataclass(frozen=True)
class Curvature:
    """The Hessian of a linear layer's squared error, which is that of its inputs alone.

    Parameters
    ----------
    mean : float32 [k]
        Of the inputs; the bias of the layer makes up for errors along it.
    hessian : float64 [k, k]
        Covariance of the inputs, damped.
    factor : float64 [k, k]
        Upper triangular, `factorᵀ factor` is the inverse of `hessian`.
    """

    mean: NDArray[np.float32]
    hessian: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, inputs: NDArray[np.floating], damping: float = DAMPING) -> Curvature:
        """Return the curvature that `inputs`, float [tokens, k], give.

        Parameters
        ----------
        inputs : float [tokens, k]
        damping : float
            Added to the diagonal, over its mean; above 0, so that there is an inverse.

        Raises
        ------
        SparsityError
            If the inputs are no finite matrix, or `damping` is not above 0.
        """
        check_matrix(inputs, "inputs")
        if not damping > 0:
            raise SparsityError(f"damping must be above 0, not {damping}")
        mean = inputs.mean(axis=0)
        centred = inputs - mean
        square = (centred.T @ centred).astype(np.float64) / len(inputs)
        strength = float(np.mean(np.diag(square)))
        square[np.diag_indices_from(square)] += damping * (strength or 1.0)
        return cls(mean, square, np.linalg.cholesky(np.linalg.inv(square)).T)


def prune_compensated(
    weights: NDArray[np.floating],
    series: Series,
    curvature: Curvature,
) -> NDArray[np.float32]:
    """Prune to `series`, pushing errors into the weights that are still to come.

    Parameters
    ----------
    weights : float [n, k]
    series : Series
    curvature : Curvature

    Returns
    -------
    float32 [n, k]
        In the series; a weight that was zero may become one that is not.

    Raises
    ------
    SparsityError
        If sizes disagree, or the series has no terms.
    """
    check_matrix(weights)
    k = weights.shape[1]
    if curvature.hessian.shape != (k, k):
        raise SparsityError(f"Hessian must be {[k, k]}, not {list(curvature.hessian.shape)}")
    factor = curvature.factor.astype(np.float32)
    diagonal = np.diag(factor)
    left = weights.astype(np.float32, copy=True)
    for first in range(0, k, BLOCK):
        last = min(first + BLOCK, k)
        block = left[:, first:last]
        worth = np.abs(block / diagonal[first:last])
        keep = decompose(worth, series).approximation > 0
        errors = np.zeros_like(block)
        for column in range(last - first):
            place = first + column
            error = np.where(keep[:, column], 0, block[:, column]) / factor[place, place]
            block[:, column:] -= np.outer(error, factor[place, place:last])
            errors[:, column] = error
        block[~keep] = 0
        left[:, last:] -= errors @ factor[first:last, last:]
    return left


def refit(
    pruned: NDArray[np.floating],
    wanted: NDArray[np.floating],
    curvature: Curvature,
    steps: int = 16,
) -> NDArray[np.float32]:
    """Move the weights that are not zero towards the least squared error.

    Conjugate gradients, all outputs at once, each on its own weights.

    Parameters
    ----------
    pruned : float [n, k]
        Where to start; its zeros stay.
    wanted : float [n, k]
        The weights that the layer should act like.
    curvature : Curvature
    steps : int

    Returns
    -------
    float32 [n, k]
        With an error that is no larger than that of `pruned`.
    """
    keep = pruned != 0
    curve = curvature.hessian.astype(np.float32)
    scale = np.diag(curve)
    weights = pruned.astype(np.float32)
    slope = ((wanted.astype(np.float32) - weights) @ curve) * keep
    way = slope / scale
    power = _dots(slope, way)
    for _ in range(steps):
        bent = (way @ curve) * keep
        length = power / np.maximum(_dots(way, bent), np.finfo(np.float32).tiny)
        weights += length * way
        slope -= length * bent
        steered = slope / scale
        before, power = power, _dots(slope, steered)
        way = steered + power / np.maximum(before, np.finfo(np.float32).tiny) * way
    return weights


def refit_to_kept(
    weights: NDArray[np.floating],
    inputs: NDArray[np.floating],
    kept: NDArray[np.floating],
    damping: float = DAMPING,
) -> NDArray[np.float32]:
    """Move weights so that the inputs that are kept stand for all: a ridge regression.

    Parameters
    ----------
    weights : float [n, k]
    inputs : float [tokens, k]
    kept : float [tokens, k]
        `inputs` with zeros for what is dropped.
    damping : float
        How strongly the weights are held where they are, over the mean power of what is kept.

    Returns
    -------
    float32 [n, k]
        The weights that on `kept` come nearest to what `weights` make of `inputs`, but for a bias.

    Raises
    ------
    SparsityError
        If the inputs are no finite matrices, or `damping` is not above 0.
    """
    curvature = Curvature.of(kept, damping)
    dropped = (inputs - kept).astype(np.float32)
    centred = (kept - curvature.mean).astype(np.float32)
    # Of all inputs, the kept ones need no change of weights.
    shared = ((dropped - dropped.mean(axis=0)).T @ centred).astype(np.float64) / len(inputs)
    change = np.linalg.solve(curvature.hessian, shared.T).T
    return (weights + weights @ change).astype(np.float32)


def squared_error(
    pruned: NDArray[np.floating],
    wanted: NDArray[np.floating],
    curvature: Curvature,
) -> float:
    """Return the squared error of the outputs a token, summed over the outputs."""
    change = pruned.astype(np.float64) - wanted
    return float(np.sum((change @ curvature.hessian) * change))


def _dots(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("nk,nk->n", one, other)[:, None]
