"""Give weights with enough zeros to the array in block-indexed slots, as operand of csOS.

A pass over a graph without parallel nodes. Where a block of weights is loaded once and only ever
multiplied by, the slices that the products take are compressed, each for itself, and loaded as
words. That is done where it saves cycles of the array. csOS takes compressed weights as operand B:
a product that has its weights as A, that of the values, gets its operands swapped and writes its
result the other way round.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from operator import index

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import Flow, Opcode
from ..cache import digest
from ..gemm.compressed import Compressed
from ..gemm.compressed import compress as compress_matrix
from ..gemm.cost import START, array_cycles
from ..gir import Buffer, Graph, Level, Operation, Slice, scratchpad_pitch
from ..gir_product import PACKED
from ..sparsity.dataflow import Dataflow
from .build import load, part
from .flows import Times, dense_work
from .memory import WEIGHT_WINDOW, Memory

FLOW = Dataflow.COLUMN_SPARSE_OUTPUT

MOST_FILLED = 0.95
"""Matrices with a larger share of non-zeros are not looked at: they save nothing."""

PACKED_NAME = re.compile(r"(.+)\.packed(\d+)_(\d+)_(\d+)_(\d+)")
"""A matrix, and first row, first column, rows and columns of the part that is compressed."""

MOST_WORDS = (1 << 16) - 1
"""Of one LOAD."""


@dataclass(frozen=True)
class _Block:
    """A rectangle of a weight matrix."""

    matrix: str
    row: int
    column: int
    rows: int
    columns: int

    @property
    def name(self) -> str:
        return f"{self.matrix}.packed{self.row}_{self.column}_{self.rows}_{self.columns}"

    def of(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        return values[self.row : self.row + self.rows, self.column : self.column + self.columns]


class SparseWeights:
    """Compresses blocks of weights, each once however often it is asked for.

    Parameters
    ----------
    constants : mapping of str to array
        What DRAM buffers hold; the int8 ones with enough zeros may be compressed.
    config : AcceleratorConfig
    """

    def __init__(self, constants: Mapping[str, NDArray], config: AcceleratorConfig) -> None:
        self.array = config.array
        self.matrices = {
            name: values
            for name, values in constants.items()
            if self.array.block > 1
            and values.dtype == np.int8
            and np.count_nonzero(values) < MOST_FILLED * values.size
        }
        self._forms: dict[_Block, Compressed] = {}

    def __bool__(self) -> bool:
        return bool(self.matrices)

    def digest(self) -> str:
        """Return what tells these matrices from others."""
        parts = (
            (name, sha256(values.tobytes()).digest()) for name, values in self.matrices.items()
        )
        return digest(*sorted(parts))

    def form(self, block: _Block) -> Compressed:
        """Return a block, compressed."""
        if block not in self._forms:
            values = block.of(self.matrices[block.matrix])
            self._forms[block] = compress_matrix(FLOW, values, self.array)
        return self._forms[block]


def compress(graph: Graph, weights: SparseWeights, config: AcceleratorConfig) -> Graph:
    """Return `graph` with compressed weights where they save cycles.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes.
    weights : SparseWeights
    config : AcceleratorConfig
    """
    return _Compression(graph, weights, config).run() if weights else graph


def packed_constants(
    graph: Graph, constants: Mapping[str, NDArray], weights: SparseWeights
) -> dict[str, NDArray]:
    """Return what the DRAM buffers of a graph from `compress` hold."""
    found = {}
    for buffer in graph.buffers:
        match = PACKED_NAME.fullmatch(buffer.name) if buffer.dtype == PACKED else None
        if buffer.level == Level.DRAM and match:
            block = _Block(match[1], *map(int, match.groups()[1:]))
            found[buffer.name] = weights.form(block).pack(0, block.rows)[np.newaxis]
        elif buffer.name in constants:
            found[buffer.name] = constants[buffer.name]
    return found


class _Compression:
    def __init__(self, graph: Graph, weights: SparseWeights, config: AcceleratorConfig) -> None:
        self.graph, self.weights, self.config = graph, weights, config
        self.times = Times(config)
        self.operations = list(graph.operations())
        self.buffers = graph.by_name()
        self.memory = Memory(config)
        self.copies: list[Buffer] = []
        self.removed: set[str] = set()
        self.skewed: set[str] = set()
        self.replaced: dict[int, list[Operation]] = {}

    def run(self) -> Graph:
        for name, users in self._users().items():
            first, *products = users
            if self._is_weights(first, name) and all(
                self._is_product(number, name) for number in products
            ):
                self._pack(name, first, products)
        body = [
            item
            for number, operation in enumerate(self.operations)
            for item in self.replaced.get(number, [operation])
        ]
        used = {item.buffer for operation in body for item in operation.reads.values()}
        kept = [
            self._skewed(buffer) if buffer.name in self.skewed else buffer
            for buffer in self.graph.buffers
            if buffer.name not in self.removed
            and (buffer.name not in self.weights.matrices or buffer.name in used)
        ]
        buffers = (*kept, *self.memory.buffers, *self.copies)
        return replace(self.graph, buffers=buffers, body=tuple(body))

    def _users(self) -> dict[str, list[int]]:
        """Return the operations that use each buffer of the scratchpad, in their order."""
        users: dict[str, list[int]] = defaultdict(list)
        for number, operation in enumerate(self.operations):
            for item in (*operation.reads.values(), *operation.writes.values()):
                if self.buffers[item.buffer].level == Level.SCRATCHPAD:
                    users[item.buffer].append(number)
        return users

    def _is_weights(self, number: int, name: str) -> bool:
        operation = self.operations[number]
        if operation.opcode != Opcode.LOAD or operation.writes["destination"].buffer != name:
            return False
        return operation.reads["source"].buffer in self.weights.matrices

    def _is_product(self, number: int, name: str) -> bool:
        """Return whether an operation reads the buffer as B of a product that may be sparse, or as
        A of one whose operands may be swapped."""
        operation, array = self.operations[number], self.config.array
        if operation.opcode != Opcode.MATMUL:
            return False
        a, b = operation.reads["a"].buffer == name, operation.reads["b"].buffer == name
        return (
            a != b
            # A result that is written the other way round has no residual.
            and not (a and "residual" in operation.reads)
            and operation.attributes.get("flow", 0) == Flow.DENSE_OUTPUT_STATIONARY.value
            and not operation.attributes.get("y_transposed", 0)
            and index(operation.reads["b"].columns) <= array.block * array.panel_blocks
        )

    def _weights(self, number: int, name: str) -> str:
        """Return which operand of a product is buffer `name`."""
        return "b" if self.operations[number].reads["b"].buffer == name else "a"

    def _skewed(self, buffer: Buffer) -> Buffer:
        """Return a buffer of results that can be written the other way round."""
        pitch = scratchpad_pitch(buffer.columns, buffer.dtype, self.config.lanes)
        return replace(buffer, pitch=pitch)

    def _pack(self, name: str, first: int, products: Sequence[int]) -> None:
        """Compress what `products` take of buffer `name`, if that saves cycles."""
        roles = {number: self._weights(number, name) for number in products}
        blocks = {number: self._block(first, number, role) for number, role in roles.items()}
        forms = {block: self.weights.form(block) for block in blocks.values()}
        if any(form.words(0, block.rows) > MOST_WORDS for block, form in forms.items()):
            return
        costs = {
            number: self._cycles(number, roles[number], forms[block])
            for number, block in blocks.items()
        }
        if sum(cost[1] for cost in costs.values()) >= sum(cost[0] for cost in costs.values()):
            return
        product = self.operations[first].product
        self.removed.add(name)
        self.replaced[first] = []
        parts: dict[_Block, Slice] = {}
        for place, (block, form) in enumerate(forms.items()):
            size = form.words(0, block.rows)
            source = self.memory.dram(block.name, PACKED, 1, size, WEIGHT_WINDOW)
            copy = self._copy(name, place if len(forms) > 1 else None, size)
            parts[block] = part(copy)
            self.replaced[first].append(load(part(source), part(copy), product))
        for number, block in blocks.items():
            sparse = self._sparse(self.operations[number], roles[number], parts[block])
            self.replaced[number] = [replace(sparse, work=costs[number][1])]

    def _sparse(self, operation: Operation, role: str, weights: Slice) -> Operation:
        """Return a product with compressed `weights` in place of operand `role`."""
        reads = {**operation.reads, "b": weights}
        attributes = {
            **operation.attributes,
            "flow": Flow.COLUMN_SPARSE_OUTPUT_STATIONARY.value,
        }
        if role == "a":
            reads |= {
                "a": operation.reads["b"],
                "row_scale": operation.reads["column_scale"],
                "column_scale": operation.reads["row_scale"],
            }
            attributes["y_transposed"] = 1
            self.skewed.add(operation.writes["y"].buffer)
        return replace(operation, reads=reads, attributes=attributes)

    def _block(self, first: int, number: int, role: str) -> _Block:
        """Return what part of the weights a product takes from what has been loaded."""
        move, taken = self.operations[first], self.operations[number].reads[role]
        source, target = move.reads["source"], move.writes["destination"]
        return _Block(
            source.buffer,
            index(source.row) + index(taken.row) - index(target.row),
            index(source.column) + index(taken.column) - index(target.column),
            index(taken.rows),
            index(taken.columns),
        )

    def _cycles(self, number: int, role: str, form: Compressed) -> tuple[int, int]:
        """Return the cycles of a product, in its best dense flow and sparse, in a row of them."""
        operation = self.operations[number]
        weights, others = operation.reads[role], operation.reads["a" if role == "b" else "b"]
        m, n, k = index(others.rows), index(weights.rows), index(weights.columns)
        sparse = array_cycles(FLOW, m, n, k, self.config, form.steps(0, n), form.words(0, n))
        return dense_work(operation, self.buffers, self.times), sparse - START

    def _copy(self, name: str, place: int | None, size: int) -> Buffer:
        """Return the packed buffer in place of `name`, whose number of a copy it keeps."""
        depth = self.buffers[name].depth
        if place is not None:
            stem, dot, copy = name.rpartition(".")
            name = f"{stem}_{place}{dot}{copy}"
        self.copies.append(Buffer(name, Level.SCRATCHPAD, PACKED, 1, size, size, depth))
        return self.copies[-1]
