"""Ranges of a float model's intermediate results, from sentences that it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frontend.bert import BertModel
from .frontend.tokenizer import Tokenizer
from .reference import embed, encoder_layer

SENTENCES = (
    "The train to the coast leaves at a quarter past seven.",
    "She repaired the old radio with a soldering iron and a lot of patience.",
    "How do I change the password of my account?",
    "Prices rose by 3.2 % in March, more than economists had expected.",
    "A dog sleeps under the kitchen table while rain beats against the window.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Please send the signed contract back by Friday, the 14th.",
    "He scored twice in the final ten minutes!",
    "import numpy as np; x = np.zeros((3, 4))",
    "No.",
    "The court held that the agreement, although unsigned, was binding on both parties.",
    "Whisk the eggs with the sugar until pale, then fold in the flour.",
    "In 1969, two people walked on the Moon for the first time.",
    "I have never been so disappointed by a hotel in my life.",
    "The committee will meet again in Geneva to discuss fishing rights in the North Atlantic.",
    "Graphs without cycles are called forests; connected forests are trees.",
)
"""Sentences to calibrate with; their concatenation is one more, long text."""


@dataclass(frozen=True)
class LayerRanges:
    """Largest magnitudes that one layer saw.

    Parameters
    ----------
    channels : dict of float64 [channels]
        By result of `reference.encoder_layer`, and ``input``.
    scores : float
        Of the scores, in exponents of two.
    """

    channels: dict[str, NDArray[np.float64]]
    scores: float

    def largest(self, *names: str) -> float:
        """Return the largest magnitude in any of the results `names`."""
        return max(float(self.channels[name].max()) for name in names)


CHANNEL_RESULTS = (
    "normed",
    "query",
    "key",
    "value",
    "context",
    "attention_sum",
    "hidden",
    "expanded",
    "activated",
    "output_sum",
    "output",
)


def calibration_tokens(model: BertModel) -> list[NDArray[np.int64]]:
    """Return token ids to calibrate with: `SENTENCES`, or random ones without a tokenizer."""
    if model.folder is None or not (model.folder / "tokenizer.json").is_file():
        return random_tokens(model)
    limit = model.config.maximum_tokens
    tokenizer = Tokenizer(model.folder)
    texts = [tokenizer.encode(text)[:limit] for text in SENTENCES]
    length = min(limit, sum(len(text) for text in texts))
    return [*texts, tokenizer.encode(" ".join(SENTENCES), length)]


def random_tokens(model: BertModel, count: int = 8, seed: int = 0) -> list[NDArray[np.int64]]:
    """Return `count` sequences of random ids of a model without a tokenizer."""
    generator = np.random.default_rng(seed)
    length = min(model.config.maximum_tokens, 64)
    return [generator.integers(0, model.config.vocabulary, length) for _ in range(count)]


def calibrate(
    model: BertModel, layers: Sequence[int], tokens: Iterable[NDArray[np.integer]]
) -> dict[int, LayerRanges]:
    """Return the ranges of `layers` over the sequences `tokens`, by layer."""
    maxima: dict[int, dict[str, NDArray[np.float64]]] = {index: {} for index in layers}
    scores = dict.fromkeys(layers, 0.0)
    for sequence in tokens:
        x = embed(model, sequence)
        for index in range(max(layers) + 1):
            values = encoder_layer(model, index, x)
            if index in maxima:
                _update(maxima[index], "input", x)
                for name in CHANNEL_RESULTS:
                    _update(maxima[index], name, values[name])
                scores[index] = max(scores[index], float(np.abs(values["scores"]).max()))
            x = values["output"]
    return {index: LayerRanges(maxima[index], scores[index]) for index in layers}


def _update(maxima: dict[str, NDArray[np.float64]], name: str, values: NDArray[np.float64]) -> None:
    largest = np.abs(values).max(axis=0)
    maxima[name] = np.maximum(maxima[name], largest) if name in maxima else largest
