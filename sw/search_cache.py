"""Choices of the search, kept by content: the same question is answered once.

The key covers the sizes, the machine, the weights where their zeros count, the budget, and the
sources of the compiler, so that an answer is never older than the code that would give it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    """Carries a choice that a limit in seconds ended, which is not kept."""

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self.choice = choice


def remembered_tiling(
    shape: Shape,
    layers: Sequence[tuple[int, QuantisedLayer]],
    config: AcceleratorConfig,
    weights: SparseWeights | None = None,
    kept: Mapping[int, Kept] = MappingProxyType({}),
    budget: Budget = DEFAULT_BUDGET,
) -> Choice:
    """Return what `choose_tiling` returns, from the folder of builds if it is known there.

    Errors as `choose_tiling`; nothing is kept then, nor where that folder cannot be written.
    """

    def search() -> Choice:
        return choose_tiling(shape, layers, config, weights, kept, budget)

    def build(folder: Path) -> None:
        choice = search()
        if choice.is_early:
            raise _Early(choice)
        (folder / FILE).write_text(json.dumps(asdict(choice)))

    parameters = json.dumps(config.to_dict(), sort_keys=True)
    zeros = "" if weights is None else weights.digest()
    terms = [(number, kept[number].term) for number in sorted(kept)]
    numbers = [number for number, _ in layers] if kept else len(layers[:LAYERS])
    key = digest(_sources(), parameters, shape, numbers, terms, zeros, budget.candidates)
    try:
        return _choice(json.loads((cached("search", key, build) / FILE).read_text()))
    except _Early as early:
        return early.choice
    except OSError:
        return search()


def _choice(values: dict[str, Any]) -> Choice:
    tilings = {name: Tiling(**values[name]) for name in ("tiling", "heuristic")}
    costs = {name: Cost(**values[name]) for name in ("cost", "heuristic_cost")}
    ranking = tuple(Tiling(**item) for item in values["ranking"])
    return Choice(**{**values, **tilings, **costs, "ranking": ranking})


def _sources() -> str:
    """Return a digest of all that the cost of a tiling depends on."""
    return source_digest(Path(__file__).parent, Path(hardware.__file__).parent)
