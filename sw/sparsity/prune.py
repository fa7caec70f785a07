"""Magnitude pruning shaped to the array, after FlexiSAGA (Mueller et al., arXiv 2506.01566).

Each function zeroes what its dataflow can skip, so that a given share of the dense slots is left
and as much energy (sum of squares) as that share can hold. Nothing is random: of equal energies
the one of lower index is kept, strips (or tiles) first, then vectors (or blocks).

All take weights [n, k], integers or floats, and return a pruned copy of the same dtype. `density`
is the share of slots that stay, 0 to 1; the number of slots is rounded half up.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .bitmap import Axis
from .checks import check_matrix, check_side
from .errors import SparsityError
from .slots import INDEX_BITS


def prune_unstructured(weights: NDArray, density: float) -> NDArray:
    """Keep the elements of largest magnitude.

    Parameters
    ----------
    weights : [n, k]
    density : float
        Share of elements that stay.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    _check(weights, density)
    keep = _largest(_energy(weights), _count(density, weights.size))
    return _masked(weights, keep)


def prune_n_of_m(weights: NDArray, n: int, m: int) -> NDArray:
    """Keep the `n` elements of largest magnitude of every `m` along K.

    A last group that K does not fill counts as filled up with zeros.

    Raises
    ------
    SparsityError
        If `n` is not from 1 to `m`, or the weights are no matrix.
    """
    check_matrix(weights)
    if not 1 <= n <= m:
        raise SparsityError(f"pattern {n}:{m} must keep from 1 to {m} of every {m}, not {n}")
    return _masked(weights, largest_of_groups(weights, n, m))


def prune_slices(weights: NDArray, columns: int, density: float) -> NDArray:
    """Keep K-slices of a tile of `columns` outputs: what sOS does not skip.

    Parameters
    ----------
    weights : [n, k]
    columns : int
        Outputs of a tile, a power of two from 2 to 64.
    density : float
        Share of slices that stay, over all tiles.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    return _prune_vectors(weights, "n", columns, "columns", density)


def prune_vectors(weights: NDArray, rows: int, density: float) -> NDArray:
    """Keep vectors of `rows` inputs of one output: what sIS does not skip.

    Parameters
    ----------
    weights : [n, k]
    rows : int
        Inputs of a stationary tile, a power of two from 2 to 64.
    density : float
        Share of vectors that stay, over all tiles.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    return _prune_vectors(weights, "k", rows, "rows", density)


