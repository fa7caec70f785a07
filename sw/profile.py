"""What a program is expected to do and when, for reports: spans, memory, traffic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from operator import index
from typing import Any

from ..hw.config import AcceleratorConfig
from .gir import SPILLED, WORD, Buffer, Graph, Level, Operation, words
from .prediction import predict


def profile(graph: Graph, config: AcceleratorConfig) -> dict[str, Any]:
    """Return what reports need of an allocated and synchronised `graph`, for its metadata.

    Returns
    -------
    dict
        - ``predicted_cycles``: of the whole program;
        - ``predicted_spans``: for each instruction but END its first and last cycle of work;
        - ``buffers``: for each buffer in the scratchpad ``name, address, bytes, first, last``:
          where it lies, in bytes, and the first and the last instruction that use it;
        - ``traffic``: for each product or step ``label, unit, moved, compulsory``: the bytes that
          its instructions move, and those of the matrices in DRAM that it is the first to touch.
    """
    prediction = predict(graph, config)
    return {
        "predicted_cycles": prediction.cycles,
        "predicted_spans": [list(span) for span in prediction.spans],
        "buffers": _scratchpad(graph),
        "traffic": _traffic(graph),
    }


def bytes_moved(operation: Operation, buffers: Mapping[str, Buffer]) -> int:
    """Return the bytes of a LOAD or a STORE."""
    source = operation.reads["source"]
    return index(source.rows) * words(index(source.columns), buffers[source.buffer].dtype) * WORD


def compulsory_bytes(buffer: Buffer) -> int:
    """Return the bytes that must cross the bus for a DRAM buffer: all of it, or none."""
    rows = buffer.rows if buffer.pitch else 1
    return 0 if buffer.name.endswith(SPILLED) else rows * buffer.row_words * WORD


def _scratchpad(graph: Graph) -> list[dict[str, Any]]:
    uses: dict[str, list[int]] = defaultdict(list)
    for number, operation in enumerate(graph.operations()):
        for item in (*operation.reads.values(), *operation.writes.values()):
            uses[item.buffer].append(number)
    return [
        {
            "name": buffer.name,
            "address": (buffer.address or 0) * WORD,
            "bytes": buffer.size * WORD,
            "first": uses[buffer.name][0],
            "last": uses[buffer.name][-1],
        }
        for buffer in graph.buffers
        if buffer.level == Level.SCRATCHPAD and buffer.name in uses
    ]


def _traffic(graph: Graph) -> list[dict[str, Any]]:
    buffers = graph.by_name()
    moved: dict[tuple[str, str], int] = defaultdict(int)
    compulsory: dict[tuple[str, str], int] = defaultdict(int)
    seen: set[str] = set()
    for operation in graph.operations():
        key = operation.product, operation.unit.name.lower()
        for item in (*operation.reads.values(), *operation.writes.values()):
            buffer = buffers[item.buffer]
            if buffer.level == Level.SCRATCHPAD:
                continue
            moved[key] += bytes_moved(operation, buffers)
            if buffer.name not in seen:
                compulsory[key] += compulsory_bytes(buffer)
                seen.add(buffer.name)
    return [
        {"label": label, "unit": unit, "moved": total, "compulsory": compulsory[label, unit]}
        for (label, unit), total in moved.items()
    ]
