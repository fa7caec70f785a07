"""Model of the vector unit's tables."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.interpolation import OFFSET_BITS, Segment


def interpolate(
    table: Sequence[Segment], segment: NDArray[np.int64], offset: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return ``base + floor(delta · offset / 2^10)`` of each segment, int64 as `segment`.

    Parameters
    ----------
    table : sequence of Segment
    segment : int64 [...]
        Indices into the table.
    offset : int64 [...]
        0 to 1023.
    """
    entries = np.array(table, dtype=np.int64)
    base, delta = entries[segment, 0], entries[segment, 1]
    return base + ((delta * offset) >> OFFSET_BITS)
