"""Keep N of every M activations in front of a feed-forward contraction, as operand of csOS.

A pass over a graph without parallel nodes. What QUANTISE writes of the activated channels becomes a
compressed operand, and the contraction gets its operands swapped: the activations are B, the
weights A, and the result is written the other way round, onto the same residual stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import index

import numpy as np

from ...hw.config import AcceleratorConfig
from ...hw.isa import Flow, Opcode
from ..errors import CompileError
from ..gemm.cost import START, array_cycles
from ..gir import Buffer, Graph, Operation, Slice, scratchpad_pitch
from ..gir_product import PACKED
from ..sparsity.dataflow import Dataflow
from ..sparsity.errors import SparsityError
from ..sparsity.kept import Kept, single_term
from ..sparsity.tasd import parse_series
from .build import part

ACTIVATED = re.compile(r"(\d+)\.activated(?:_\d+)?\.\d+")
"""The activated channels of a layer, or of one of its passes over the tokens, as `feed_forward`
names them, after `expand`."""

MOST_WORDS = (1 << 16) - 1
"""Of a compressed operand: its pitch is a field of an instruction."""


class KeepError(CompileError):
    """The blocks of a tiling are not such as the compressed form takes."""


def parse_kept(texts: Mapping[int, str], config: AcceleratorConfig) -> dict[int, Kept]:
    """Return what is kept in front of the contraction of each layer.

    Parameters
    ----------
    texts : mapping of int to str
        A series such as ``4:8`` by the number of the layer; its terms have one M.
    config : AcceleratorConfig

    Raises
    ------
    CompileError
        Naming the layer, if the text is no series, or the machine cannot keep it.
    """
    kept = {}
    for layer, text in texts.items():
        try:
            kept[layer] = Kept(single_term(parse_series(text)), config)
        except SparsityError as error:
            raise CompileError(f"layer {layer}, feed-forward contraction: {error}") from None
    return kept


def keep(graph: Graph, kept: Mapping[int, Kept], config: AcceleratorConfig) -> Graph:
    """Return `graph` with compressed activations in the layers of `kept`.

    Raises
    ------
    KeepError
        If the blocks of tokens or channels are not such as the compressed form takes.
    """
    return _Keeping(graph, kept, config).run() if kept else graph


@dataclass(frozen=True)
class _Activations:
    """Compressed activations of all tokens and some channels.

    Parameters
    ----------
    kept : Kept
    channels : int
    buffer : Buffer
        Their words, in one row.
    """

    kept: Kept
    channels: int
    buffer: Buffer

    def rows(self, item: Slice) -> Slice:
        """Return the words of the tokens that `item` has of the dense form.

        Raises
        ------
        KeepError
            If these are not whole tiles from the first one on.
        """
        columns = self.kept.config.array.columns
        first, channels = index(item.row), index(item.columns)
        if first % columns or channels != self.channels:
            raise KeepError(
                f"buffer {self.buffer.name}: a block of tokens must begin at a multiple of "
                f"array.columns = {columns}, not {first}"
            )
        start = self.kept.words(first, channels)
        return part(self.buffer, 0, start, 1, self.kept.words(index(item.rows), channels))


class _Keeping:
    def __init__(self, graph: Graph, kept: Mapping[int, Kept], config: AcceleratorConfig) -> None:
        self.graph, self.config = graph, config
        buffers = graph.by_name()
        self.activations: dict[str, _Activations] = {}
        for operation in graph.operations():
            written = operation.writes.get("y")
            found = ACTIVATED.fullmatch(written.buffer) if written else None
            if written and found and int(found[1]) in kept:
                dense, term = buffers[written.buffer], kept[int(found[1])]
                self.activations[dense.name] = _compressed(dense, term, index(written.columns))

    def run(self) -> Graph:
        body = tuple(self._replaced(operation) for operation in self.graph.operations())
        turned = {
            operation.writes["y"].buffer
            for operation in body
            if operation.opcode == Opcode.MATMUL and operation.reads["b"].buffer in self.activations
        }
        buffers = []
        for buffer in self.graph.buffers:
            if buffer.name in self.activations:
                buffers.append(self.activations[buffer.name].buffer)
            elif buffer.name in turned:
                pitch = scratchpad_pitch(buffer.columns, buffer.dtype, self.config.lanes)
                buffers.append(replace(buffer, pitch=pitch))
            else:
                buffers.append(buffer)
        return replace(self.graph, buffers=tuple(buffers), body=body)

    def _replaced(self, operation: Operation) -> Operation:
        if operation.opcode == Opcode.QUANTISE:
            return self._quantise(operation)
        return self._product(operation) if operation.opcode == Opcode.MATMUL else operation

    def _quantise(self, operation: Operation) -> Operation:
        written = operation.writes["y"]
        activations = self.activations.get(written.buffer)
        if activations is None:
            return operation
        kept = activations.kept
        fields = {"keep": kept.term.n, "log_group": kept.log_group}
        return replace(
            operation,
            writes={**operation.writes, "y": activations.rows(written)},
            attributes={**operation.attributes, **fields},
        )

    def _product(self, operation: Operation) -> Operation:
        """Return the product with swapped operands, if its A is compressed."""
        reads = operation.reads
        activations = self.activations.get(reads["a"].buffer)
        if activations is None:
            return operation
        words = activations.rows(reads["a"])
        swapped = {
            "a": reads["b"],
            "b": words,
            "row_scale": reads["column_scale"],
            "column_scale": reads["row_scale"],
        }
        fields = {"flow": Flow.COLUMN_SPARSE_OUTPUT_STATIONARY.value, "y_transposed": 1}
        m, n, k = index(reads["b"].rows), index(reads["a"].rows), activations.channels
        tiles = -(-n // self.config.array.columns)
        steps = np.full(tiles, activations.kept.slots(k))
        flow = Dataflow.COLUMN_SPARSE_OUTPUT
        work = array_cycles(flow, m, n, k, self.config, steps, index(words.columns))
        return replace(
            operation,
            reads={**reads, **swapped},
            attributes={**operation.attributes, **fields},
            work=work - START,
        )


def _compressed(dense: Buffer, kept: Kept, channels: int) -> _Activations:
    """Return what takes the place of `dense`.

    Raises
    ------
    KeepError
        If there are more channels than the machine takes at a time.
    """
    array = kept.config.array
    try:
        kept.check(channels)
    except SparsityError as error:
        raise KeepError(f"buffer {dense.name}: {error}") from None
    if channels > array.block * array.panel_blocks:
        raise KeepError(
            f"buffer {dense.name}: {channels} channels; csOS takes at most "
            f"array.block · array.panel_blocks = {array.block * array.panel_blocks}"
        )
    size = kept.words(dense.rows, channels)
    if size > MOST_WORDS:
        raise KeepError(
            f"buffer {dense.name}: {size} words of kept activations; the limit is {MOST_WORDS}"
        )
    words = replace(dense, dtype=PACKED, rows=1, columns=size, pitch=size)
    return _Activations(kept, channels, words)
