"""How long instructions take: an analytic model, checked against the hardware's counters."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index

from ..hw.config import AcceleratorConfig
from ..hw.isa import UNITS, Opcode, Unit
from .gir import WORD, Buffer, Graph, Operation, semaphores, words
from .gir_butterfly import butterfly_cycles

ISSUE_CYCLES = 4
"""From a signal to the start of the instruction that waits for it."""

MEMORY_LATENCY = 64
"""From a request to memory to its answer, unloaded."""

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
    return start + index(x.rows) * row


def latency(unit: Unit, config: AcceleratorConfig) -> int:
    """Return the cycles from the end of an instruction's work until its results are visible."""
    if unit == Unit.ARRAY:
        return config.array.rows + 2 * config.chunk
    latencies = {Unit.VECTOR: VECTOR_LATENCY, Unit.BUTTERFLY: 60}
    return latencies.get(unit, MEMORY_LATENCY)


@dataclass(frozen=True)
class Prediction:
    """What an unloaded machine should need.

    Parameters
    ----------
    cycles : int
        Until the last unit is done.
    busy : dict of int
        Cycles of work a unit.
    spans : list of tuple of int
        Start and end of the work of each operation.
    """

    cycles: int
    busy: dict[Unit, int]
    spans: list[tuple[int, int]]


def predict(graph: Graph, config: AcceleratorConfig) -> Prediction:
    """Simulate the units, their semaphores and the order of `graph`, instruction by instruction.

    Raises
    ------
    ValueError
        If an instruction waits for a signal that no instruction before it in the program sends.
    """
    buffers = graph.by_name()
    free = dict.fromkeys(UNITS, 0)
    busy = dict.fromkeys(UNITS, 0)
    signals: dict[int, list[int]] = {}
    queued: dict[Unit, list[int]] = {unit: [] for unit in UNITS}
    spans: list[tuple[int, int]] = []
    fetched = 0
    for operation in graph.operations():
        unit = operation.unit
        # Fetch is in order: it stands still while the queue of a unit is full.
        waiting = queued[unit]
        if len(waiting) == config.controller.queue_depth:
            fetched = max(fetched, heapq.heappop(waiting))
        start = max(free[unit], fetched)
        for semaphore in semaphores(operation.wait):
            if not signals.get(semaphore):
                raise ValueError(f"semaphore {semaphore} is waited for but never signalled")
            start = max(start, signals[semaphore].pop(0) + ISSUE_CYCLES)
        work = cycles(operation, buffers, config)
        busy[unit] += work
        free[unit] = start + work
        spans.append((start, start + work))
        heapq.heappush(waiting, start)
        for semaphore in semaphores(operation.signal):
            signals.setdefault(semaphore, []).append(start + work + latency(unit, config))
    last = max(free[unit] + latency(unit, config) for unit in UNITS)
    return Prediction(last, busy, spans)
