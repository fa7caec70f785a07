"""Put LOADs where their data is first needed, each cut to what the operations there take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import index

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import WORD, Affine, Graph, Operation, Slice

Span = tuple[int, int]


def order_loads(graph: Graph, config: AcceleratorConfig) -> Graph:
    """Return `graph` with each LOAD cut in parts, each before the first operation that reads it.

    Matrices are cut between rows, and vectors of scale words, row by row, between AXI beats. What
    no operation reads is not loaded.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes.
    config : AcceleratorConfig
    """
    buffers = graph.by_name()
    operations = graph.operations()
    beat = config.axi_bytes // WORD
    waiting = [
        item
        for operation in operations
        if operation.opcode == Opcode.LOAD
        for item in _waiting(operation, buffers[operation.writes["destination"].buffer].dtype, beat)
    ]
    body: list[Operation] = []
    for operation in operations:
        if operation.opcode == Opcode.LOAD:
            continue
        for item in waiting:
            body += item.taken_by(operation)
        body.append(operation)
        waiting = [item for item in waiting if item.missing]
    return replace(graph, body=tuple(body))


def _waiting(load: Operation, dtype: str, beat: int) -> Iterator[_Waiting]:
    if dtype != "scale":
        yield _Waiting(load, "row", 1)
        return
    for row in range(index(load.writes["destination"].rows)):
        yield _Waiting(_cut(load, "row", (row, row + 1)), "column", beat)


class _Waiting:
    """A LOAD, and which of its rows or columns no operation has needed so far.

    Parameters
    ----------
    load : Operation
    axis : "row" or "column"
        Along which it may be cut.
    unit : int
        Parts are multiples of it.
    """

    def __init__(self, load: Operation, axis: str, unit: int) -> None:
        self.load, self.axis, self.unit = load, axis, unit
        target = load.writes["destination"]
        self.size = index(getattr(target, f"{axis}s"))
        self.missing: list[Span] = [(0, self.size)]

    def taken_by(self, operation: Operation) -> Iterator[Operation]:
        """Yield LOADs of what `operation` reads and nothing has loaded before."""
        target = self.load.writes["destination"]
        for item in operation.reads.values():
            if item.meets(target):
                yield from self._take(*self._span(item, target))

    def _span(self, item: Slice, target: Slice) -> Span:
        """Return where `item` lies in `target`, in whole units."""
        first = index(getattr(item, self.axis)) - index(getattr(target, self.axis))
        end = first + index(getattr(item, f"{self.axis}s"))
        return (
            max(first, 0) // self.unit * self.unit,
            min(-(-end // self.unit) * self.unit, self.size),
        )

    def _take(self, first: int, end: int) -> Iterator[Operation]:
        left: list[Span] = []
        for start, stop in self.missing:
            low, high = max(start, first), min(stop, end)
            if low >= high:
                left.append((start, stop))
                continue
            yield _cut(self.load, self.axis, (low, high))
            left += [span for span in ((start, low), (high, stop)) if span[0] < span[1]]
        self.missing = left


def _cut(load: Operation, axis: str, span: Span) -> Operation:
    """Return the part of `load` in some of its rows or columns."""

    def part(item: Slice) -> Slice:
        size = Affine.of(span[1] - span[0])
        if axis == "row":
            return replace(item, row=item.row + span[0], rows=size)
        return replace(item, column=item.column + span[0], columns=size)

    return replace(
        load,
        reads={"source": part(load.reads["source"])},
        writes={"destination": part(load.writes["destination"])},
    )
