"""Compressed operands that the hardware takes though no encoder would write them."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import COMPRESSED_A_FLOWS, Flow
from ...sw.sparsity.bitmap import VECTOR_COUNT_BITS
from ...sw.sparsity.slots import ADVANCE_BITS, INDEX_BITS, LONGEST_ADVANCE
from ...sw.sparsity.words import pack_fields


def random_words(
    generator: random.Random, config: AcceleratorConfig, flow: Flow, m: int, n: int, k: int
) -> NDArray[np.uint64]:
    """Return words that `flow` takes as its compressed operand and that are not canonical.

    Listed vectors and slots may be zero, values are set beyond the matrix, a column takes the same
    input several times, and a tile may have more slots than inputs. Only indices beyond K do not
    occur: behind the last input of a row of A lies what belongs to others.
    """
    array = config.array
    numbers = np.random.default_rng(generator.getrandbits(32))
    if flow in COMPRESSED_A_FLOWS:
        pieces = [_strip(numbers, m, array.rows) for _ in range(0, k, array.rows)]
    elif flow == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY:
        pieces = [_tile(numbers, k, array.columns, array.block) for _ in range(0, n, array.columns)]
    else:
        pieces = [_strip(numbers, k, array.columns) for _ in range(0, n, array.columns)]
    return np.concatenate(pieces)


def _strip(numbers: np.random.Generator, length: int, vector: int) -> NDArray[np.uint64]:
    used = numbers.random(length) < numbers.choice([0, 0.1, 0.5, 1])
    present = numbers.random(int(used.sum()) * vector) < numbers.choice([0, 0.2, 0.7, 1])
    header = int(used.sum()) | int(present.sum()) << VECTOR_COUNT_BITS
    values = numbers.integers(-128, 128, int(present.sum())).astype(np.int8)
    return _piece(header, (used, 1), (present, 1), (values, 8))


def _tile(numbers: np.random.Generator, k: int, columns: int, block: int) -> NDArray[np.uint64]:
    slots = int(numbers.integers(0, 2 * k + 5)) if numbers.random() < 0.8 else 0
    blocks = np.sort(numbers.integers(0, min(-(-k // block), LONGEST_ADVANCE), slots))
    limits = np.minimum(block, k - blocks * block)
    indices = numbers.integers(0, limits[:, np.newaxis], (slots, columns))
    values = numbers.integers(-128, 128, (slots, columns)).astype(np.int8)
    advances = np.diff(blocks, prepend=0)
    return _piece(slots, (advances, ADVANCE_BITS), (indices, INDEX_BITS[block]), (values, 8))


def _piece(header: int, *sections: tuple[NDArray, int]) -> NDArray[np.uint64]:
    packed = [pack_fields(values.reshape(-1), width) for values, width in sections]
    return np.concatenate([np.array([header], dtype=np.uint64), *packed])
