"""Sparse models of one command: made when they are needed, measured once, and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table as Printed

from ...bench.embedding import golden_embeddings, grouping_of
from ...sw.cache import digest
from ...sw.frontend.bert import BertModel
from ...sw.sparsity.tasd import Series
from ...sw.tasder import plan
from ...sw.tasder.choice import Choice, format_sparsity
from ...sw.tasder.distil import Distillation, distil
from ...sw.tasder.figures import CostModel, Figures
from ...sw.tasder.forward import Batch, run_layers, sentence_embeddings
from ...sw.tasder.fronts import Table, figures_of
from ...sw.tasder.partial import Partial
from ...sw.tasder.quality import compare
from ...sw.tasder.search import Front
from ...sw.tasder.sparsify import GREEDY, Method, sparsify
from ..console import output, step

COSTS = {
    "multiply_adds": "MACs",
    "cycles": "cycles",
    "bytes": "bytes",
    "energy": "energy",
    "edp": "EDP",
}
QUALITIES = {
    "multiply_adds": "MACs",
    "cosine": "cosine",
    "spearman": "Spearman",
    "machine_cosine": "machine",
    "machine_spearman": "Spearman",
}
"""Columns of the two tables of models."""


@dataclass(frozen=True)
class SparseModel:
    """A sparse model, and how it is made.

    Parameters
    ----------
    method : str
    choice : Choice
    recipe : str
        All that its weights depend on, besides the model, the text and the method of the command.
    make : callable
        Makes it, which may take a minute.
    """

    method: str
    choice: Choice
    recipe: str
    make: Callable[[], BertModel]

    @cached_property
    def model(self) -> BertModel:
        """The model."""
        return self.make()


@dataclass(frozen=True)
class Maker:
    """Makes sparse models of one model.

    Parameters
    ----------
    model : BertModel
    texts : Calibration
    method : Method
    how : Distillation
        Without steps, models are not distilled.
    """

    model: BertModel
    texts: plan.Calibration
    method: Method
    how: Distillation

    def uniform(self, series: Series) -> SparseModel:
        """Return the model whose layers all take one series, by plain magnitude."""
        choice = plan.uniform_choice(self.model, series)
        return self._of("uniform, magnitude", choice, GREEDY)

    def uniforms(self, series: Series) -> Iterator[SparseModel]:
        """Yield that model, and the one by the method of the command if that is another."""
        plain = self.uniform(series)
        yield plain
        if self.method.compensate:
            yield self._of("uniform, compensated", plain.choice, self.method)

    def searched(
        self, choice: Choice, compare: bool, made: BertModel | None = None
    ) -> Iterator[SparseModel]:
        """Yield the model of a choice, and what it becomes by distillation; the last one counts.

        Parameters
        ----------
        choice : Choice
        compare : bool
            Whether the model is of interest that is to be distilled.
        made : BertModel, optional
            The model, where it has been made already.
        """
        name = "searched, compensated" if self.method.compensate else "searched, magnitude"
        found = self._of(name, choice, self.method, made)
        if compare or not self.how.steps:
            yield found
        if self.how.steps:
            recipe = f"{found.recipe}, {self.how}"
            yield SparseModel(f"{name}, distilled", choice, recipe, lambda: self._distil(found))

    def _of(
        self, name: str, choice: Choice, method: Method, made: BertModel | None = None
    ) -> SparseModel:
        taken = sorted((layer, format_sparsity(item)) for layer, item in choice.items())

        def make() -> BertModel:
            return self._sparse(choice, method) if made is None else made

        return SparseModel(name, choice, f"{method}, {taken}", make)

    def _sparse(self, choice: Choice, method: Method) -> BertModel:
        if not method.compensate:
            return sparsify(self.model, choice, None, method)
        with step("Pruning", self.model.config.layers) as show:
            return sparsify(self.model, choice, self.texts.batch, method, show)

    def _distil(self, sparse: SparseModel) -> BertModel:
        start = sparse.model
        with step("Distilling", self.how.steps) as show:
            texts = self.texts
            return distil(start, self.model, texts.tokens, texts.words, self.how, show)


class Judge:
    """Measures models on sentences that calibration has not seen.

    Parameters
    ----------
    model : BertModel
        What the others are compared with, in floats.
    tokens : sequence of int [tokens]
    costs : CostModel
    partial : Partial
        Figures of models; those in it are not measured again.
    """

    def __init__(
        self,
        model: BertModel,
        tokens: Sequence[NDArray[np.integer]],
        costs: CostModel,
        partial: Partial,
    ) -> None:
        self._model, self._tokens, self._costs = model, tokens, costs
        self._partial = partial
        self._batch = Batch.of(model, tokens)
        self._expected = self._embeddings(model)
        self._conditions = digest(
            costs.config, costs.tokens, costs.table, [ids.tolist() for ids in tokens]
        )

    def figures(self, result: SparseModel) -> dict[str, Any]:
        """Return what the table shows of a model."""
        name = digest(self._conditions, result.method, result.recipe)
        found = self._partial.model(name)
        if found is None:
            found = self._measure(result)
            self._partial.add_model(name, found)
        return found

    def _embeddings(self, model: BertModel) -> NDArray[np.float32]:
        return sentence_embeddings(run_layers(model, self._batch), self._batch.lengths)

    def _measure(self, result: SparseModel) -> dict[str, Any]:
        model, array = result.model, self._costs.config.array
        count = len(self._tokens)
        with step(f"Running {count} sentences in the machine's arithmetic"):
            machine = golden_embeddings(model, self._tokens, grouping_of(model.config, array))
        floats = compare(self._embeddings(model), self._expected)
        golden = compare(machine, self._expected)
        return {
            "method": result.method,
            **self._costs.model(model).over(self._costs.dense_model(model)),
            "cosine": round(floats.cosine, 4),
            "spearman": round(floats.spearman, 4),
            "machine_cosine": round(golden.cosine, 4),
            "machine_spearman": round(golden.spearman, 4),
            "series": plan.counts_by_series(result.choice, self._model),
        }


def front_records(table: Table, front: Front, dense: Figures) -> list[dict[str, Any]]:
    """Return all points of a front as JSON has them: figures over dense, the loss that the search
    expects, and in how many layers activations are kept."""
    return [
        {
            **figures_of(table, point).over(dense),
            "loss": point.loss,
            "kept_activations": plan.keeping_layers(point),
        }
        for point in front.points()
    ]


def print_models(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what models cost over dense, their quality, and what their layers take."""
    for columns in (COSTS, QUALITIES):
        printed = Printed(box=None)
        printed.add_column("method", no_wrap=True)
        for title in columns.values():
            printed.add_column(title, justify="right", min_width=len(title))
        for row in rows:
            printed.add_row(row["method"], *(f"{row[name]:.4f}" for name in columns))
        output.print(printed)
    for row in rows:
        layers = ", ".join(f"{count} x {text}" for text, count in row["series"].items())
        output.print(f"{row['method']}, {row['multiply_adds']:.4f}: {layers}", soft_wrap=True)
