"""Model of the order in which the beats of a pass go through a chain of butterfly stages."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def beats(points: int, log_strides: Sequence[int], stage: int) -> NDArray[np.int64]:
    """Return which two points of a row meet in each beat at a stage of the chain.

    Beats enter in the order of stage 0 and leave in that of the last stage. This is all that
    a pass asks of addresses: bits of a counter, permuted.

    Parameters
    ----------
    points : int
        A power of two.
    log_strides : sequence of int
        Log2 of the distance of the pairs of each stage: all different, in any order.
    stage : int

    Returns
    -------
    int64 [points/2, 2]
    """
    others = [bit for bit in range(points.bit_length() - 1) if bit not in log_strides]
    inside = [bit for index, bit in enumerate(log_strides) if index != stage]
    counter = np.arange(points // 2)
    first = np.zeros_like(counter)
    # The lowest bits of the counter walk through a set, the first factor's bit lowest.
    for position, bit in enumerate([*inside, *others]):
        first |= (counter >> position & 1) << bit
    return np.stack([first, first | 1 << log_strides[stage]], axis=-1)


def pair_numbers(first: NDArray[np.int64], log_stride: int) -> NDArray[np.int64]:
    """Return the number of the pair that begins with point `first` among those of a factor."""
    return (first >> (log_stride + 1)) << log_stride | first & ((1 << log_stride) - 1)
