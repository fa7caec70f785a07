"""Gather lists: which of the vectors of an operand a product uses, in rising order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import SparseFormatError

GatherList = NDArray[np.uint16]
"""Indices, strictly rising: the order in which both operands are walked."""


def gather_list(used: NDArray[np.bool_]) -> GatherList:
    """Return the indices of the vectors that are `used`, bool [length]."""
    return np.flatnonzero(used).astype(np.uint16)


def check_gather_list(
    indices: NDArray[np.integer], length: int, where: str = "gather list"
) -> None:
    """Refuse a list that does not rise or leaves the operand.

    Parameters
    ----------
    indices : integers [count]
    length : int
        Vectors of the operand.
    where : str
        Begins the message.

    Raises
    ------
    SparseFormatError
        With the first entry that is wrong.
    """
    values = np.asarray(indices).astype(np.int64)
    beyond = np.flatnonzero((values < 0) | (values >= length))
    if beyond.size:
        entry = beyond[0]
        raise SparseFormatError(
            f"{where}, entry {entry}: index {values[entry]} is not from 0 to {length - 1}"
        )
    falls = np.flatnonzero(np.diff(values) <= 0)
    if falls.size:
        entry = falls[0] + 1
        raise SparseFormatError(
            f"{where}, entry {entry}: index {values[entry]} follows {values[entry - 1]}; "
            "a list must rise"
        )


def compact_outputs(weights: NDArray) -> tuple[GatherList, NDArray]:
    """Leave out the outputs that no weight reaches.

    Parameters
    ----------
    weights : [n, k]

    Returns
    -------
    GatherList, [useful, k]
        Which outputs are left, and their weights. The others are their bias.
    """
    outputs = gather_list(np.any(weights != 0, axis=1))
    return outputs, weights[outputs]
