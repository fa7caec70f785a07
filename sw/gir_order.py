"""Rules of a graph's order: producers come first, live buffers keep apart, no wait is in vain."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from .gir import SPILLED, Buffer, Graph, Level, Operation, semaphores
from .gir_text import GirError
from .passes.dependencies import Region, region


def check_producers(graph: Graph) -> None:
    """Check that every word that an operation reads was written before.

    What the host fills counts as written: all of DRAM but what a program spills.

    Raises
    ------
    GirError
        Naming the operation and the slice.
    """
    buffers = graph.by_name()
    written: dict[str, NDArray[np.bool_]] = {}
    for number, operation in enumerate(graph.operations()):
        for role, item in operation.reads.items():
            buffer = buffers[item.buffer]
            if buffer.level == Level.DRAM and not buffer.name.endswith(SPILLED):
                continue
            if buffer.name not in written:
                raise GirError(
                    f"{_where(number, operation)}: {buffer.name} is read before anything is "
                    "written to it"
                )
            if not _words(written[buffer.name], region(item, buffer)).all():
                raise GirError(
                    f"{_where(number, operation)}: {role} reads words of {item} that nothing wrote"
                )
        for item in operation.writes.values():
            buffer = buffers[item.buffer]
            mask = written.setdefault(buffer.name, _mask(buffer))
            _words(mask, region(item, buffer))[...] = True


def _where(number: int, operation: Operation) -> str:
    return f"node {number} ({operation.opcode.name} {operation.product})"


def _mask(buffer: Buffer) -> NDArray[np.bool_]:
    """Return a flag for each word; all rows of a buffer without a pitch are the same words."""
    return np.zeros((buffer.rows if buffer.pitch else 1, buffer.row_words), dtype=np.bool_)


def _words(mask: NDArray[np.bool_], part: Region) -> NDArray[np.bool_]:
    end = part.end_row if part.buffer.pitch else part.first_row + 1
    return mask[part.first_row : end : part.step, part.first_word : part.end_word]


def check_places(graph: Graph) -> None:
    """Check that no two buffers in use at a time share a word of the scratchpad.

    The order of the operations must be that of their starts, for semaphores follow the order.
    Buffers without addresses, and operations without times, are left aside.

    Raises
    ------
    GirError
        Naming both buffers, or the operation that stands in the wrong place.
    """
    buffers = graph.by_name()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    _check_starts(graph)
    for operation in graph.operations():
        for item in (*operation.reads.values(), *operation.writes.values()):
            buffer = buffers[item.buffer]
            if buffer.level == Level.DRAM or buffer.address is None or operation.start < 0:
                continue
            first[item.buffer] = min(first.get(item.buffer, operation.start), operation.start)
            last[item.buffer] = max(last.get(item.buffer, 0), operation.end)
    # At one time ends come before starts: a buffer may take the place of the one that ends there.
    events = sorted(
        [(last[name], False, name) for name in last] + [(first[name], True, name) for name in first]
    )
    alive: list[tuple[int, str]] = []
    for _, is_start, name in events:
        address = buffers[name].address or 0
        if not is_start:
            alive.pop(bisect_left(alive, (address, name)))
            continue
        place = bisect_left(alive, (address, name))
        for _, other in alive[max(0, place - 1) : place + 1]:
            _check_apart(buffers[other], buffers[name])
        insort(alive, (address, name))


def _check_starts(graph: Graph) -> None:
    latest = -1
    for number, operation in enumerate(graph.operations()):
        if operation.start < 0:
            continue
        if operation.start < latest:
            raise GirError(
                f"{_where(number, operation)}: starts at {operation.start}, before the operation "
                f"ahead of it at {latest}"
            )
        latest = operation.start


def _check_apart(one: Buffer, other: Buffer) -> None:
    low, high = sorted((one, other), key=lambda buffer: buffer.address or 0)
    if (low.address or 0) + low.size > (high.address or 0):
        raise GirError(
            f"buffer {high.name}: shares word {high.address} with {low.name} while both are in use"
        )


def check_semaphores(graph: Graph) -> None:
    """Check that the n-th wait for a semaphore comes after its n-th signal in the program.

    Units work in order and instructions are fetched in order, so that no unit then waits for one
    that waits for it.

    Raises
    ------
    GirError
        Naming the operation that would wait for ever.
    """
    signals: Counter[int] = Counter()
    for number, operation in enumerate(graph.operations()):
        for semaphore in semaphores(operation.wait):
            signals[semaphore] -= 1
            if signals[semaphore] < 0:
                raise GirError(
                    f"{_where(number, operation)}: waits for semaphore {semaphore}, which no "
                    "operation before it signals"
                )
        signals.update(semaphores(operation.signal))
