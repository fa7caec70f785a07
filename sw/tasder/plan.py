"""The search from model to choice: calibration text, losses, front, and what a budget allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...hw.config import ArrayConfig
from ..frontend.bert import BertModel
from ..frontend.bert_save import save
from ..frontend.tokenizer import Tokenizer
from ..sparsity.errors import SparsityError
from ..sparsity.kept import single_term
from ..sparsity.tasd import Series, Term, check_block, format_series, parse_series
from .cost import LayerCost, dense_cost, kept_cost, series_cost, weights_cost
from .errors import BudgetError
from .forward import Batch, run_layers, sentence_embeddings
from .quality import Quality, compare
from .search import DENSE, Front, Option, Point
from .sensitivity import Losses
from .sentences import RandomTexts, calibration_sentences, tokenise
from .sparsify import Choice, Method, linear_names, linear_of, sparsify

SERIES_KEY = "ageha.series"
"""Metadata of a sparse checkpoint: the series of each layer, as JSON."""

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


def calibration(model: BertModel, seed: int, texts: Sequence[str] = ()) -> Calibration:
    """Return the calibration with `texts`, or with the built-in sentences.

    Raises
    ------
    FrontendError
        If the model has no tokenizer, or a text is empty.
    """
    tokenizer = Tokenizer(model.folder)
    sentences = tuple(texts) or calibration_sentences()
    single = tokenise(tokenizer, sentences)
    some = Calibration.of(model, single, seed)
    words = tokenizer.words()
    random = RandomTexts(single, words, model.config.maximum_tokens, seed)
    batch = Batch.of(model, [*single, *(random.draw() for _ in range(RANDOM_TEXTS))])
    return replace(some, batch=batch, words=words)


def default_candidates(array: ArrayConfig) -> tuple[Series, ...]:
    """Return the series that a search tries unless it is told others.

    A term whose M is the block can keep whatever any series of the same cost keeps, so there is no
    need for sums.
    """
    counts = sorted({max(1, eighths * array.block // 8) for eighths in range(2, 8)})
    return tuple((Term(count, array.block),) for count in counts)


def check_candidates(candidates: Sequence[Series], array: ArrayConfig) -> None:
    """Refuse series that the array's blocks do not hold.

    Raises
    ------
    SparsityError
        With the first term that does not fit.
    """
    for series in candidates:
        check_block(series, array.block)


def padded_layers(model: BertModel, candidates: Sequence[Series]) -> dict[str, str]:
    """Return a note for each layer whose last group of inputs is not a whole one.

    Such a group counts as filled up with zeros; they are not stored and take no slot.
    """
    notes = {}
    for name in linear_names(model):
        k = linear_of(model, name).weight.shape[1]
        sizes = sorted({term.m for series in candidates for term in series if k % term.m})
        if sizes:
            groups = ", ".join(map(str, sizes))
            notes[name] = f"{k} inputs are filled up with zeros to groups of {groups}"
    return notes


def dense_model_cost(model: BertModel, array: ArrayConfig) -> LayerCost:
    """Return slots and bytes of all linear layers, dense."""
    shapes = (linear_of(model, name).weight.shape for name in linear_names(model))
    costs = [dense_cost(n, k, array) for n, k in shapes]
    return LayerCost(sum(cost.slots for cost in costs), sum(cost.bytes for cost in costs))


def dense_slots(model: BertModel, array: ArrayConfig) -> int:
    """Return the slots of all linear layers, dense."""
    return dense_model_cost(model, array).slots


def model_cost(model: BertModel, array: ArrayConfig) -> LayerCost:
    """Return slots and bytes of all linear layers as they are, with the inputs that are kept."""
    costs = []
    for name in linear_names(model):
        weights, series = linear_of(model, name).weight, model.activations.get(name)
        kept = None if series is None else single_term(parse_series(series))
        n, k = weights.shape
        costs.append(weights_cost(weights, array) if kept is None else kept_cost(n, k, kept, array))
    return LayerCost(sum(cost.slots for cost in costs), sum(cost.bytes for cost in costs))


def front_of(
    model: BertModel,
    losses: Losses,
    candidates: Sequence[Series],
    array: ArrayConfig,
    dense: Sequence[str] = (),
) -> Front:
    """Return the front over all choices of `candidates`.

    A layer that keeps its weights costs what they cost: fewer slots than a dense one where the
    model is sparse already.

    Parameters
    ----------
    model : BertModel
    losses : Losses
        From `sensitivity.measure`.
    candidates : sequence of Series
    array : ArrayConfig
    dense : sequence of str
        Layers that stay dense.

    Raises
    ------
    SparsityError
        If the array's blocks do not hold a candidate.
    """
    check_candidates(candidates, array)
    options: dict[str, list[Option]] = {}
    for name in linear_names(model):
        weight = linear_of(model, name).weight
        n, k = weight.shape
        options[name] = [Option(DENSE, weights_cost(weight, array).slots, 0.0)]
        if name in dense:
            continue
        for series in candidates:
            text = format_series(series)
            slots = series_cost(n, k, series, array).slots
            options[name].append(Option(text, slots, losses[name][text]))
    return Front(options)


def within_budget(front: Front, budget: float, total: int) -> Point:
    """Return the best point with at most `budget` of the dense slots, `total`.

    Raises
    ------
    BudgetError
        If there is none, with the nearest budget that can be reached.
    SparsityError
        If the budget is not above 0 and at most 1.
    """
    if not 0 < budget <= 1:
        raise SparsityError(f"budget must be above 0 and at most 1, not {budget}")
    if front.slots[0] > budget * total:
        nearest = np.ceil(front.slots[0] / total * 1e4) / 1e4
        raise BudgetError(f"budget {budget:g} is not reachable; nearest is {nearest:g}")
    return front.within_slots(budget * total)


def choice_of(point: Point) -> Choice:
    """Return the series of each layer of a point."""
    return {name: parse_series(text) for name, text in point.series.items()}


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
    low = int(np.ceil(front.slots[0] * FRONT_STEPS / total))
    best: tuple[Point, BertModel] | None = None
    high, tries, reached = FRONT_STEPS, 0, 0.0
    while low <= high:
        middle = (low + high) // 2
        point = front.within_slots(middle / FRONT_STEPS * total)
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
    """Write a sparse model and its series as a checkpoint that `bert.load` reads.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    texts = {name: format_series(series) for name, series in choice.items()}
    save(model, path, {SERIES_KEY: json.dumps(texts)})


def counts_by_series(choice: Mapping[str, Series], model: BertModel) -> dict[str, int]:
    """Return how many layers take each series, dense ones last."""
    texts = sorted(format_series(series) for series in choice.values())
    counts = {text: texts.count(text) for text in dict.fromkeys(texts)}
    rest = len(linear_names(model)) - len(texts)
    return counts | ({"dense": rest} if rest else {})
