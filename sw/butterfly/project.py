"""Least-squares projection of a dense weight on butterflies, with the error reported.

The problem is not convex, so the result need not be the best there is; but a matrix that is a
butterfly is recovered, no sweep makes the error larger, and equal inputs give equal results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .hierarchical import HierarchicalLinear, require_tile
from .identify import identify
from .linear import ButterflyLinear, butterfly_size
from .projection import Projection
from .refine import squared_error, sweep
from .twiddle import Twiddle
from .validate import require_integer, require_matrix

DEFAULT_SWEEPS = 30
MAXIMUM_SWEEPS = 10000

SETTLED = 1e-6
"""Share of the error that a sweep must take away for another one to follow."""

EXACT = 1e-13
"""Relative error at which nothing is left to improve."""


def project_butterfly(
    matrix: ArrayLike, increasing_stride: bool = True, sweeps: int = DEFAULT_SWEEPS
) -> Projection[ButterflyLinear]:
    """Return a butterfly layer of one block near `matrix`.

    Rows and columns that padding adds are free: they do not count in the error.

    Parameters
    ----------
    matrix : [out, in]
        Real or complex, `in` at most 8192.
    increasing_stride : bool
    sweeps : int
        Most sweeps of alternating least squares after the start.

    Raises
    ------
    ButterflyError
        If the matrix is empty, too large or not finite, or `sweeps` is out of range.
    """
    dense = require_matrix(matrix)
    out_features, in_features = dense.shape
    size = butterfly_size(in_features)
    tiles = _tiles(dense, size)
    coefficients, errors = _project_tiles(tiles[:, 0], dense.shape, increasing_stride, sweeps)
    twiddle = Twiddle(coefficients[:, None], increasing_stride)
    return Projection(ButterflyLinear(twiddle, in_features, out_features), errors)


def project_hierarchical(
    matrix: ArrayLike, tile: int = 32, increasing_stride: bool = True, sweeps: int = DEFAULT_SWEEPS
) -> Projection[HierarchicalLinear]:
    """Return a layer of one butterfly a tile near `matrix`.

    Parameters
    ----------
    matrix : [out, in]
    tile : int
        16, 32 or 64.
    increasing_stride, sweeps : see `project_butterfly`

    Raises
    ------
    ButterflyError
        As `project_butterfly`, or if `tile` is another.
    """
    dense = require_matrix(matrix)
    tiles = _tiles(dense, require_tile(tile))
    down, across = tiles.shape[:2]
    flat = tiles.reshape(-1, tile, tile)
    coefficients, errors = _project_tiles(flat, dense.shape, increasing_stride, sweeps, across)
    grid = coefficients.reshape(down, across, *coefficients.shape[1:])
    layer = HierarchicalLinear(grid, dense.shape[1], dense.shape[0], increasing_stride)
    return Projection(layer, errors)


def _tiles(dense: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the zero-padded tiles [down, across, size, size]."""
    down, across = (-(-axis // size) for axis in dense.shape)
    padded = np.zeros((down * size, across * size), dtype=dense.dtype)
    padded[: dense.shape[0], : dense.shape[1]] = dense
    return padded.reshape(down, size, across, size).swapaxes(1, 2)


def _counting(length: int, size: int) -> NDArray[np.bool_]:
    """Return which elements of each tile along an axis are no padding, [tiles, size]."""
    count = -(-length // size)
    return (np.arange(count * size) < length).reshape(count, size)


def _project_tiles(
    tiles: NDArray[Any],
    shape: tuple[int, ...],
    increasing_stride: bool,
    sweeps: int,
    across: int = 1,
) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Return coefficients [m, log2 n, n/2, 2, 2] of tiles [m, n, n], and the relative errors.

    Decreasing strides are the transpose of increasing ones.
    """
    require_integer("sweeps", sweeps, 0, MAXIMUM_SWEEPS)
    size = tiles.shape[-1]
    rows = np.repeat(_counting(shape[0], size), across, axis=0)
    columns = np.tile(_counting(shape[1], size), (len(tiles) // across, 1))
    if not increasing_stride:
        tiles, rows, columns = tiles.swapaxes(1, 2), columns, rows
    coefficients, errors = _alternate(tiles, rows, columns, sweeps)
    if not increasing_stride:
        coefficients = coefficients[:, ::-1].swapaxes(-1, -2)
    return coefficients, errors


def _alternate(
    tiles: NDArray[Any], rows: NDArray[np.bool_], columns: NDArray[np.bool_], sweeps: int
) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Fit tiles by increasing strides: singular vectors, then sweeps until the error settles."""
    norm = float(np.linalg.norm(tiles)) or 1.0
    best = identify(tiles)
    errors = [np.sqrt(squared_error(best, tiles, rows, columns)) / norm]
    for _ in range(sweeps):
        if errors[-1] < EXACT:
            break
        fitted = sweep(best, tiles, rows, columns)
        error = np.sqrt(squared_error(fitted, tiles, rows, columns)) / norm
        if error >= errors[-1]:
            break
        best = fitted
        errors.append(error)
        if errors[-2] - error < SETTLED * error:
            break
    return best, tuple(map(float, errors))
