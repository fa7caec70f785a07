"""Cut the first products by columns, so that the array begins as soon as some weights are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import index

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..gir import Affine, Graph, Operation, Slice

TOGETHER = 2
"""First products that take the same columns one after the other, before the next columns."""


def cut_first_products(graph: Graph, config: AcceleratorConfig) -> Graph:
    """Return `graph` with its first products in tiles of columns.

    Parameters
    ----------
    graph : Graph
        Without parallel nodes, and without compressed operands.
    config : AcceleratorConfig
    """
    operations = graph.operations()
    products = [item for item in operations if item.opcode == Opcode.MATMUL]
    weights = products[0].reads["b"]
    first = [item for item in products[:TOGETHER] if item.reads["b"] == weights]
    tile = config.array.columns
    parts = [by_columns(item, tile) for item in first]
    cut = [item for column in zip(*parts, strict=True) for item in column]
    place = operations.index(first[0])
    rest = [item for item in operations[place:] if not any(item is other for other in first)]
    return replace(graph, body=(*operations[:place], *cut, *rest))


def by_columns(product: Operation, width: int) -> Iterator[Operation]:
    """Yield MATMULs of at most `width` columns of the result of `product` each."""
    result = product.writes["y"]
    columns = index(result.columns)
    for first in range(0, columns, width):
        count = min(width, columns - first)
        yield replace(
            product,
            reads={
                role: _part(product, role, item, first, count)
                for role, item in product.reads.items()
            },
            writes={"y": _columns(result, first, count)},
        )


def _part(product: Operation, role: str, item: Slice, first: int, count: int) -> Slice:
    """Return what the columns from `first` on need of the operand `item`."""
    if role in ("a", "low", "row_scale"):
        return item
    if role == "b" and not product.attributes.get("b_transposed"):
        return replace(item, row=item.row + first, rows=Affine.of(count))
    return _columns(item, first, count)


def _columns(item: Slice, first: int, count: int) -> Slice:
    return replace(item, column=item.column + first, columns=Affine.of(count))
