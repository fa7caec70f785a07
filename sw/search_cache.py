"""Choices of the search, kept by content: the same question is answered once.

The key covers the sizes, the machine, the weights where their zeros count, the budget, and the
sources of the compiler, so that an answer is never older than the code that would give it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..hw import config as hardware
from ..hw.config import AcceleratorConfig
from .cache import cached, digest, source_digest
from .passes.compress import SparseWeights
from .passes.explore import Budget, Cost
from .passes.search import DEFAULT_BUDGET, LAYERS, Choice, choose_tiling
from .passes.tiling import Shape, Tiling
from .quantise import QuantisedLayer
from .sparsity.kept import Kept

FILE = "choice.json"


class _Early(Exception):
    """Carries an answer that a limit in seconds cut short, which is not kept."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer


def remembered(
    question: Sequence[object],
    config: AcceleratorConfig,
    budget: Budget,
    search: Callable[[], tuple[dict[str, Any], bool]],
) -> dict[str, Any]:
    """Return the answer of `search`, from the folder of builds if it is known there.

    Parameters
    ----------
    question : sequence of object
        What the answer depends on, besides the machine and the sources of the compiler, as text.
    config : AcceleratorConfig
    budget : Budget
        If it says so, nothing is looked up and nothing is kept.
    search : callable
        Returns the answer, as JSON has it, and whether a limit in seconds cut it short. What it
        raises is passed on, and nothing is kept; neither where the folder cannot be written.
    """

    def build(folder: Path) -> None:
        answer, is_early = search()
        if is_early:
            raise _Early(answer)
        (folder / FILE).write_text(json.dumps(answer))

    if not budget.reuse:
        return search()[0]
    parameters = json.dumps(config.to_dict(), sort_keys=True)
    key = digest(_sources(), parameters, *question, budget.candidates)
    try:
        answer: dict[str, Any] = json.loads((cached("search", key, build) / FILE).read_text())
    except _Early as early:
        return early.answer
    except OSError:
        return search()[0]
    return answer


def remembered_tiling(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    config: AcceleratorConfig,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
    budget: Budget = DEFAULT_BUDGET,
) -> Choice:
    """Return what `choose_tiling` returns, from the folder of builds if it is known there.

    Errors as `choose_tiling`.
    """

    def search() -> tuple[dict[str, Any], bool]:
        choice = choose_tiling(shape, layers, config, weights, kept, budget)
        return asdict(choice), choice.is_early

    zeros = "" if weights is None else weights.digest()
    terms = [(number, kept[number].term) for number in sorted(kept)]
    numbers = [number for number, _ in layers] if kept else len(layers[:LAYERS])
    return _choice(remembered((shape, numbers, terms, zeros), config, budget, search))


def _choice(values: dict[str, Any]) -> Choice:
    tilings = {name: Tiling(**values[name]) for name in ("tiling", "heuristic")}
    costs = {name: Cost(**values[name]) for name in ("cost", "heuristic_cost")}
    ranking = tuple(Tiling(**item) for item in values["ranking"])
    return Choice(**{**values, **tilings, **costs, "ranking": ranking})


def _sources() -> str:
    """Return a digest of all that the cost of a tiling depends on."""
    return source_digest(Path(__file__).parent, Path(hardware.__file__).parent)