def prune_stationary(
    weights: NDArray,
    rows: int,
    columns: int,
    density: float,
    axis: Literal["row", "column"] = "row",
) -> NDArray:
    """Keep full stationary tiles of sWS.

    Only a tile that is not needed at all saves time. So rows of a tile (`columns` outputs at one k)
    are kept in multiples of `rows`, and columns in multiples of `columns`, as whole outputs.

    Parameters
    ----------
    weights : [n, k]
    rows, columns : int
        Inputs and outputs of a stationary tile, powers of two from 2 to 64.
    density : float
        Share of tiles that stay.
    axis : str
        ``row`` or ``column`` of the tile.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    _check(weights, density)
    check_side("rows", rows)
    check_side("columns", columns)
    if axis not in ("row", "column"):
        raise SparsityError(f"axis must be row or column, not {axis!r}")
    energy = _energy(weights)
    if axis == "column":
        keep_output = _best_groups(energy.sum(axis=1, keepdims=True).T, columns, density)
        return _masked(weights, np.broadcast_to(keep_output.T, weights.shape))
    keep_row = _best_groups(_strip_energy(energy.T, columns).T, rows, density)
    return _masked(weights, np.repeat(keep_row, columns, axis=0)[: weights.shape[0]])


def prune_slots(weights: NDArray, columns: int, block: int, density: float) -> NDArray:
    """Keep slots of csOS: in each block as many of every column's largest as the block has slots.

    Slots go where they bring most. A further slot of a block never brings more than the one
    before, so taking the best of all slots is optimal.

    Parameters
    ----------
    weights : [n, k]
    columns : int
        Outputs of a tile, a power of two from 2 to 64.
    block : int
        Inputs of a block: 4, 8 or 16.
    density : float
        Share of slots that stay; a dense tile has k.

    Raises
    ------
    SparsityError
        If a parameter is out of range.
    """
    _check(weights, density)
    check_side("columns", columns)
    if block not in INDEX_BITS:
        raise SparsityError(f"block must be one of {', '.join(map(str, INDEX_BITS))}, not {block}")
    n, k = weights.shape
    tiles, blocks = -(-n // columns), -(-k // block)
    energy = np.zeros((tiles * columns, blocks * block))
    energy[:n, :k] = _energy(weights)
    order, rank = _ranks(energy.reshape(tiles, columns, blocks, block))
    gains = np.take_along_axis(energy.reshape(order.shape), order, axis=3).sum(axis=1)
    exists = np.arange(blocks * block).reshape(blocks, block) < k
    kept = _largest(np.where(exists, gains, -1.0), _count(density, tiles * k)).sum(axis=2)
    keep = rank < kept[:, None, :, None]
    return _masked(weights, keep.reshape(energy.shape)[:n, :k])


def largest_of_groups(values: NDArray, count: int, group: int) -> NDArray[np.bool_]:
    """Mark the `count` largest magnitudes of every `group` elements along the last axis.

    Of equal magnitudes the first is marked; a last group that is not filled counts as filled up
    with zeros.

    Parameters
    ----------
    values : [..., k]

    Returns
    -------
    bool [..., k]
    """
    length = values.shape[-1]
    groups = -(-length // group)
    magnitudes = np.full((*values.shape[:-1], groups * group), -1.0)
    magnitudes[..., :length] = np.abs(values.astype(np.float64))
    _, rank = _ranks(magnitudes.reshape(*values.shape[:-1], groups, group))
    return (rank < count).reshape(magnitudes.shape)[..., :length]


def _prune_vectors(weights: NDArray, axis: Axis, vector: int, name: str, density: float) -> NDArray:
    _check(weights, density)
    check_side(name, vector)
    oriented = weights.T if axis == "n" else weights
    strips = _strip_energy(_energy(oriented), vector)
    keep = _largest(strips.T, _count(density, strips.size)).T
    mask = np.repeat(keep, vector, axis=1)[:, : oriented.shape[1]]
    return _masked(weights, mask.T if axis == "n" else mask)


def _check(weights: NDArray, density: float) -> None:
    check_matrix(weights)
    if not 0 <= density <= 1:
        raise SparsityError(f"density must be from 0 to 1, not {density}")


def _energy(weights: NDArray) -> NDArray[np.float64]:
    return np.square(weights.astype(np.float64))


def _count(density: float, total: int) -> int:
    return math.floor(density * total + 0.5)


def _masked(weights: NDArray, keep: NDArray[np.bool_]) -> NDArray:
    return np.where(keep, weights, np.zeros((), weights.dtype))


def _strip_energy(energy: NDArray[np.float64], vector: int) -> NDArray[np.float64]:
    """Sum every `vector` elements of a row: [length, span] to [length, strips]."""
    return np.add.reduceat(energy, np.arange(0, energy.shape[1], vector), axis=1)


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the falling order of the last axis, and the place of each element in it."""
    order = np.argsort(-values, axis=-1, kind="stable")
    return order, np.argsort(order, axis=-1, kind="stable")


def _largest(values: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Mark the `count` largest of all elements; of equal ones, the first."""
    keep = np.zeros(values.size, dtype=bool)
    keep[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    return keep.reshape(values.shape)


def _best_groups(energy: NDArray[np.float64], group: int, density: float) -> NDArray[np.bool_]:
    """Keep a share of the groups that the best, next best, ... elements of a row form.

    Parameters
    ----------
    energy : float64 [rows, elements]

    Returns
    -------
    bool [rows, elements]
    """
    order, rank = _ranks(energy)
    ordered = np.take_along_axis(energy, order, axis=1)
    gains = np.add.reduceat(ordered, np.arange(0, energy.shape[1], group), axis=1)
    kept = _largest(gains, _count(density, gains.size)).sum(axis=1)
    return rank < kept[:, None] * group
