"""The front of a search against all choices there are."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.tasder import search as module
from ageha.sw.tasder.errors import BudgetError
from ageha.sw.tasder.plan import within_budget
from ageha.sw.tasder.search import DENSE, Option, search

losses = st.integers(0, 50).map(lambda value: value / 8)
items = st.tuples(st.integers(0, 9).map(lambda value: 6 * value), losses)
layers = st.lists(st.lists(items, min_size=1, max_size=4), min_size=1, max_size=4)


def options_of(figures):
    return {
        f"{number}.query": [
            Option(f"{place + 1}:16", slots, loss) for place, (slots, loss) in enumerate(layer)
        ]
        for number, layer in enumerate(figures)
    }


@settings(max_examples=80, deadline=None)
@given(figures=layers)
def test_front_is_that_of_all_choices(figures):
    options = options_of(figures)
    totals = [
        (sum(item.cost for item in choice), sum(item.loss for item in choice))
        for choice in product(*options.values())
    ]
    best = sorted(
        {
            (slots, loss)
            for slots, loss in totals
            if not any(s <= slots and e <= loss and (s, e) != (slots, loss) for s, e in totals)
        }
    )
    front = search(options)
    assert [(point.cost, point.loss) for point in front.points()] == best
    for point in front.points():
        taken = [
            next(item for item in options[name] if item.series == text)
            for name, text in point.series.items()
        ]
        assert sum(item.cost for item in taken) == point.cost
        assert sum(item.loss for item in taken) == point.loss


def test_of_too_many_points_some_are_left_out(monkeypatch):
    """Ends stay, and every budget is met at nearly the loss of the exact front."""
    generator = np.random.default_rng(8)
    figures = [
        [(int(cost), float(1 / cost)) for cost in generator.integers(1, 10**6, 5)] for _ in range(5)
    ]
    exact = search(options_of(figures))
    monkeypatch.setattr(module, "MOST_POINTS", 64)
    coarse = search(options_of(figures))
    assert len(coarse.points()) < len(exact.points())
    assert coarse.costs[0] == exact.costs[0] and coarse.losses[-1] == exact.losses[-1]
    for limit in np.linspace(1.1 * exact.costs[0], exact.costs[-1], 20):
        point = coarse.within_cost(limit)
        assert point.cost <= limit and point.loss <= exact.within_cost(0.95 * limit).loss * 1.05


def two_layers():
    return search(
        {
            "0.query": [Option(DENSE, 16, 0.0), Option("8:16", 8, 0.1)],
            "0.key": [Option(DENSE, 16, 0.0), Option("8:16", 8, 0.3)],
        }
    )


def test_budgets():
    front = two_layers()
    assert front.within_cost(24).series == {"0.query": "8:16"}
    assert front.within_cost(31).cost == 24
    assert front.within_cost(32).series == {}
    assert front.within_loss(0.2).series == {"0.query": "8:16"}
    assert front.within_loss(9).cost == 16
    assert within_budget(front, 0.75, 32).cost == 24


def test_budgets_that_nothing_meets():
    with pytest.raises(BudgetError, match="cost of 15 is not reachable; nearest is 16"):
        two_layers().within_cost(15)
    with pytest.raises(BudgetError, match=r"budget 0.4 is not reachable; nearest is 0.5"):
        within_budget(two_layers(), 0.4, 32)
    only = search({"0.query": [Option("8:16", 8, 0.1)]})
    with pytest.raises(BudgetError, match=r"loss of 0.05 is not reachable; nearest is 0.1"):
        only.within_loss(0.05)
    for budget in (0, -1, 1.5):
        with pytest.raises(SparsityError, match="budget must be above 0 and at most 1"):
            within_budget(two_layers(), budget, 32)
