"""The search from model to choice: calibration text, losses, front, and what a budget allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig, ArrayConfig
from ..frontend.bert import BertModel
from ..frontend.bert_save import save
from ..frontend.tokenizer import Tokenizer
from ..sparsity.errors import SparsityError
from ..sparsity.kept import Kept
from ..sparsity.tasd import Series, Term, check_block
from .choice import (
    KEEPING,
    Choice,
    KeptInputs,
    Sparsity,
    format_sparsity,
    kept_inputs_of,
)
from .errors import BudgetError
from .forward import Batch, run_layers, sentence_embeddings
from .fronts import choice_of
from .quality import Quality, compare
from .search import Front, Point
from .sensitivity import Candidates
from .sentences import RandomTexts, tokenise
from .sparsify import Method, linear_names, linear_of, sparsify

SERIES_KEY = "ageha.series"
"""Metadata of a sparse checkpoint: the series of each layer's weights, as JSON."""

MEASURED_SENTENCES = 40
"""Sentences on which the loss of each layer is measured."""

RANDOM_TEXTS = 300
"""Texts of random words that Hessians are taken from, besides the sentences."""

FRONT_STEPS = 64
"""Budgets among which `cheapest` looks for a quality."""


@dataclass(frozen=True)
class Calibration:
    """What a search measures on.

    Parameters
    ----------
    batch : Batch
        All texts, for Hessians.
    sentences : Batch
        Some of the sentences, for losses.
    tokens : tuple of int [tokens]
        All sentences, for distillation.
    words : int [words]
        Ids that distillation exchanges words for.
    """

    batch: Batch
    sentences: Batch
    tokens: tuple[NDArray[np.integer], ...]
    words: NDArray[np.integer]

    @classmethod
    def of(cls, model: BertModel, tokens: Sequence[NDArray[np.integer]], seed: int) -> Calibration:
        """Return the calibration with sequences of token ids, and a random choice among them."""
        count = min(MEASURED_SENTENCES, len(tokens))
        chosen = np.random.default_rng(seed).choice(len(tokens), count, replace=False)
        some = Batch.of(model, [tokens[index] for index in sorted(chosen)])
        words = np.unique(np.concatenate([ids[1:-1] for ids in tokens]))
        return cls(Batch.of(model, tokens), some, tuple(tokens), words)


def calibration(
    model: BertModel, seed: int, sentences: Sequence[str], random_texts: int = RANDOM_TEXTS
) -> Calibration:
    """Return the calibration with some sentences, and random texts made of them.

    Parameters
    ----------
    model : BertModel
    seed : int
        Draws the random texts, and the sentences that losses are measured on.
    sentences : sequence of str
    random_texts : int
        Only Hessians are taken from them.

    Raises
    ------
    FrontendError
        If the model has no tokenizer, or a text is empty.
    """
    tokenizer = Tokenizer(model.folder)
    single = tokenise(tokenizer, sentences)
    some = Calibration.of(model, single, seed)
    words = tokenizer.words()
    random = RandomTexts(single, words, model.config.maximum_tokens, seed)
    batch = Batch.of(model, [*single, *(random.draw() for _ in range(random_texts))])
    return replace(some, batch=batch, words=words)


def default_series(array: ArrayConfig) -> tuple[Series, ...]:
    """Return the series of weights that a search tries unless it is told others.

    A term whose M is the block can keep whatever any series of the same cost keeps, so there is no
    need for sums.
    """
    return tuple((term,) for term in _eighths(array.block))


def default_kept(config: AcceleratorConfig) -> tuple[KeptInputs, ...]:
    """Return what is tried of activations: terms of the largest M that the machine selects from.

    Raises
    ------
    SparsityError
        If the machine keeps all activations.
    """
    terms = _eighths(config.largest_kept_group or config.array.block)
    check_kept(map(KeptInputs, terms), config)
    return tuple(map(KeptInputs, terms))


