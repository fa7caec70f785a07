"""Load several short rows of a matrix as one: bursts as long as all of them.

A row of a LOAD is a burst of its own, and only so many bursts are in flight, so that short rows
leave the bus idle. Where the rows of a matrix in DRAM follow each other without a gap, `factor` of
them are one row of a matrix that is as much wider, and lie side by side in the scratchpad. The
array takes every `factor`-th row as a block of columns: the program's n-th row is token
``n mod (tokens / factor) · factor + n // (tokens / factor)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import index

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import WORD, Affine, Buffer, Graph, Operation, Slice, scratchpad_pitch


@dataclass(frozen=True)
class SideBySide:
    """Which buffers of a graph without parallel nodes are concerned.

    Parameters
    ----------
    source : str
        int8 [tokens, channels] in DRAM.
    copy : str
        The same in the scratchpad, which LOADs fill block by block.
    result : str
        In DRAM, a row a token, which STOREs fill.
    factor : int
        Rows side by side.
    """

    source: str
    copy: str
    result: str
    factor: int

    def apply(self, graph: Graph, config: AcceleratorConfig) -> Graph:
        """Return `graph` with `factor` rows of `source` in a row of it and of `copy`.

        No operation may read rows of `copy` from two blocks of columns.
        """
        if self.factor == 1:
            return graph
        buffers = graph.by_name()
        wide = {
            self.source: self._wider(buffers[self.source]),
            self.copy: self._wider(buffers[self.copy], config.lanes),
        }
        body = tuple(
            moved for item in graph.operations() for moved in self._operation(item, buffers)
        )
        changed = tuple(wide.get(buffer.name, buffer) for buffer in graph.buffers)
        return replace(graph, buffers=changed, body=body)

    def _wider(self, buffer: Buffer, lanes: int = 0) -> Buffer:
        """Return the buffer with longer and fewer rows, in the scratchpad if there are lanes."""
        columns = buffer.columns * self.factor
        pitch = scratchpad_pitch(columns, buffer.dtype, lanes) if lanes else columns // WORD
        return replace(buffer, rows=buffer.rows // self.factor, columns=columns, pitch=pitch)

    def _operation(
        self, operation: Operation, buffers: Mapping[str, Buffer]
    ) -> Iterator[Operation]:
        copy, result = buffers[self.copy], buffers[self.result]
        block = copy.rows // self.factor
        target = operation.writes.get("destination")
        if operation.opcode == Opcode.LOAD and target and target.buffer == self.copy:
            # The first block of columns brings the others.
            if index(target.row) < block:
                columns = Affine.of(copy.columns * self.factor)
                yield replace(
                    operation,
                    reads={"source": replace(operation.reads["source"], columns=columns)},
                    writes={"destination": replace(target, columns=columns)},
                )
            return

        def place(item: Slice) -> Slice:
            if item.buffer not in (copy.name, result.name):
                return item
            number, row = divmod(index(item.row), block)
            assert row + index(item.rows) <= block, f"{item} is in two blocks of columns"
            if item.buffer == result.name:
                return replace(item, row=Affine.of(row * self.factor + number), step=self.factor)
            return replace(item, row=Affine.of(row), column=item.column + number * copy.columns)

        yield replace(
            operation,
            reads={role: place(item) for role, item in operation.reads.items()},
            writes={role: place(item) for role, item in operation.writes.items()},
        )
