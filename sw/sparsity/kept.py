"""Activations of which the vector unit keeps N of every M: how many slots and words they take.

The number of slots does not depend on the values, so that a compiler knows all sizes. The words are
those of `slots`, with every kept element in a slot of its own, zero or not;
`verif.golden.activation_compressor` says which bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from .errors import SparsityError
from .prune import largest_of_groups
from .slots import ADVANCE_BITS, INDEX_BITS
from .tasd import Series, Term, merge_series
from .words import words_of


@dataclass(frozen=True)
class Kept:
    """N of every M activations, as QUANTISE and SOFTMAX write them for one machine.

    Parameters
    ----------
    term : Term
    config : AcceleratorConfig

    Raises
    ------
    SparsityError
        If the machine has no selector, or none for groups of M.
    """

    term: Term
    config: AcceleratorConfig

    def __post_init__(self) -> None:
        config, largest = self.config, self.config.largest_kept_group
        if not largest:
            raise SparsityError(
                f"activations {self.term}: the machine compresses no activations "
                f"(array.block {config.array.block}, vector.kept_slots "
                f"{config.vector.kept_slots})"
            )
        if self.term.m > largest:
            raise SparsityError(
                f"activations {self.term}: M must be at most {largest}, the smaller of "
                f"array.block and the lanes of the vector unit, not {self.term.m}"
            )

    @property
    def log_group(self) -> int:
        """The logarithm of M, as the instruction has it."""
        return self.term.m.bit_length() - 1

    @property
    def block_slots(self) -> int:
        """Slots of a block of the array."""
        return self.config.array.block // self.term.m * self.term.n

    def slots(self, columns: int) -> int:
        """Return the slots of a tile whose rows have `columns` elements."""
        return -(-columns // self.term.m) * self.term.n

    def check(self, columns: int) -> None:
        """Refuse rows that the selector has no room for.

        Raises
        ------
        SparsityError
            Naming the slots and the limit.
        """
        slots, limit = self.slots(columns), self.config.vector.kept_slots
        if slots > limit:
            raise SparsityError(
                f"activations {self.term}: {columns} columns take {slots} slots; the limit is "
                f"vector.kept_slots = {limit}"
            )

    def sections(self, columns: int) -> tuple[int, int, int]:
        """Return the words of advances, indices and values of a tile."""
        slots, array = self.slots(columns), self.config.array
        indices = words_of(slots * array.columns, INDEX_BITS[array.block])
        return words_of(slots, ADVANCE_BITS), indices, words_of(slots * array.columns, 8)

    def words(self, rows: int, columns: int) -> int:
        """Return the words of `rows` rows: a tile for every C of them."""
        tiles = -(-rows // self.config.array.columns)
        return tiles * (1 + sum(self.sections(columns)))

    def select(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return `values` [rows, columns] with zeros for what is dropped.

        Of equal magnitudes the first is kept; the rows count as filled up with zeros.
        """
        kept = largest_of_groups(values, self.term.n, self.term.m)
        return np.where(kept, values, np.int8(0))


def single_term(series: Series) -> Term:
    """Return the one term that `series` comes to.

    A selector makes one pass over a group: N1:M and then N2:M is (N1 + N2):M, but terms of
    different M take from different residuals.

    Raises
    ------
    SparsityError
        If terms have different M.
    """
    merged = merge_series(series)
    if len(merged) != 1:
        sizes = ", ".join(str(term) for term in merged)
        raise SparsityError(f"activations: terms must have one M, not {sizes}")
    return merged[0]
