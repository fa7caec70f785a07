"""Model of the byte expander."""

import numpy as np
from numpy.typing import NDArray


def expand(present: NDArray[np.bool_], values: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return int8 of the shape of `present`: its set elements are `values`, row by row."""
    elements = np.zeros(present.shape, dtype=np.int8)
    elements[present] = values
    return elements
