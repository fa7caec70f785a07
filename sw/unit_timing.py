"""How long each unit takes for an instruction, and which lines of the scratchpad it asks for.

The figures of the units are those of programs of single instructions on the Verilog of `tiny` and
`base`: an instruction alone, and one behind an equal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import index

from ..hw.config import AcceleratorConfig
from ..hw.isa import (
    COMPRESSED_A_FLOWS,
    COMPRESSED_B_FLOWS,
    SPARSE_OUTPUT_FLOWS,
    Flow,
    Opcode,
    Unit,
)
from .gir import WORD, Buffer, Operation, Slice, words
from .gir_butterfly import butterfly_phases, butterfly_start
from .phase import Phase

MEMORY_LATENCY = 64
"""From a request to memory to its answer, unloaded."""

BURST_CYCLES = {Opcode.LOAD: 4, Opcode.STORE: 2}
"""Of a burst besides that latency and its beats, until another one may take its place."""

MOVE_START = 10
"""From the acceptance of a LOAD or STORE to its first request, and from its last beat to `done`."""

VECTOR_DECODE = 27
"""Cycles to decode an instruction of the vector unit, which the one before hides."""


@dataclass(frozen=True)
class RowTiming:
    """What the vector unit takes for rows of so many beats in each of its passes.

    Parameters
    ----------
    overhead : int
        Cycles besides the beats.
    interval : int
        Least cycles from row to row, which the digits of a division or root take.
    alone : int
        Cycles of a row besides the interval and its beats, if no other row hides them.
    """

    overhead: int
    interval: int
    alone: int


ROWS = {
    Opcode.QUANTISE: RowTiming(29, 11, 53),
    Opcode.SOFTMAX: RowTiming(48, 11, 40),
    Opcode.NORMALISE: RowTiming(26, 33, 84),
    Opcode.MULTIPLY: RowTiming(30, 3, 24),
}

ROWS_AHEAD = 8
"""Rows that the first pass of the vector unit runs ahead of the second."""

OUTPUT_STATIONARY = (Flow.DENSE_OUTPUT_STATIONARY, *SPARSE_OUTPUT_FLOWS)

COMPRESSED_STAGES = 4
"""Registers of ``array.pipelined`` that a compressed operand passes besides."""

LEAST_PRODUCT = 11
"""Cycles in which the operands of a product are checked."""

LINE_ELEMENTS = 4
"""int16 of a word, so that a line holds so many of each lane."""


@dataclass(frozen=True)
class Timing:
    """What an instruction takes on a unit that it has to itself.

    Parameters
    ----------
    start : int
        Cycles from its acceptance to its work. They are hidden if its unit is at work.
    phases : tuple of Phase
        Its work, in order.
    end : int
        Cycles from the end of its work until its results are visible.
    backlog : int
        Of a LOAD that keeps the bus busy: cycles of its bursts that are on their way.
    idle : int
        Cycles of a LOAD's work in which the bus has no beat for it.
    """

    start: int
    phases: tuple[Phase, ...]
    end: int
    backlog: int = 0
    idle: int = 0


def timing(
    operation: Operation, buffers: Mapping[str, Buffer], config: AcceleratorConfig
) -> Timing:
    """Return what `operation` takes."""
    if operation.unit == Unit.ARRAY:
        return _product(operation, config)
    if operation.unit == Unit.VECTOR:
        return _rows(operation, config)
    if operation.unit == Unit.BUTTERFLY:
        start, end = butterfly_start(operation, config)
        return Timing(start, butterfly_phases(operation, config), end)
    return _move(operation, buffers, config)


def _product(operation: Operation, config: AcceleratorConfig) -> Timing:
    """A tile is drained while the next one is computed.

    Its start is the check of the operands and the first chunk of both; its end is the pipeline of
    the multipliers, of requantisation, and a row after the other of the last tile.
    """
    array, y = config.array, operation.writes["y"]
    by_column = bool(operation.attributes.get("y_transposed", 0))
    m, n = index(y.rows), index(y.columns)
    m, n = (n, m) if by_column else (m, n)
    row_tiles, column_tiles = -(-m // array.rows), -(-n // array.columns)
    tiles = row_tiles * column_tiles
    start, end = 17 + config.chunk // 4, 16 + (m - 1) % array.rows + 1
    work = operation.work or tiles * max(_depth(operation), array.rows * array.drain_turns)
    flow = Flow(operation.attributes.get("flow", 0))
    if array.pipelined and flow in (*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS):
        start += COMPRESSED_STAGES
    # A word of each row of both operands for every eight steps, two of a wide one; a stationary
    # operand is read once.
    reads = work * 2 // config.chunk
    if flow == Flow.DENSE_OUTPUT_STATIONARY:
        planes = 3 if operation.attributes.get("wide", 0) else 2
        reads = tiles * -(-_depth(operation) // WORD) * planes
    if flow not in OUTPUT_STATIONARY:
        # Sums pass the rows of elements, which the next product hides.
        work -= array.rows + 4
        end += array.rows + 4
    # A line is a row of a tile, or a word of all its columns.
    writes = column_tiles * (-(-m // LINE_ELEMENTS) if by_column else m)
    reads += 2 * tiles + (writes if "residual" in operation.reads else 0)
    return Timing(start, (Phase(max(work, LEAST_PRODUCT), reads, writes),), end)


def _depth(operation: Operation) -> int:
    """Return k of a dense product."""
    return index(operation.reads["a"].columns)


def _rows(operation: Operation, config: AcceleratorConfig) -> Timing:
    """Rows pass twice, in MULTIPLY once; a division or root a row runs beside them."""
    x, opcode = operation.reads["x"], operation.opcode
    rows, columns = index(x.rows), index(x.columns)
    beats = -(-columns // config.vector_lanes)
    lines = -(-columns // (LINE_ELEMENTS * config.lanes))
    known, passes = ROWS[opcode], 1 if opcode == Opcode.MULTIPLY else 2
    tree = config.vector_lanes.bit_length() - 1
    late = config.scratchpad.pipelined + config.vector.pipelined
    overhead, alone = known.overhead + late, known.alone + late + tree
    if opcode == Opcode.SOFTMAX:
        # The sum of a row is known at its end, so that the last divisions follow the last rows.
        overhead += tree // 2 + (min(rows, ROWS_AHEAD) - 1) * max(0, known.interval - beats)
        alone += tree
    work = max(passes * rows * beats + overhead, known.interval * rows + passes * beats + alone)
    written = lines
    if opcode in (Opcode.QUANTISE, Opcode.SOFTMAX):
        planes = 2 if operation.attributes.get("two_planes", 0) else 1
        written = planes * -(-lines // 2) + 1
    read = 4 * lines if opcode == Opcode.NORMALISE else 2 * lines
    return Timing(VECTOR_DECODE, (Phase(work, rows * read, rows * written),), 0)


def _move(operation: Operation, buffers: Mapping[str, Buffer], config: AcceleratorConfig) -> Timing:
    is_load = operation.opcode == Opcode.LOAD
    matrix = operation.reads["source"] if is_load else operation.writes["destination"]
    bursts, beats = _bursts(matrix, buffers[matrix.buffer], config)
    slots = config.axi.outstanding
    length = beats / bursts
    slot = MEMORY_LATENCY + BURST_CYCLES[operation.opcode] + length
    work = max(beats, bursts * slot / slots)
    # Alone, the bursts of a round come one after the other, and rounds a slot apart.
    last = (bursts - 1) % slots
    alone = slot + max((bursts - 1) * length, (bursts - 1) // slots * slot + last * length)
    hidden = MOVE_START + round(alone - work)
    lines = index(matrix.rows) * -(
        -words(index(matrix.columns), buffers[matrix.buffer].dtype) // config.lanes
    )
    if is_load:
        backlog = round(min(slots, bursts) * length) if work == beats else 0
        return Timing(hidden, (Phase(round(work), 0, lines),), 0, backlog, round(work) - beats)
    start = MOVE_START + config.scratchpad.pipelined
    return Timing(start, (Phase(round(work), lines, 0),), hidden - MOVE_START)


def _bursts(matrix: Slice, buffer: Buffer, config: AcceleratorConfig) -> tuple[int, int]:
    """Return the bursts and the beats of a matrix in DRAM.

    A burst ends with its row and at a multiple of the longest one.
    """
    beat = config.axi_bytes // WORD
    first = (buffer.address or 0) + index(matrix.row) * buffer.pitch
    first += words(index(matrix.column), buffer.dtype)
    row = -(-words(index(matrix.columns), buffer.dtype) // beat)
    step = buffer.pitch * matrix.step // beat
    longest = config.axi.burst_beats
    return _count(first // beat % longest, row, step % longest, index(matrix.rows), longest)


@lru_cache(maxsize=1 << 12)
def _count(first: int, row: int, step: int, rows: int, longest: int) -> tuple[int, int]:
    """Return bursts and beats of `rows` rows of `row` beats, `step` beats apart."""
    places = ((first + number * step) % longest for number in range(rows))
    return sum(-(-(place + row) // longest) for place in places), rows * row
