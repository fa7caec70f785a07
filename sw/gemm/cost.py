"""How many cycles the array takes for one instruction of each flow, by an analytic model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ..sparsity.dataflow import Dataflow
from .flows import is_stationary

RESULTS_PER_WORD = 4

GATHER_CHUNKS = 2.6
"""A packed stationary tile takes as long as so many chunks of A, however few rows A has."""

START = 45
"""Cycles from the issue of an instruction to its first sums, but for the rows that they pass."""


def start_cycles(flow: Dataflow, config: AcceleratorConfig) -> int:
    """Return the cycles of an instruction besides its steps, if none is under way before it.

    In stationary flows a vector meets the first weight of a tile 4 cycles later, and its sums
    leave behind the last row of elements.
    """
    return START + (config.array.rows + 4 if is_stationary(flow) else 0)


def array_cycles(
    flow: Dataflow,
    m: int,
    n: int,
    k: int,
    config: AcceleratorConfig,
    steps: NDArray[np.int64],
    compressed_words: int,
) -> int:
    """Return the cycles of one MATMUL: its steps, or the lines that it reads if those are more.

    Parameters
    ----------
    flow : Dataflow
    m, n, k : int
        Of the instruction: A is [m, k], B is [n, k].
    steps : int64 [pieces]
        Slots or useful vectors of each piece of the compressed operand; unused in dense flows.
    compressed_words : int
        Of the compressed operand; 0 in dense flows.
    """
    drained = m * -(-n // config.array.columns) * config.array.drain_turns
    multiply = max(_steps(flow, m, n, k, config, steps), drained)
    lines = read_lines(flow, m, n, k, config, steps, compressed_words)
    return start_cycles(flow, config) + max(multiply, lines)


def read_lines(
    flow: Dataflow,
    m: int,
    n: int,
    k: int,
    config: AcceleratorConfig,
    steps: NDArray[np.int64],
    compressed_words: int,
) -> int:
    """Return the lines of the scratchpad that one MATMUL and whoever takes its results read.

    Parameters are those of `array_cycles`.
    """
    words = _words(flow, m, n, k, config, steps, compressed_words)
    return -(-words // config.lanes)


def _steps(
    flow: Dataflow,
    m: int,
    n: int,
    k: int,
    config: AcceleratorConfig,
    steps: NDArray[np.int64],
) -> int:
    """Return the steps; a tile takes no fewer than it has rows to drain, to load or to gather."""
    rows, columns, chunk = config.array.rows, config.array.columns, config.chunk
    row_tiles, column_tiles = -(-m // rows), -(-n // columns)
    draining = rows * config.array.drain_turns
    match flow:
        case Dataflow.DENSE_OUTPUT:
            return row_tiles * column_tiles * max(k, draining)
        case Dataflow.DENSE_WEIGHT | Dataflow.DENSE_INPUT:
            return -(-k // rows) * column_tiles * max(m, rows)
        case Dataflow.SPARSE_OUTPUT | Dataflow.COLUMN_SPARSE_OUTPUT:
            return row_tiles * int(np.maximum(steps, draining).sum())
        case Dataflow.SPARSE_WEIGHT:
            gathered = max(-(-m // chunk) * chunk, int(GATHER_CHUNKS * chunk))
            return int(np.maximum(-(-steps // rows), 1).sum()) * gathered
        case Dataflow.SPARSE_INPUT:
            return column_tiles * int(np.maximum(steps, chunk).sum())


def _words(
    flow: Dataflow,
    m: int,
    n: int,
    k: int,
    config: AcceleratorConfig,
    steps: NDArray[np.int64],
    compressed_words: int,
) -> int:
    """Return the words, counted as whole lines of them, that pass the scratchpad's read port."""
    array, lanes = config.array, config.lanes
    row_tiles, column_tiles = -(-m // array.rows), -(-n // array.columns)
    a_words, b_words = (-(-size // lanes) * lanes * -(-k // WORD_BYTES) for size in (m, n))
    # The drain reads two lines of scales a tile, and the store unit whatever was written.
    others = row_tiles * column_tiles * 2 * lanes + m * n // RESULTS_PER_WORD
    match flow:
        case Dataflow.DENSE_OUTPUT:
            return others + column_tiles * a_words + row_tiles * b_words
        case Dataflow.DENSE_WEIGHT | Dataflow.DENSE_INPUT:
            return others + column_tiles * a_words + b_words
        case Dataflow.SPARSE_OUTPUT | Dataflow.COLUMN_SPARSE_OUTPUT:
            return others + a_words + row_tiles * compressed_words
        case Dataflow.SPARSE_WEIGHT:
            # A line of eight k serves all places in it; at worst every place has its own.
            gathered = int(np.minimum(steps, -(-k // WORD_BYTES)).sum()) * lanes
            return others + gathered * -(-m // lanes) + compressed_words
        case Dataflow.SPARSE_INPUT:
            return others + column_tiles * compressed_words + b_words
