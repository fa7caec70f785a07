"""Choose a dense dataflow for each product: tiles that fit its sizes best.

An output stationary tile covers rows and columns of the array, a weight stationary one K and
columns while any number of rows stream past. So tokens that are no multiple of the array's rows
stream, if need be as A of a product with swapped operands, which costs nothing. A pass over a graph
without parallel nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...hw.config import AcceleratorConfig
from ...hw.isa import Flow, Opcode
from ..gemm.cost import START, array_cycles
from ..gir import Buffer, Graph, Operation
from ..gir_product import is_packed, product_of
from ..sparsity.dataflow import Dataflow

SWAPPED = {
    "a": "b",
    "b": "a",
    "row_scale": "column_scale",
    "column_scale": "row_scale",
    "residual": "residual",
}
"""Which operand takes whose place in a product with swapped operands."""

CHOSEN = ("flow", "y_transposed", "a_transposed", "b_transposed", "wide")
"""Attributes of a product that has been decided on, or can only be output stationary."""

NO_STEPS = np.zeros(0, dtype=np.int64)


def choose_flows(graph: Graph, config: AcceleratorConfig) -> Graph:
    """Return `graph` with the dense products in the flow that takes fewest cycles.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes. Products with a flow or an orientation of their own stay as they
        are.
    config : AcceleratorConfig
    """
    if not config.array.partial_rows:
        return graph
    buffers = graph.by_name()
    times = Times(config)
    body = tuple(choose_flow(item, buffers, times) for item in graph.operations())
    return replace(graph, body=body)


class Times:
    """How long products take on a machine; sizes that come again are counted once.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self._known: dict[tuple[int, int, int], tuple[int, int, int]] = {}

    def of(self, m: int, n: int, k: int) -> tuple[int, int, int]:
        """Return the cycles weight stationary, so with swapped operands, and output stationary."""
        size = m, n, k
        if size not in self._known:
            self._known[size] = (
                _cycles(Dataflow.DENSE_WEIGHT, m, n, k, self.config),
                _cycles(Dataflow.DENSE_WEIGHT, n, m, k, self.config),
                _cycles(Dataflow.DENSE_OUTPUT, m, n, k, self.config),
            )
        return self._known[size]


def choose_flow(operation: Operation, buffers: Mapping[str, Buffer], times: Times) -> Operation:
    """Return `operation` in the dense flow that takes fewest cycles, if it is a dense product."""
    if operation.opcode != Opcode.MATMUL or any(map(operation.attributes.get, CHOSEN)):
        return operation
    if any(is_packed(operation.reads[role], buffers) for role in ("a", "b")):
        return operation
    product = product_of(operation, buffers)
    straight, swapped, output = times.of(product.m, product.n, product.k)
    swap = swapped < straight and _is_written_by_column(operation, buffers, times.config)
    work = swapped if swap else straight
    if work >= output:
        return operation
    reads = operation.reads
    if swap:
        reads = {SWAPPED[role]: item for role, item in reads.items()}
    fields = {"flow": Flow.DENSE_WEIGHT_STATIONARY.value, "y_transposed": int(swap)}
    return replace(
        operation,
        reads=reads,
        attributes={**operation.attributes, **fields},
        work=work - START,
    )


def dense_work(operation: Operation, buffers: Mapping[str, Buffer], times: Times) -> int:
    """Return the cycles of a dense product in the flow that `choose_flow` gives it, in a row of
    products."""
    chosen = choose_flow(operation, buffers, times)
    if chosen is not operation:
        return chosen.work
    product = product_of(operation, buffers)
    *_, output = times.of(product.m, product.n, product.k)
    return output - START


def _is_written_by_column(
    operation: Operation, buffers: Mapping[str, Buffer], config: AcceleratorConfig
) -> bool:
    """Return whether the pitch of Y, and of what is added to it, allows a transposed result."""
    items = (operation.writes["y"], operation.reads.get("residual"))
    pitches = (buffers[item.buffer].pitch for item in items if item is not None)
    return all(pitch % config.lanes == 1 for pitch in pitches)


def _cycles(flow: Dataflow, m: int, n: int, k: int, config: AcceleratorConfig) -> int:
    """Return the cycles of a product; endless ones if more rows stream than there are sums for."""
    if flow is Dataflow.DENSE_WEIGHT and m > config.array.partial_rows:
        return sys.maxsize
    return array_cycles(flow, m, n, k, config, NO_STEPS, 0)
