"""Model of the gathering of columns: what operand A holds, and how often a line is read."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES


def gather(a: NDArray[np.int8], places: Sequence[int], chunk: int) -> list[NDArray[np.int8]]:
    """Return the chunks of one stationary tile.

    Parameters
    ----------
    a : int8 [m, k]
    places : sequence of int
        Of k, one a row of the tile.
    chunk : int
        Rows of A in a chunk.

    Returns
    -------
    list of int8 [places, rows of A]
    """
    return [a[row : row + chunk, places].T for row in range(0, len(a), chunk)]


def lines_read(places: Sequence[int], rows: int, lanes: int) -> int:
    """Return the lines that are read for a tile: one for successive places in the same words."""
    words = [place // WORD_BYTES for place in places]
    changes = sum(before != word for before, word in zip(words, words[1:], strict=False))
    return (1 + changes) * -(-rows // lanes)
