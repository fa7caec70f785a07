"""Sentences to measure sensitivity on and to judge quality by, and random texts made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ..frontend.tokenizer import Tokenizer

LONGEST = 62
"""Tokens of a random text, without the first and the last."""


HELD = 3
"""One of so many sentences is kept back by `split`."""


def calibration_sentences() -> tuple[str, ...]:
    """Return the sentences to calibrate with."""
    return _read("calibration")


def evaluation_sentences() -> tuple[str, ...]:
    """Return the sentences to judge by; none of them is one of the others."""
    return _read("evaluation")


def split(sentences: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return two thirds of some sentences, and every third one, to choose a method by."""
    kept_back = list(sentences[HELD - 1 :: HELD])
    return [text for place, text in enumerate(sentences, 1) if place % HELD], kept_back


class RandomTexts:
    """Texts like those that are given, without an end.

    A hundred sentences have few of the words of a language, and what is fitted to them holds for
    no others; words at random places in no order are enough to tell what a layer does.

    Parameters
    ----------
    tokens : sequence of int [tokens]
        Sentences with their first and last, special token, which stay.
    words : int [words]
        Ids that may take the place of any other.
    longest : int
        Most tokens of a text.
    seed : int
    """

    def __init__(
        self,
        tokens: Sequence[NDArray[np.integer]],
        words: NDArray[np.integer],
        longest: int,
        seed: int,
    ) -> None:
        self._tokens = tokens
        self._words = words if len(words) else np.concatenate(tokens)
        self._longest = min(LONGEST, longest - 2)
        self._random = np.random.default_rng(seed)

    def draw(self) -> NDArray[np.integer]:
        """Return one or two sentences in one text, with a random share of its words exchanged."""
        places = self._random.integers(len(self._tokens), size=1 + int(self._random.integers(2)))
        chosen = [self._tokens[place] for place in places]
        inner = np.concatenate([ids[1:-1] for ids in chosen])[: self._longest]
        others = self._words[self._random.integers(len(self._words), size=len(inner))]
        share = self._random.random()
        mixed = np.where(self._random.random(len(inner)) < share, others, inner)
        return np.concatenate([chosen[0][:1], mixed, chosen[0][-1:]])


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the ids of each text, cut to the model's limit."""
    return [tokenizer.encode(text)[: tokenizer.maximum_tokens] for text in texts]


def _read(name: str) -> tuple[str, ...]:
    text = resources.files(__package__).joinpath("sentences.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)[name])
