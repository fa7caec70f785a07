"""Ranges of a float model's intermediate results, from inputs that it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frontend.bert import BertModel, EncoderModel, Linear
from .frontend.tokenizer import TOKENIZER, Tokenizer
from .frontend.vit import VitModel
from .reference import embed, embed_image, encoder_layer

Inputs = NDArray[np.float64]

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
    if model.folder is None or not (model.folder / TOKENIZER).is_file():
        return random_tokens(model)
    limit = model.config.maximum_tokens
    tokenizer = Tokenizer(model.folder, model.config)
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
    return calibrate_inputs(model, layers, (embed(model, sequence) for sequence in tokens))


def calibration_inputs(model: EncoderModel) -> list[Inputs]:
    """Return inputs of the first layer to calibrate with, float64 [tokens, hidden].

    Embeddings of `calibration_tokens` where the input is words, of `random_images` where it is an
    image, and else `random_vectors`.
    """
    if isinstance(model, BertModel):
        return [embed(model, tokens) for tokens in calibration_tokens(model)]
    if isinstance(model, VitModel):
        return [embed_image(model, pixels) for pixels in random_images(model)]
    return random_vectors(model)


def random_vectors(
    model: EncoderModel, count: int = 8, seed: int = 0, length: int = 64
) -> list[Inputs]:
    """Return `count` sequences of vectors with normal elements, as a layer norm would give them.

    A sequence has `length` tokens, or the model's limit if that is less.
    """
    generator = np.random.default_rng(seed)
    shape = min(model.config.maximum_tokens, length), model.config.hidden
    return [generator.normal(size=shape) for _ in range(count)]


def random_images(model: VitModel, count: int = 4, seed: int = 0) -> list[Inputs]:
    """Return `count` images, [channels, rows, columns] from -1 to 1: areas of colours and noise."""
    generator = np.random.default_rng(seed)
    patches = model.patches
    size = patches.image
    images = []
    for place in range(count):
        cells = min(size, 2 << place)
        coarse = generator.uniform(-1, 1, (patches.channels, cells, cells))
        places = np.arange(size) * cells // size
        noise = generator.uniform(-1, 1, (patches.channels, size, size))
        images.append(0.75 * coarse[:, places][:, :, places] + 0.25 * noise)
    return images


def calibrate_inputs(
    model: EncoderModel, layers: Sequence[int], inputs: Iterable[Inputs]
) -> dict[int, LayerRanges]:
    """Return the ranges of `layers` over `inputs` of the first layer, by layer."""
    maxima: dict[int, dict[str, NDArray[np.float64]]] = {index: {} for index in layers}
    scores = dict.fromkeys(layers, 0.0)
    streams = list(inputs)
    for index in range(max(layers) + 1):
        wide = _with_wide_weights(model, index)
        for place, x in enumerate(streams):
            values = encoder_layer(wide, index, x)
            if index in maxima:
                _update(maxima[index], "input", x)
                for name in CHANNEL_RESULTS:
                    _update(maxima[index], name, values[name])
                scores[index] = max(scores[index], float(np.abs(values["scores"]).max()))
            streams[place] = values["output"]
    return {index: LayerRanges(maxima[index], scores[index]) for index in layers}


def _with_wide_weights(model: EncoderModel, index: int) -> EncoderModel:
    """Return `model` with layer `index` in float64: converted once for all inputs, not by each."""
    layer = model.layers[index]
    parts = {part.name: getattr(layer, part.name) for part in fields(layer)}
    wide: dict[str, Any] = {
        name: replace(part, weight=part.weight.astype(np.float64))
        for name, part in parts.items()
        if isinstance(part, Linear)
    }
    layers = list(model.layers)
    layers[index] = replace(layer, **wide)
    return replace(model, layers=tuple(layers))


def _update(maxima: dict[str, NDArray[np.float64]], name: str, values: NDArray[np.float64]) -> None:
    largest = np.abs(values).max(axis=0)
    maxima[name] = np.maximum(maxima[name], largest) if name in maxima else largest
