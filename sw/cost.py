"""What a schedule counts with, before anything has an address or a neighbour.

`prediction.predict` then tells what the scheduled program takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import index

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode, Unit
from .gir import WORD, Buffer, Operation, words
from .gir_butterfly import butterfly_cycles
from .unit_timing import MEMORY_LATENCY

ISSUE_CYCLES = 4
"""From a signal to the start of the instruction that waits for it."""

BURST_CYCLES = 11
"""Of a burst besides that latency, until the next one may take its place."""

BURST_GAP = 0.5
"""Cycles between two bursts: none in a LOAD alone, half a one beside the other units' accesses."""

VECTOR_START = {
    Opcode.QUANTISE: 70,
    Opcode.SOFTMAX: 70,
    Opcode.NORMALISE: 140,
    Opcode.MULTIPLY: 60,
}
"""Cycles of an instruction of the vector unit besides those of its rows."""

VECTOR_ROW = {
    Opcode.QUANTISE: 11,
    Opcode.SOFTMAX: 11,
    Opcode.NORMALISE: 33,
    Opcode.MULTIPLY: 3,
}
"""Least cycles of a row in the vector unit."""

VECTOR_LATENCY = 8
"""From the last write of the vector unit to the signal."""

BUTTERFLY_LATENCY = 60
"""Of an instruction of the butterfly unit besides its passes: filling and emptying the unit."""


def cycles(operation: Operation, buffers: Mapping[str, Buffer], config: AcceleratorConfig) -> int:
    """Return for how many cycles `operation` keeps its unit busy."""
    if operation.work:
        return operation.work
    if operation.unit == Unit.ARRAY:
        return _matmul(operation, config)
    if operation.unit == Unit.VECTOR:
        return _vector(operation, config)
    if operation.unit == Unit.BUTTERFLY:
        return butterfly_cycles(operation, config)
    source = operation.reads["source"]
    row_bytes = words(index(source.columns), buffers[source.buffer].dtype) * WORD
    return math.ceil(index(source.rows) * _row(-(-row_bytes // config.axi_bytes), config))


def _row(beats: int, config: AcceleratorConfig) -> float:
    """Return the cycles of a row of `beats`: short bursts leave the bus waiting for memory."""
    bursts = -(-beats // config.axi.burst_beats)
    waiting = bursts * (MEMORY_LATENCY + BURST_CYCLES) / config.axi.outstanding
    return max(beats + bursts * BURST_GAP, waiting)


def _matmul(operation: Operation, config: AcceleratorConfig) -> int:
    a, y = operation.reads["a"], operation.writes["y"]
    tiles = -(-index(y.rows) // config.array.rows) * -(-index(y.columns) // config.array.columns)
    return tiles * max(index(a.columns), config.array.rows * config.array.drain_turns)


def _vector(operation: Operation, config: AcceleratorConfig) -> int:
    x = operation.reads["x"]
    passes = 1 if operation.opcode == Opcode.MULTIPLY else 2
    row = max(passes * -(-index(x.columns) // config.vector_lanes), VECTOR_ROW[operation.opcode])
    start = VECTOR_START[operation.opcode] + passes * config.scratchpad.pipelined
    start += config.vector.pipelined
    return start + index(x.rows) * row


def latency(unit: Unit, config: AcceleratorConfig) -> int:
    """Return the cycles from the end of an instruction's work until its results are visible."""
    if unit == Unit.ARRAY:
        return config.array.rows + 2 * config.chunk
    latencies = {Unit.VECTOR: VECTOR_LATENCY, Unit.BUTTERFLY: BUTTERFLY_LATENCY}
    return latencies.get(unit, MEMORY_LATENCY)
