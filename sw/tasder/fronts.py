"""The Pareto fronts of a model: what layers may take with all its figures, and the best of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..frontend.bert import BertModel
from ..sparsity.tasd import Series, Term
from .choice import Choice, format_sparsity, parse_sparsity
from .figures import CostModel, Figures, Measure
from .search import DENSE, Front, Option, Point, search
from .sensitivity import Candidates, Losses
from .sparsify import linear_names, linear_of

MIXTURES = 8
"""Sums of cycles and energy in so many proportions are tried for their product."""

Table = Mapping[str, Mapping[str, Figures]]
"""By layer and what it takes, as text: what that costs, at most."""


def table_of(model: BertModel, candidates: Candidates, costs: CostModel) -> Table:
    """Return what everything costs that the layers may take.

    A layer that keeps its weights costs what they cost: less than a dense one where the model is
    sparse already. One whose inputs the model keeps costs that in any case.

    Parameters
    ----------
    model : BertModel
    candidates : Candidates
        From `plan.candidates_of`.
    costs : CostModel
    """
    table: dict[str, dict[str, Figures]] = {}
    for name, items in candidates.items():
        weight = linear_of(model, name).weight
        table[name] = {} if name in model.activations else {DENSE: costs.weights(weight)}
        for item in items:
            table[name][format_sparsity(item)] = costs.taken(weight, item)
    return table


def front_of(table: Table, losses: Losses, measure: Measure = Measure.MULTIPLY_ADDS) -> Front:
    """Return the front over all choices of `table`.

    An energy-delay product is not the sum of its layers', so that its front is the best of those
    of sums of energy and cycles in several proportions, and of those of each other measure.

    Parameters
    ----------
    table : Table
    losses : Losses
        From `sensitivity.measure`.
    measure : Measure
        What costs are.
    """
    if measure is not Measure.EDP:
        return _front(table, losses, partial(Figures.of, measure=measure))
    costs: list[Callable[[Figures], int]] = [
        partial(Figures.of, measure=other) for other in Measure if other is not Measure.EDP
    ]
    most = sum((max(items.values(), key=_edp) for items in table.values()), start=Figures())
    costs += [partial(_mixed, most=most, share=step / MIXTURES) for step in range(1, MIXTURES)]
    points = [point for cost in costs for point in _front(table, losses, cost).points()]
    return Front(Point(figures_of(table, it).edp, it.loss, it.series) for it in points)


def figures_of(table: Table, point: Point) -> Figures:
    """Return all figures of a point, at most."""
    taken = (items[point.series.get(name, DENSE)] for name, items in table.items())
    return sum(taken, start=Figures())


def uniform_within(
    model: BertModel, costs: CostModel, measure: Measure, limit: int
) -> Series | None:
    """Return the fullest series of one term that costs at most `limit` in all layers, if any."""
    block = costs.config.array.block
    for count in range(block, 0, -1):
        series = (Term(count, block),)
        weights = (linear_of(model, name).weight for name in linear_names(model))
        total = sum((costs.taken(weight, series) for weight in weights), start=Figures())
        if total.of(measure) <= limit:
            return series
    return None


def choice_of(point: Point) -> Choice:
    """Return what each layer takes at a point."""
    return {name: parse_sparsity(text) for name, text in point.series.items()}


def _front(table: Table, losses: Losses, cost: Callable[[Figures], int]) -> Front:
    return search(
        {
            name: [
                Option(text, cost(figures), 0.0 if text == DENSE else losses[name][text])
                for text, figures in items.items()
            ]
            for name, items in table.items()
        }
    )


def _edp(figures: Figures) -> int:
    return figures.edp


def _mixed(figures: Figures, most: Figures, share: float) -> int:
    """Return `share` of cycles and the rest of energy, over those of `most`, in parts of 2^40."""
    cycles, energy = figures.cycles / most.cycles, figures.energy / most.energy
    return round((share * cycles + (1 - share) * energy) * (1 << 40))
