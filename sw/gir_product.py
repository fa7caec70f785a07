"""What a MATMUL node multiplies: its flow and its sizes, as the instruction has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index

from ..hw.isa import Flow
from .gir import Buffer, Operation, Slice

PACKED = "packed"
"""The dtype of a compressed operand: one row of words, as long as it is."""


@dataclass(frozen=True)
class Product:
    """The product of one MATMUL, ``[m, k]`` by ``[n, k]`` transposed.

    Parameters
    ----------
    flow : Flow
    m, n, k : int
    y_transposed : bool
        Y is written as ``[n, m]``.
    b_transposed : bool
        B lies as ``[k, n]``.
    compressed_words : int
        Of the operand that is compressed; 0 if none is.
    """

    flow: Flow
    m: int
    n: int
    k: int
    y_transposed: bool
    b_transposed: bool
    compressed_words: int


def product_of(operation: Operation, buffers: Mapping[str, Buffer]) -> Product:
    """Return what the MATMUL `operation` multiplies; all slices are numbers."""
    a, b, y = operation.reads["a"], operation.reads["b"], operation.writes["y"]
    transposed = bool(operation.attributes.get("y_transposed", 0))
    m, n = index(y.rows), index(y.columns)
    packed = [item for item in (a, b) if is_packed(item, buffers)]
    b_transposed = bool(operation.attributes.get("b_transposed", 0))
    of_b = b.rows if b_transposed else b.columns
    k = of_b if is_packed(a, buffers) else a.columns
    return Product(
        Flow(operation.attributes.get("flow", 0)),
        n if transposed else m,
        m if transposed else n,
        index(k),
        transposed,
        b_transposed,
        sum(index(item.columns) for item in packed),
    )


def is_packed(item: Slice, buffers: Mapping[str, Buffer]) -> bool:
    """Return whether a slice is a compressed operand."""
    return buffers[item.buffer].dtype == PACKED
