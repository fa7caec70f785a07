"""Insert semaphores: one for each ordered pair of units that has something to wait for.

The n-th signal of a pair meets its n-th wait, so that the edges of a pair must ascend at both ends.
Only those that no other edge of the pair implies are kept, which makes them ascend.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

from ...hw.config import AcceleratorConfig
from ...hw.isa import Unit
from ..errors import CompileError
from ..gir import Graph, changed
from .dependencies import Dependency, dependencies

IN_ORDER_ROLES = frozenset({"residual"})
"""Roles that the array reads only after all earlier instructions have written their results."""


def synchronise(graph: Graph, config: AcceleratorConfig, *, overlap: bool = True) -> Graph:
    """Return `graph` with the masks `wait` and `signal` set.

    Without `overlap`, each operation waits for the one before it if that is another unit's.

    Raises
    ------
    CompileError
        If the controller has fewer semaphores than pairs of units need.
    """
    operations = graph.operations()
    edges: dict[tuple[Unit, Unit], set[tuple[int, int]]] = defaultdict(set)
    for conflict in dependencies(graph):
        earlier, later = conflict.earlier.operation, conflict.later.operation
        pair = operations[earlier].unit, operations[later].unit
        if pair[0] != pair[1] or (pair[0] == Unit.ARRAY and overtakes(conflict)):
            edges[pair].add((earlier, later))
    if not overlap:
        for later, (first, second) in enumerate(pairwise(operations), 1):
            if first.unit != second.unit:
                edges[first.unit, second.unit].add((later - 1, later))
    if len(edges) > config.controller.semaphores:
        raise CompileError(
            f"semaphores: {len(edges)} pairs of units wait for each other; "
            f"controller.semaphores is {config.controller.semaphores}"
        )
    wait, signal = [0] * len(operations), [0] * len(operations)
    for semaphore, pair in enumerate(
        sorted(edges, key=lambda item: (item[0].value, item[1].value))
    ):
        for earlier, later in irredundant(edges[pair]):
            signal[earlier] |= 1 << semaphore
            wait[later] |= 1 << semaphore
    body = tuple(
        changed(operation, wait=wait[number], signal=signal[number])
        for number, operation in enumerate(operations)
    )
    return replace(graph, body=body)


def overtakes(conflict: Dependency) -> bool:
    """Return whether the array could read the operands of `later` before `earlier` is written.

    The array alone reads ahead: load, store and vector unit finish an instruction before they read
    for the next. All units write in order, and read what an instruction needs before they write
    its results.
    """
    reads_result = conflict.earlier.is_write and not conflict.later.is_write
    return reads_result and conflict.later.role not in IN_ORDER_ROLES


def irredundant(edges: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges that no other edge implies, ascending at both ends.

    Both ends belong to in-order units, so that (i, j) is implied by (i', j') with i' >= i, j' <= j.
    """
    kept: list[tuple[int, int]] = []
    latest = -1
    for later, earlier in sorted((later, -earlier) for earlier, later in edges):
        if -earlier > latest:
            latest = -earlier
            kept.append((latest, later))
    return kept
