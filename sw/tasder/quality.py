"""How near the embeddings of a sparse model are to those of the model that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..embedding import similarity


@dataclass(frozen=True)
class Quality:
    """Of a model's embeddings.

    Parameters
    ----------
    cosine : float
        Mean cosine of an embedding to the float model's.
    spearman : float
        Rank correlation of the cosines of all pairs of sentences with the float model's.
    """

    cosine: float
    spearman: float


def compare(found: NDArray[np.floating], expected: NDArray[np.floating]) -> Quality:
    """Return the quality of embeddings `found`, float [sentences, channels] of length 1."""
    cosine = float(np.mean(np.sum(found.astype(np.float64) * expected, axis=1)))
    above = np.triu_indices(len(found), 1)
    return Quality(cosine, spearman(similarity(found)[above], similarity(expected)[above]))


def spearman(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the correlation of the ranks of two vectors; equal values share their mean rank."""
    ranks = np.stack([_ranks(one), _ranks(other)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    power = float(np.prod(np.linalg.norm(ranks, axis=1)))
    return float(ranks[0] @ ranks[1]) / power if power else 1.0


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]
