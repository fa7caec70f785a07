"""Embeddings of sentences: the machine's beside those of the float model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..sw.embedding import sentence_embedding
from .minilm import Job
from .record import Embedding


def job_embeddings(
    job: Job, outputs: Mapping[str, NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the embeddings of the sentences of `job`, float64 [sentences, channels].

    Parameters
    ----------
    job : Job
        Of the whole model.
    outputs : mapping of str to array
        What a device gave.

    Returns
    -------
    machine, reference
        From `outputs`, and in floats.
    """
    tensor = job.program.outputs[0]
    values = tensor.to_float(outputs[tensor.name])
    machine, reference = (
        np.stack([sentence_embedding(rows) for rows in job.split(array)])
        for array in (values, job.reference)
    )
    return machine, reference


def compare_embeddings(job: Job, outputs: Mapping[str, NDArray]) -> list[Embedding]:
    """Return how near each embedding of `job` is to floats; nothing without the whole model."""
    if not job.is_whole:
        return []
    pairs = zip(job.texts, job.lengths, *job_embeddings(job, outputs), strict=True)
    return [
        Embedding(text, length, round(float(found @ expected), 6))
        for text, length, found, expected in pairs
    ]
