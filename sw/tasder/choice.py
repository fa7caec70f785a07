"""What a linear layer may take: a series of its weights, or N of every M of its inputs.

csOS compresses one operand of a product, so a layer takes one of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..frontend.bert import BertModel
from ..sparsity.kept import single_term
from ..sparsity.tasd import Series, Term, format_series, parse_series

KEPT = "activations "
"""Begins the text of inputs that are kept."""

KEEPING = ("contract",)
"""The linear layers whose inputs the machine can keep: those that follow an activation."""


@dataclass(frozen=True)
class KeptInputs:
    """N of every M inputs of a layer are kept, for each token those of largest magnitude.

    Parameters
    ----------
    term : Term
    """

    term: Term

    def __str__(self) -> str:
        return f"{KEPT}{self.term}"


Sparsity = Series | KeptInputs
"""What one layer takes."""

Choice = Mapping[str, Sparsity]
"""What each layer takes, by a name such as ``0.query``; those left out stay dense."""


def format_sparsity(sparsity: Sparsity) -> str:
    """Return the text that `parse_sparsity` reads."""
    return str(sparsity) if isinstance(sparsity, KeptInputs) else format_series(sparsity)


def parse_sparsity(text: str) -> Sparsity:
    """Read a series of weights such as ``4:8+1:8``, or inputs such as ``activations 4:8``.

    Raises
    ------
    SparsityError
        If the text is no series, a term is out of range, or inputs have terms of different M.
    """
    series = parse_series(text.removeprefix(KEPT))
    return KeptInputs(single_term(series)) if text.startswith(KEPT) else series


def kept_inputs_of(model: BertModel) -> dict[str, KeptInputs]:
    """Return what a model says itself of inputs that are kept.

    Raises
    ------
    SparsityError
        If it says what no machine can keep.
    """
    return {
        name: KeptInputs(single_term(parse_series(text)))
        for name, text in model.activations.items()
    }


def kept_term(model: BertModel, layer: int) -> Term | None:
    """Return what is kept of the inputs of the feed-forward contraction of `layer`.

    Raises
    ------
    SparsityError
        If the model says what no machine can keep.
    """
    text = model.activations.get(f"{layer}.contract")
    return None if text is None else single_term(parse_series(text))
