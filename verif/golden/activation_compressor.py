"""Model of the activation compressor: the largest of every few activations, as slots for csOS.

Of every M elements of a row, of which the last may lack some, the N largest magnitudes are kept: of
equal ones the first, and absent ones as zeros after all others. A slot holds the next one that each
row of a tile has kept, so that slot s of a tile is in block ``s // (N · B / M)``. A zero that is
kept has index 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode
from ...sw.instruction import Instruction
from ...sw.sparsity.errors import SparsityError
from ...sw.sparsity.kept import Kept
from ...sw.sparsity.prune import largest_of_groups
from ...sw.sparsity.slots import ADVANCE_BITS, INDEX_BITS
from ...sw.sparsity.tasd import Term
from ...sw.sparsity.words import pack_fields
from .fault import Fault


def kept_of(instruction: Instruction, config: AcceleratorConfig) -> Kept | None:
    """Return what a QUANTISE or SOFTMAX keeps; None where it writes all.

    Raises
    ------
    Fault
        `ILLEGAL_OPERAND` with address 0 for what the machine cannot select or has no room for.
    """
    if not instruction["keep"]:
        return None
    try:
        kept = Kept(Term(instruction["keep"], 1 << instruction["log_group"]), config)
        kept.check(instruction["columns"])
    except SparsityError:
        raise Fault(ErrorCode.ILLEGAL_OPERAND, 0) from None
    return kept


def compress(values: NDArray[np.int8], kept: Kept) -> NDArray[np.uint64]:
    """Return the words of `values`, a tile for every C rows, one after the other.

    Parameters
    ----------
    values : int8 [rows, columns]
    kept : Kept

    Returns
    -------
    uint64 [kept.words(rows, columns)]
    """
    rows, columns = values.shape
    term, array = kept.term, kept.config.array
    groups, tiles = -(-columns // term.m), -(-rows // array.columns)
    padded = np.zeros((tiles * array.columns, groups * term.m), dtype=np.int8)
    padded[:rows, :columns] = values
    marked = largest_of_groups(padded, term.n, term.m)
    # As many of each row are marked, so that what is kept is a matrix again.
    places = np.nonzero(marked)[1].reshape(len(padded), groups * term.n)
    taken = np.take_along_axis(padded, places, axis=1)
    indices = np.where(taken != 0, places % array.block, 0)
    slot = np.arange(kept.slots(columns))
    advances = (slot % kept.block_slots == 0) & (slot > 0)
    head = (
        np.array([len(slot)], dtype=np.uint64),
        pack_fields(advances.view(np.uint8), ADVANCE_BITS),
    )
    words: list[NDArray[np.uint64]] = []
    for first in range(0, len(padded), array.columns):
        tile = slice(first, first + array.columns)
        fields = (
            pack_fields(indices[tile].T, INDEX_BITS[array.block]),
            pack_fields(taken[tile].T, 8),
        )
        words.extend((*head, *fields))
    return np.concatenate(words)
