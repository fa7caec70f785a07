"""From the last layer's output to an embedding of the sentence, on the host."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sentence_embedding(
    hidden: NDArray[np.floating], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the mean of the tokens that are no padding, with length 1.

    That is what sentence-transformers does with all-MiniLM-L6-v2; these few hundred additions are
    done on the host, in floats.

    Parameters
    ----------
    hidden : float [tokens, channels]
        Output of the last layer.
    mask : bool [tokens], optional
        Which tokens belong to the sentence; all if left out.

    Returns
    -------
    float64 [channels]

    Raises
    ------
    ValueError
        If no token belongs to the sentence.
    """
    rows = np.asarray(hidden, dtype=np.float64)
    if mask is not None:
        rows = rows[np.asarray(mask, dtype=bool)]
    if not len(rows):
        raise ValueError("a sentence must have at least 1 token, not 0")
    mean = rows.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def similarity(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the cosine of each pair of `embeddings`, float [sentences, channels] of length 1."""
    values = np.asarray(embeddings, dtype=np.float64)
    return values @ values.T