def _eighths(group: int) -> list[Term]:
    """Return the terms of a group from a quarter to seven eighths of it."""
    counts = sorted({max(1, eighths * group // 8) for eighths in range(2, 8)})
    return [Term(count, group) for count in counts]


def check_kept(kept: Iterable[KeptInputs], config: AcceleratorConfig) -> None:
    """Refuse what the machine cannot keep.

    Raises
    ------
    SparsityError
        With the first term that does not fit.
    """
    for inputs in kept:
        Kept(inputs.term, config)


def candidates_of(
    model: BertModel,
    series: Sequence[Series],
    array: ArrayConfig,
    *,
    kept: Sequence[KeptInputs] = (),
    dense: Sequence[str] = (),
) -> Candidates:
    """Return what each layer may take: all of `series`, or some of its inputs.

    Parameters
    ----------
    model : BertModel
        Layers whose inputs it keeps already go on doing that, and nothing else.
    series : sequence of Series
    array : ArrayConfig
    kept : sequence of KeptInputs
        Of the layers that can keep inputs.
    dense : sequence of str
        Layers that stay dense.

    Raises
    ------
    SparsityError
        If the array's blocks do not hold a series.
    """
    for terms in series:
        check_block(terms, array.block)
    found: dict[str, Sequence[Sparsity]] = {}
    fixed = kept_inputs_of(model)
    for name in linear_names(model):
        if name in fixed:
            found[name] = [fixed[name]]
        elif name in dense:
            found[name] = []
        else:
            found[name] = [*series, *(kept if name.partition(".")[2] in KEEPING else ())]
    return found


def padded_layers(model: BertModel, candidates: Candidates) -> dict[str, str]:
    """Return a note for each layer whose last group of inputs is not a whole one.

    Such a group counts as filled up with zeros; they are not stored and take no slot.
    """
    notes = {}
    for name, items in candidates.items():
        k = linear_of(model, name).weight.shape[1]
        terms = (it for item in items if not isinstance(item, KeptInputs) for it in item)
        sizes = sorted({term.m for term in terms if k % term.m})
        if sizes:
            groups = ", ".join(map(str, sizes))
            notes[name] = f"{k} inputs are filled up with zeros to groups of {groups}"
    return notes


def within_budget(front: Front, budget: float, total: int) -> Point:
    """Return the best point that costs at most `budget` of a dense model, `total`.

    Raises
    ------
    BudgetError
        If there is none, with the nearest budget that can be reached.
    SparsityError
        If the budget is not above 0 and at most 1.
    """
    if not 0 < budget <= 1:
        raise SparsityError(f"budget must be above 0 and at most 1, not {budget}")
    if front.costs[0] > budget * total:
        nearest = np.ceil(front.costs[0] / total * 1e4) / 1e4
        raise BudgetError(f"budget {budget:g} is not reachable; nearest is {nearest:g}")
    return front.within_cost(budget * total)


def keeping_layers(point: Point) -> int:
    """Return how many layers keep some of their inputs at a point."""
    return sum(isinstance(item, KeptInputs) for item in choice_of(point).values())


def uniform_choice(model: BertModel, series: Series) -> Choice:
    """Return the choice of one series for all layers."""
    return dict.fromkeys(linear_names(model), series)


def quality_of(sparse: BertModel, model: BertModel, sentences: Batch) -> Quality:
    """Return how near the embeddings of `sparse` are to those of `model`."""
    found, expected = (
        sentence_embeddings(run_layers(item, sentences), sentences.lengths)
        for item in (sparse, model)
    )
    return compare(found, expected)


def cheapest(
    model: BertModel,
    front: Front,
    spearman: float,
    texts: Calibration,
    total: int,
    method: Method,
    on_try: Callable[[int], None] = lambda tries: None,
) -> tuple[Point, BertModel]:
    """Return the cheapest of `FRONT_STEPS` points whose model reaches a quality.

    The quality is measured on the sentences of `texts`, and taken to fall with the budget.

    Raises
    ------
    BudgetError
        If not even the point of least loss reaches it.
    SparsityError
        If `spearman` is not above 0 and at most 1.
    """
    if not 0 < spearman <= 1:
        raise SparsityError(f"quality must be above 0 and at most 1, not {spearman}")
    low = int(np.ceil(front.costs[0] * FRONT_STEPS / total))
    best: tuple[Point, BertModel] | None = None
    high, tries, reached = FRONT_STEPS, 0, 0.0
    while low <= high:
        middle = (low + high) // 2
        point = front.within_cost(middle / FRONT_STEPS * total)
        sparse = sparsify(model, choice_of(point), texts.batch, method)
        quality = quality_of(sparse, model, texts.sentences).spearman
        reached = max(reached, quality)
        tries += 1
        on_try(tries)
        if quality >= spearman:
            best, high = (point, sparse), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise BudgetError(f"quality {spearman:g} is not reachable; nearest is {reached:.4f}")
    return best


def save_sparse(model: BertModel, choice: Choice, path: Path) -> None:
    """Write a sparse model as a checkpoint that `bert.load` reads, with what its layers take.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    texts = {
        name: format_sparsity(item)
        for name, item in choice.items()
        if not isinstance(item, KeptInputs)
    }
    save(model, path, {SERIES_KEY: json.dumps(texts)})


def counts_by_series(choice: Choice, model: BertModel) -> dict[str, int]:
    """Return how many layers take each series, dense ones last."""
    texts = sorted(format_sparsity(item) for item in choice.values())
    counts = {text: texts.count(text) for text in dict.fromkeys(texts)}
    rest = len(linear_names(model)) - len(texts)
    return counts | ({"dense": rest} if rest else {})
