"""Prune the compressed operand of a product to what its flow skips."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from ...hw.config import ArrayConfig
from ..errors import CompileError
from ..sparsity.dataflow import Dataflow
from ..sparsity.errors import SparsityError
from ..sparsity.prune import prune_slices, prune_slots, prune_stationary, prune_vectors
from ..sparsity.tasd import Series, check_block, decompose, format_series, parse_series
from .flows import SPARSE_FLOWS


@dataclass(frozen=True)
class Pruning:
    """What of the compressed operand stays: a share, or a sum of N:M terms.

    Parameters
    ----------
    density : float, optional
        Share of the flow's dense slots, 0 to 1.
    series : Series
        Terms; empty if there is a density.
    """

    density: float | None = None
    series: Series = ()

    @property
    def scheme(self) -> str:
        """A name for tables."""
        return format_series(self.series) if self.series else "magnitude"

    def flows(self) -> tuple[Dataflow, ...]:
        """Return the flows that this pruning is shaped to."""
        return (Dataflow.COLUMN_SPARSE_OUTPUT,) if self.series else SPARSE_FLOWS


def pruning_of(density: float | None, pattern: str | None) -> Pruning | None:
    """Return the pruning that a density or a pattern such as ``4:8+1:8`` asks for.

    Raises
    ------
    CompileError
        If both are given, or one is wrong.
    """
    if density is None and pattern is None:
        return None
    if density is not None and pattern is not None:
        raise CompileError(f"prune takes a density or a pattern, not both {density} and {pattern}")
    if density is not None and not 0 <= density <= 1:
        raise CompileError(f"density must be from 0 to 1, not {density}")
    try:
        return Pruning(density, parse_series(pattern) if pattern is not None else ())
    except SparsityError as error:
        raise CompileError(str(error)) from None


def prune(matrix: NDArray, flow: Dataflow, pruning: Pruning, array: ArrayConfig) -> NDArray:
    """Return `matrix` [rows, k] with what `flow` is to skip set to zero.

    Raises
    ------
    CompileError
        If the flow skips nothing, or a pattern does not fit the array's block.
    """
    if flow not in pruning.flows():
        names = ", ".join(pruning.flows())
        raise CompileError(f"pruning {pruning.scheme} is for {names}, not {flow}")
    try:
        if pruning.series:
            check_block(pruning.series, array.block)
            return decompose(matrix, pruning.series).approximation
        assert pruning.density is not None
        match flow:
            case Dataflow.SPARSE_OUTPUT:
                return prune_slices(matrix, array.columns, pruning.density)
            case Dataflow.SPARSE_WEIGHT:
                return prune_stationary(matrix, array.rows, array.columns, pruning.density)
            case Dataflow.SPARSE_INPUT:
                return prune_vectors(matrix, array.rows, pruning.density)
            case _:
                return prune_slots(matrix, array.columns, array.block, pruning.density)
    except SparsityError as error:
        raise CompileError(str(error)) from None
