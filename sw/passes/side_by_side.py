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

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import WORD, Affine, Buffer, Graph, Operation, Slice, scratchpad_pitch
from .first_products import by_columns


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
            self.source: _wider(buffers[self.source], self.factor),
            self.copy: _wider(buffers[self.copy], self.factor, config.lanes),
        }
        body = tuple(
            moved for item in graph.operations() for moved in self._operation(item, buffers)
        )
        changed = tuple(wide.get(buffer.name, buffer) for buffer in graph.buffers)
        return replace(graph, buffers=changed, body=body)

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


def weights_side_by_side(
    graph: Graph, source: str, copy: str, factor: int, config: AcceleratorConfig
) -> Graph:
    """Return `graph` with equal parts of the rows of weights beside each other.

    Products with them go part by part. The constant `source` has to be as `beside` gives it.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes, and with one LOAD of all of the weights.
    source, copy : str
        int8 [channels, k] in DRAM and in the scratchpad, operand b of products.
    factor : int
        Parts, whose rows are multiples of the array's columns.
    config : AcceleratorConfig
    """
    if factor == 1:
        return graph
    buffers = graph.by_name()
    block, width = buffers[copy].rows // factor, buffers[copy].columns
    wide = {
        source: _wider(buffers[source], factor),
        copy: _wider(buffers[copy], factor, config.lanes),
    }

    def place(item: Slice) -> Slice:
        number = index(item.row) // block
        return replace(item, row=Affine.of(0), column=Affine.of(number * width))

    body: list[Operation] = []
    for operation in graph.operations():
        b, target = operation.reads.get("b"), operation.writes.get("destination")
        if target is not None and target.buffer == copy:
            whole = Affine.of(block), Affine.of(width * factor)
            reads, writes = (
                {
                    role: replace(item, rows=whole[0], columns=whole[1])
                    for role, item in side.items()
                }
                for side in (operation.reads, operation.writes)
            )
            body.append(replace(operation, reads=reads, writes=writes))
        elif b is not None and b.buffer == copy:
            for product in by_columns(operation, block):
                body.append(
                    replace(product, reads={**product.reads, "b": place(product.reads["b"])})
                )
        else:
            body.append(operation)
    changed = tuple(wide.get(buffer.name, buffer) for buffer in graph.buffers)
    return replace(graph, buffers=changed, body=tuple(body))


def beside(values: NDArray, factor: int) -> NDArray:
    """Return equal parts of the rows of `values` beside each other."""
    return np.hstack(np.split(values, factor))


def _wider(buffer: Buffer, factor: int, lanes: int = 0) -> Buffer:
    """Return `buffer` with longer and fewer rows, in the scratchpad if there are lanes."""
    columns = buffer.columns * factor
    pitch = scratchpad_pitch(columns, buffer.dtype, lanes) if lanes else columns // WORD
    return replace(buffer, rows=buffer.rows // factor, columns=columns, pitch=pitch)
