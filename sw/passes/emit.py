"""Turn an allocated, synchronised graph into instructions."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index

from ...hw.isa import Opcode, Unit
from ..gir import DTYPE_BYTES, WORD, Buffer, Graph, Operation, Slice, words
from ..gir_butterfly import butterfly_fields
from ..gir_product import product_of
from ..instruction import Dram, Instruction, Value, fields


def emit(graph: Graph) -> list[Instruction]:
    """Return the instructions of `graph`, the last one END.

    Parameters
    ----------
    graph : Graph
        With addresses in all its buffers.
    """
    buffers = graph.by_name()
    instructions = [_instruction(operation, buffers) for operation in graph.operations()]
    return [*instructions, Instruction(Opcode.END)]


def _instruction(operation: Operation, buffers: Mapping[str, Buffer]) -> Instruction:
    values: dict[str, Value] = {"wait": operation.wait, "signal": operation.signal}
    values |= operation.attributes
    if operation.unit in (Unit.LOAD, Unit.STORE):
        values |= _move(operation, buffers)
    else:
        values |= _compute(operation, buffers)
    return Instruction(operation.opcode, values)


def _place(item: Slice, buffers: Mapping[str, Buffer]) -> tuple[int, int]:
    """Return first word and pitch."""
    buffer = buffers[item.buffer]
    assert buffer.address is not None
    column_words = index(item.column) * DTYPE_BYTES[buffer.dtype] // WORD
    return buffer.address + index(item.row) * buffer.pitch + column_words, buffer.pitch


def _move(operation: Operation, buffers: Mapping[str, Buffer]) -> dict[str, Value]:
    source, destination = operation.reads["source"], operation.writes["destination"]
    is_load = operation.opcode == Opcode.LOAD
    dram, local = (source, destination) if is_load else (destination, source)
    offset, pitch_words = _place(dram, buffers)
    address, pitch = _place(local, buffers)
    return {
        "rows": index(local.rows),
        "row_words": words(index(local.columns), buffers[local.buffer].dtype),
        "dram_address": Dram(buffers[dram.buffer].window, offset * WORD),
        "dram_stride": pitch_words * dram.step * WORD,
        "address": address,
        "pitch": pitch,
    }


def _compute(operation: Operation, buffers: Mapping[str, Buffer]) -> dict[str, Value]:
    if operation.opcode == Opcode.BUTTERFLY:
        return butterfly_fields(operation, lambda item: _place(item, buffers))
    values: dict[str, Value] = {}
    known = fields(operation.opcode)
    slices = {**operation.reads, **operation.writes}
    low = slices.pop("low", None)
    for role, item in slices.items():
        address, pitch = _place(item, buffers)
        values[f"{role}_address"] = address
        if f"{role}_pitch" in known:
            values[f"{role}_pitch"] = pitch
    if low is not None:
        high = slices["a" if operation.opcode == Opcode.MATMUL else "y"]
        values["plane_words"] = _place(low, buffers)[0] - _place(high, buffers)[0]
    if operation.opcode == Opcode.MATMUL:
        product = product_of(operation, buffers)
        values |= {
            "m": product.m,
            "n": product.n,
            "k": product.k,
            "residual_enable": int("residual" in slices),
            "compressed_words": product.compressed_words,
        }
    else:
        values |= {"rows": index(slices["x"].rows), "columns": index(slices["x"].columns)}
    return values
