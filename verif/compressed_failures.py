"""Programs with a compressed operand that breaks a rule, one for each rule, format and place."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, ErrorCode, Flow, Opcode
from ..hw.matmul_check import supported_flows
from ..sw.instruction import Dram, encode
from ..sw.program import Segment
from ..sw.sparsity.bitmap import VECTOR_COUNT_BITS
from ..sw.sparsity.slots import INDEX_BITS
from .benches.products import Allocator, Product, compress
from .failures import CONSTANT, END, WINDOW_BYTES, Failure, program
from .golden.scratchpad import Scratchpad

RESERVED_BIT = 60
"""Of the header of either format."""


@dataclass(frozen=True)
class _Operand:
    """A compressed operand of three pieces.

    Parameters
    ----------
    flow : Flow
    words : uint64 [count]
    starts : tuple of int
        First word of each piece.
    """

    flow: Flow
    words: NDArray[np.uint64]
    starts: tuple[int, ...]

    def with_bit(self, word: int, bit: int) -> NDArray[np.uint64]:
        """Return the words with one bit of `word` inverted."""
        changed = self.words.copy()
        changed[word] ^= np.uint64(1 << bit)
        return changed


def _operand(config: AcceleratorConfig, flow: Flow, shape: tuple[int, int, int]) -> _Operand:
    """Return the compressed operand of a product (m, n, k) of `flow`, without a zero."""
    generator = np.random.default_rng(1)
    m, n, k = shape
    if flow in COMPRESSED_A_FLOWS:
        matrix = generator.integers(1, 128, (m, k)).astype(np.int8)
        side, axis = config.array.rows, 1
    else:
        matrix = generator.integers(1, 128, (n, k)).astype(np.int8)
        side, axis = config.array.columns, 0
    cuts = range(side, matrix.shape[axis], side)
    pieces = [compress(piece, flow, config) for piece in np.split(matrix, cuts, axis)]
    starts = np.cumsum([0, *map(len, pieces)])[:-1]
    return _Operand(flow, np.concatenate(pieces), tuple(map(int, starts)))


def _spoilt(
    config: AcceleratorConfig, operand: _Operand, length: int
) -> Iterator[tuple[str, NDArray[np.uint64], int]]:
    """Yield a rule, words that break it, and the first word of the piece that does.

    `length` is that of what places of a piece count.
    """
    first, second, last = operand.starts
    yield "reserved bits", operand.with_bit(first, RESERVED_BIT), first
    yield "reserved bits of a later piece", operand.with_bit(second, RESERVED_BIT), second
    yield "end is missing", operand.words[:-1], last
    yield "later pieces are missing", operand.words[: second + 1], second
    yield "words are left over", np.append(operand.words, np.uint64(0)), last
    if operand.flow == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY:
        # The first advance of the piece: from no block to one beyond K.
        yield "block beyond K", operand.with_bit(second + 1, length.bit_length()), second
        if config.array.block < 1 << INDEX_BITS[config.array.block]:
            slots = int(operand.words[second])
            indices = second + 1 + -(-slots // 8)
            high = INDEX_BITS[config.array.block] - 1
            yield "index out of its block", operand.with_bit(indices, high), second
        return
    elements = second + 1 + -(-length // 64)
    yield "vector count", operand.with_bit(second, 0), second
    yield "value count", operand.with_bit(second, VECTOR_COUNT_BITS), second
    yield "vector bit", operand.with_bit(second + 1, 0), second
    yield "vector beyond the strip", operand.with_bit(elements - 1, length % 64), second
    yield "element bit", operand.with_bit(elements, 1), second


def _failure(
    config: AcceleratorConfig,
    flow: Flow,
    shape: tuple[int, int, int],
    name: str,
    words: NDArray[np.uint64],
    start: int,
) -> Failure:
    """Return a program whose second product, of `flow`, has `words` as compressed operand."""
    scratchpad = Scratchpad(config)
    allocator = Allocator(config, random.Random(1), end=WINDOW_BYTES // 8)
    before = Product(3, 5, 9, flow=flow, density=0.5).place(allocator, scratchpad)
    wrong = replace(Product(*shape), flow=flow).place(allocator, scratchpad)
    address = allocator.words(len(words))
    scratchpad.words[address : address + len(words)] = words
    operand = "a" if flow in COMPRESSED_A_FLOWS else "b"
    place = {f"{operand}_address": address, "compressed_words": len(words)}
    used = -(-allocator.next // 4) * 4
    load = encode(
        Opcode.LOAD,
        rows=1,
        row_words=used,
        dram_address=Dram(CONSTANT, 0),
        signal=1,
    )
    code = [before.replace(wait=1), wrong.replace(**place), before]
    made = program(config, load, *(instruction.encode() for instruction in code), END)
    data = Segment(CONSTANT, 0, scratchpad.words[:used].tobytes())
    return Failure(
        f"{flow.name}: {name}",
        replace(made, segments=(data,)),
        ErrorCode.COMPRESSED_OPERAND,
        2,
        address + start,
    )


def compressed_failures(config: AcceleratorConfig) -> Iterator[Failure]:
    """Yield programs whose second product has a compressed operand that breaks a rule."""
    array = config.array
    shape = array.rows + 1, 2 * array.columns + 1, 2 * array.rows + 3
    m, _, k = shape
    for flow in supported_flows(config):
        if flow not in COMPRESSED_A_FLOWS + COMPRESSED_B_FLOWS:
            continue
        operand = _operand(config, flow, shape)
        length = m if flow in COMPRESSED_A_FLOWS else k
        if flow == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY:
            length = -(-k // array.block)
        for name, words, start in _spoilt(config, operand, length):
            yield _failure(config, flow, shape, name, words, start)
