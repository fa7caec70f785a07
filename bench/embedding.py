"""Embeddings of sentences: the machine's beside those of the float model."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..hw.config import ArrayConfig
from ..hw.isa import Activation
from ..sw.calibrate import calibrate, calibration_tokens
from ..sw.compiler import kept_inputs, quantise_layers
from ..sw.embedding import sentence_embedding
from ..sw.frontend.bert import BertConfig, BertModel
from ..sw.reference import embed
from ..sw.sparsity.kept import single_term
from ..sw.sparsity.tasd import parse_series
from ..verif.golden.encoder import Grouping, run_encoder
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


def grouping_of(config: BertConfig, array: ArrayConfig) -> Grouping:
    """Return the grouping with which the compiler's search for a tiling begins."""
    wanted = max(1, 4 * array.columns // config.head_width)
    heads = max(count for count in range(1, wanted + 1) if config.heads % count == 0)
    return Grouping(heads, min(8 * array.columns, config.intermediate), array)


def golden_embeddings(
    model: BertModel, tokens: Sequence[NDArray[np.integer]], grouping: Grouping
) -> NDArray[np.float64]:
    """Return what the machine's arithmetic makes of many sentences, without a program for them.

    Parameters
    ----------
    model : BertModel
        Quantised as the compiler does it; may be sparse, and keep some activations only.
    tokens : sequence of int [tokens]
        Ids of each sentence.
    grouping : Grouping

    Returns
    -------
    float64 [sentences, channels]
        Of length 1; those of the golden device with a program of this grouping, in every bit.

    Raises
    ------
    CompileError
        If a sequence is empty, too long, or has an id outside the vocabulary, or a parameter does
        not fit its format.
    """
    config = model.config
    numbers = list(range(config.layers))
    ranges = calibrate(model, numbers, calibration_tokens(model))
    layers = [layer for _, layer in quantise_layers(model, numbers, ranges)]
    x = np.concatenate([embed(model, ids) for ids in tokens])
    limits = np.iinfo(np.int16)
    scaled = np.rint(np.ldexp(x, layers[0].fractions.input))
    wide = np.clip(scaled, limits.min, limits.max).astype(np.int16)
    lengths = [len(ids) for ids in tokens]
    activation = Activation[config.activation.upper()]
    kept = {
        layer: single_term(parse_series(text))
        for layer, text in kept_inputs(model, numbers).items()
    }
    output = run_encoder(wide, layers, config.heads, lengths, grouping, activation, kept)
    values = np.ldexp(output.astype(np.float64), -layers[-1].fractions.output)
    parts = np.split(values, np.cumsum(lengths)[:-1])
    return np.stack([sentence_embedding(rows) for rows in parts])
