"""The sentences that sensitivity is measured on, and others that quality is judged by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ..frontend.tokenizer import Tokenizer

JOINED = 4
"""Sentences of one longer text of `joined_texts`."""


def calibration_sentences() -> tuple[str, ...]:
    """Return the sentences to calibrate with."""
    return _read("calibration")


def evaluation_sentences() -> tuple[str, ...]:
    """Return the sentences to judge by; none of them is one of the others."""
    return _read("evaluation")


def joined_texts(sentences: Sequence[str], seed: int, rounds: int = 1) -> list[str]:
    """Return longer texts of `JOINED` sentences each, in `rounds` random orders.

    Words meet other neighbours in them, which gives a Hessian more to go by than the sentences
    alone.
    """
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(rounds):
        order = generator.permutation(len(sentences))
        for start in range(0, len(order), JOINED):
            texts.append(" ".join(sentences[index] for index in order[start : start + JOINED]))
    return texts


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the ids of each text, cut to the model's limit."""
    return [tokenizer.encode(text)[: tokenizer.maximum_tokens] for text in texts]


def _read(name: str) -> tuple[str, ...]:
    text = resources.files(__package__).joinpath("sentences.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)[name])
