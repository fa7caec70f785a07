"""Give every buffer an address: by lifetime in the scratchpad, one after the other in DRAM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...hw.config import AcceleratorConfig
from ..errors import NoRoomError
from ..gir import WORD, Buffer, Graph, Level, changed


@dataclass(frozen=True, order=True)
class Lifetime:
    """When a buffer holds something: from the first start to the last end, in cycles."""

    start: int
    end: int

    def overlaps(self, other: Lifetime) -> bool:
        """Return whether both are alive at some time."""
        return self.start < other.end and other.start < self.end


def lifetimes(graph: Graph) -> dict[str, Lifetime]:
    """Return the lifetime of each buffer that a scheduled operation uses."""
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for operation in graph.operations():
        start, end = operation.start, operation.end
        for item in (*operation.reads.values(), *operation.writes.values()):
            name = item.buffer
            if starts.setdefault(name, start) > start:
                starts[name] = start
            if ends.setdefault(name, end) < end:
                ends[name] = end
    return {name: Lifetime(start, ends[name]) for name, start in starts.items()}


def peak(graph: Graph, config: AcceleratorConfig) -> tuple[int, str]:
    """Return the most scratchpad bytes alive at a time, and the product that runs then."""
    alive = lifetimes(graph)
    events: list[tuple[int, int]] = []
    for buffer in graph.buffers:
        if buffer.level == Level.SCRATCHPAD and buffer.name in alive:
            size = _round_up(buffer.size, config.lanes) * WORD
            events += [(alive[buffer.name].start, size), (alive[buffer.name].end, -size)]
    total, largest, when = 0, 0, 0
    for time, change in sorted(events):
        total += change
        if total > largest:
            largest, when = total, time
    product = next(
        (item.product for item in graph.operations() if item.start <= when < item.end), graph.name
    )
    return largest, product


def allocate(graph: Graph, config: AcceleratorConfig) -> Graph:
    """Return `graph` with addresses in all buffers that are used; the others are left out.

    Largest first, at the lowest address that is free during the buffer's lifetime.

    Raises
    ------
    NoRoomError
        If the scratchpad is too small.
    """
    alive = lifetimes(graph)
    used = [buffer for buffer in graph.buffers if buffer.name in alive]
    scratchpad = [buffer for buffer in used if buffer.level == Level.SCRATCHPAD]
    placed = {buffer.name: buffer for buffer in _place(scratchpad, alive, config.lanes)}
    placed |= {
        buffer.name: buffer
        for buffer in _stack((item for item in used if item.level == Level.DRAM), config)
    }
    ends = [(placed[buffer.name].address or 0) + buffer.size for buffer in scratchpad]
    end = max(ends, default=0)
    if end > config.scratchpad_words:
        largest, product = peak(graph, config)
        raise NoRoomError(
            f"{product}: needs {max(largest, end * WORD)} bytes of scratchpad; "
            f"the limit is {config.scratchpad.bytes}"
        )
    return replace(graph, buffers=tuple(placed[buffer.name] for buffer in used))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _place(buffers: list[Buffer], alive: dict[str, Lifetime], alignment: int) -> Iterable[Buffer]:
    # One row a buffer: start and end of its memory, start and end of its life.
    placed = np.zeros((len(buffers), 4), dtype=np.int64)
    order = sorted(buffers, key=lambda item: (-item.size, alive[item.name].start))
    for count, buffer in enumerate(order):
        lifetime = alive[buffer.name]
        size = _round_up(buffer.size, alignment)
        known = placed[:count]
        together = known[(known[:, 2] < lifetime.end) & (lifetime.start < known[:, 3])]
        address = 0
        for start, end in together[np.argsort(together[:, 0], kind="stable"), :2].tolist():
            if start >= address + size:
                break
            address = max(address, end)
        placed[count] = address, address + size, lifetime.start, lifetime.end
        yield changed(buffer, address=address)


def _stack(buffers: Iterable[Buffer], config: AcceleratorConfig) -> Iterable[Buffer]:
    beat = config.axi_bytes // WORD
    ends: dict[int, int] = defaultdict(int)
    for buffer in buffers:
        address = ends[buffer.window]
        ends[buffer.window] = _round_up(address + buffer.space, beat)
        yield changed(buffer, address=address)
