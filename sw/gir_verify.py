"""Rules that a graph must keep, checked between passes."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

from ..hw.config import AcceleratorConfig
from ..hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, Opcode
from .gir import DTYPE_BYTES, WORD, Buffer, Compute, Graph, Level, Move, Operation, Slice
from .gir_butterfly import butterfly_error
from .gir_order import check_places, check_producers, check_semaphores
from .gir_product import PACKED, is_packed, product_of
from .gir_text import GirError
from .sparsity.errors import SparsityError
from .sparsity.kept import Kept
from .sparsity.tasd import Term

SIGNATURES: dict[Opcode, tuple[dict[str, str], dict[str, str]]] = {
    Opcode.MATMUL: (
        {"a": "int8", "b": "int8", "row_scale": "scale", "column_scale": "scale"},
        {"y": "int16"},
    ),
    Opcode.QUANTISE: ({"x": "int16"}, {"y": "int8", "scale": "scale"}),
    Opcode.SOFTMAX: ({"x": "int16"}, {"y": "int8", "scale": "scale"}),
    Opcode.NORMALISE: ({"x": "int16", "parameter": "int16"}, {"y": "int16"}),
    Opcode.MULTIPLY: ({"x": "int16", "w": "int16"}, {"y": "int16"}),
}
"""Roles and dtypes that each computation must have."""

OPTIONAL = {Opcode.MATMUL: {"residual": "int16", "low": "int8"}, Opcode.SOFTMAX: {"low": "int8"}}
"""Those that it may have as well: a residual, a second plane."""

MAXIMUM_SIZE = (1 << 16) - 1
"""Rows, columns, pitches and sizes of products are fields of 16 bits."""


def verify(graph: Graph, config: AcceleratorConfig) -> None:
    """Check a graph without parallel nodes.

    Raises
    ------
    GirError
        Naming the node and the rule: a slice outside its buffer or not at a word, a dtype or
        shape that the operation does not take, an operand whose pitch is not 1 modulo the number
        of lanes, words read that nothing has written, buffers in use that share a place, a wait
        without a signal, or memory that is not there.
    """
    buffers = graph.by_name()
    for buffer in graph.buffers:
        _check_buffer(buffer, config)
    for number, operation in enumerate(graph.operations()):
        where = f"node {number} ({operation.opcode.name} {operation.product})"
        for item in (*operation.reads.values(), *operation.writes.values()):
            _check_slice(item, buffers, where)
        if isinstance(operation, Move):
            _check_move(operation, buffers, where)
        elif isinstance(operation, Compute):
            _check_compute(operation, buffers, config, where)
    check_producers(graph)
    check_places(graph)
    check_semaphores(graph)


def _check_buffer(buffer: Buffer, config: AcceleratorConfig) -> None:
    if buffer.dtype not in DTYPE_BYTES:
        raise GirError(f"buffer {buffer.name}: {buffer.dtype} is no dtype")
    if not 1 <= buffer.rows <= MAXIMUM_SIZE or not 1 <= buffer.columns <= MAXIMUM_SIZE:
        raise GirError(
            f"buffer {buffer.name}: rows and columns must be from 1 to {MAXIMUM_SIZE}, "
            f"not {buffer.rows} and {buffer.columns}"
        )
    if buffer.rows > 1 and 0 < buffer.pitch < buffer.row_words:
        raise GirError(
            f"buffer {buffer.name}: pitch must be at least {buffer.row_words}, not {buffer.pitch}"
        )
    if buffer.level == Level.SCRATCHPAD:
        # What does not fit before it has an address is for `allocate` to refuse.
        end = buffer.size + buffer.address if buffer.address is not None else 0
        if end > config.scratchpad_words:
            raise GirError(f"buffer {buffer.name}: ends at word {end} of {config.scratchpad_words}")
    elif buffer.pitch * WORD % config.axi_bytes:
        raise GirError(
            f"buffer {buffer.name}: stride {buffer.pitch * WORD} is no multiple of a beat of "
            f"{config.axi_bytes} bytes"
        )


def _check_slice(item: Slice, buffers: dict[str, Buffer], where: str) -> None:
    if item.buffer not in buffers:
        raise GirError(f"{where}: there is no buffer {item.buffer}")
    buffer = buffers[item.buffer]
    row, column, rows, columns = item.numbers
    end_row, end_column = row + (rows - 1) * item.step + 1, column + columns
    if item.step != 1 and buffer.level != Level.DRAM:
        raise GirError(f"{where}: {item} leaves out rows of the scratchpad")
    inside = 0 <= row < end_row <= buffer.rows and 0 <= column < end_column <= buffer.columns
    if not inside:
        raise GirError(f"{where}: {item} leaves {buffer.rows}x{buffer.columns}")
    if column * DTYPE_BYTES[buffer.dtype] % WORD:
        raise GirError(f"{where}: {item} does not begin at a word")


def _check_move(operation: Operation, buffers: dict[str, Buffer], where: str) -> None:
    source, destination = operation.reads["source"], operation.writes["destination"]
    levels = buffers[source.buffer].level, buffers[destination.buffer].level
    is_load = operation.opcode == Opcode.LOAD
    expected = (Level.DRAM, Level.SCRATCHPAD) if is_load else (Level.SCRATCHPAD, Level.DRAM)
    if levels != expected:
        raise GirError(f"{where}: moves from {levels[0].value} to {levels[1].value}")
    if buffers[source.buffer].dtype != buffers[destination.buffer].dtype:
        raise GirError(f"{where}: {source} and {destination} have different dtypes")
    _same_shape((source, destination), where)


def _check_compute(
    operation: Operation, buffers: dict[str, Buffer], config: AcceleratorConfig, where: str
) -> None:
    if operation.opcode == Opcode.BUTTERFLY:
        rule = butterfly_error(operation, buffers, config)
        if rule is not None:
            raise GirError(f"{where}: {rule}")
        return
    required = SIGNATURES.get(operation.opcode)
    if required is None:
        raise GirError(f"{where}: is no computation")
    optional = OPTIONAL.get(operation.opcode, {})
    for slices, roles in zip((operation.reads, operation.writes), required, strict=True):
        if set(slices) - set(optional) != set(roles):
            raise GirError(f"{where}: takes {', '.join(roles)}, not {', '.join(slices)}")
        for role, item in slices.items():
            dtype = buffers[item.buffer].dtype
            if dtype == PACKED and (role in ("a", "b") or _is_kept(operation, role)):
                dtype = "int8"
            if dtype != (roles | optional)[role]:
                raise GirError(f"{where}: {role} must be {(roles | optional)[role]}, not {dtype}")
            if buffers[item.buffer].level != Level.SCRATCHPAD:
                raise GirError(f"{where}: {role} must be in the scratchpad")
    if operation.opcode == Opcode.MATMUL:
        _check_matmul(operation, buffers, config, where)
    else:
        x = operation.reads["x"]
        planes = 1 + ("low" in operation.writes)
        if planes != 1 + operation.attributes.get("two_planes", 0):
            raise GirError(f"{where}: two_planes does not say that it has {planes}")
        rows = [
            item
            for role, item in operation.writes.items()
            if role != "scale" and not _is_kept(operation, role)
        ]
        _same_shape((x, *rows), where)
        _check_kept(operation, config, where)
        _check_length(operation.writes.get("scale"), index(x.rows), "scale", where)
        if "w" in operation.reads:
            _same_shape((x, operation.reads["w"]), where)


def _is_kept(operation: Operation, role: str) -> bool:
    """Return whether `role` is what a QUANTISE keeps, as words of a compressed operand."""
    return role == "y" and bool(operation.attributes.get("keep"))


def _check_kept(operation: Operation, config: AcceleratorConfig, where: str) -> None:
    if not operation.attributes.get("keep"):
        return
    x, y = operation.reads["x"], operation.writes["y"]
    try:
        term = Term(operation.attributes["keep"], 1 << operation.attributes["log_group"])
        kept = Kept(term, config)
        kept.check(index(x.columns))
    except SparsityError as error:
        raise GirError(f"{where}: {error}") from None
    words = kept.words(index(x.rows), index(x.columns))
    if (index(y.rows), index(y.columns)) != (1, words):
        raise GirError(f"{where}: y must be 1 row of {words} words, not {y}")


def _check_matmul(
    operation: Operation, buffers: dict[str, Buffer], config: AcceleratorConfig, where: str
) -> None:
    product = product_of(operation, buffers)
    if product.k > MAXIMUM_SIZE:
        raise GirError(f"{where}: K must be at most {MAXIMUM_SIZE}, not {product.k}")
    if "residual" in operation.reads:
        _same_shape((operation.reads["residual"], operation.writes["y"]), where)
    shape_of_b = (product.k, product.n) if product.b_transposed else (product.n, product.k)
    for role, item, shape, compressed in (
        ("a", operation.reads["a"], (product.m, product.k), product.flow in COMPRESSED_A_FLOWS),
        ("b", operation.reads["b"], shape_of_b, product.flow in COMPRESSED_B_FLOWS),
    ):
        if is_packed(item, buffers) != compressed:
            raise GirError(f"{where}: {product.flow.name} does not take {item} as its {role}")
        if compressed:
            continue
        if (index(item.rows), index(item.columns)) != shape:
            raise GirError(f"{where}: {role} must be {shape[0]} rows of {shape[1]}, not {item}")
        _check_pitch(buffers[item.buffer], role, config, where)
    if product.y_transposed:
        _check_pitch(buffers[operation.writes["y"].buffer], "y", config, where)
        if "residual" in operation.reads:
            _check_pitch(buffers[operation.reads["residual"].buffer], "residual", config, where)
    _check_wide(operation, buffers, config, where)
    _check_length(operation.reads["row_scale"], product.m, "row_scale", where)
    _check_length(operation.reads["column_scale"], product.n, "column_scale", where)


def _check_wide(
    operation: Operation, buffers: dict[str, Buffer], config: AcceleratorConfig, where: str
) -> None:
    low, attributes = operation.reads.get("low"), operation.attributes
    if bool(attributes.get("wide", 0)) != (low is not None):
        raise GirError(f"{where}: wide does not say whether a has two planes")
    if low is None:
        return
    if not config.array.wide_rows:
        raise GirError(f"{where}: a machine with array.wide_rows = false takes no two planes")
    if attributes.get("flow", 0) or attributes.get("a_transposed", 0):
        raise GirError(f"{where}: a wide product is dense output stationary, its a not transposed")
    high = operation.reads["a"]
    _same_shape((high, low), where)
    rows, columns = index(low.row) - index(high.row), index(low.column) - index(high.column)
    distance = rows * buffers[high.buffer].pitch + columns // WORD
    if low.buffer != high.buffer or not 0 < distance <= MAXIMUM_SIZE:
        raise GirError(
            f"{where}: {low} must lie behind {high} in its buffer, by at most {MAXIMUM_SIZE} words"
        )


def _check_pitch(buffer: Buffer, role: str, config: AcceleratorConfig, where: str) -> None:
    if buffer.pitch % config.lanes != 1:
        raise GirError(f"{where}: pitch {buffer.pitch} of {role} must be 1 modulo {config.lanes}")


def _same_shape(slices: Iterable[Slice], where: str) -> None:
    shapes = {item.numbers[2:] for item in slices}
    if len(shapes) > 1:
        raise GirError(f"{where}: shapes differ: {sorted(shapes)}")


def _check_length(item: Slice | None, length: int, role: str, where: str) -> None:
    if item is not None and (index(item.rows), index(item.columns)) != (1, length):
        raise GirError(f"{where}: {role} must be 1 row of {length}, not {item}")
