"""The graph between model and microcode: compute, move and parallel nodes over slices.

Nothing moves unless a `Move` says so. A `Compute` is one macro-instruction of the array or the
vector unit. A `Parallel` tiles its body over an axis; buffers declared in it are private to an
iteration, and as many iterations as the buffer's `depth` may be in flight. Two parallel nodes that
declare the same buffer share its copies. Edges are slices:
a buffer at a memory level, an offset that is affine in the loops around, a shape, and the
buffer's pitch as the stride. The three kinds of node and the affine slices follow the
instruction-level graphs of POWERFUSION (Ma et al., arXiv 2307.04995).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import index
from typing import TypeVar

from ..hw.isa import UNIT_OF, Opcode, Unit

DTYPE_BYTES = {"int8": 1, "int16": 2, "scale": 8, "packed": 8, "coefficient": 8}
"""Bytes of an element; `scale` is a `hw.isa.ScaleWord`, `packed` a word of a compressed operand,
`coefficient` a 2 x 2 matrix of a butterfly."""

WORD = 8

SPILLED = ".spilled"
"""End of the names of DRAM buffers that a program fills for itself, for want of scratchpad."""


T = TypeVar("T")


def changed(item: T, **values: object) -> T:
    """Return a copy of a node, a slice or a buffer with other values, without checks.

    It is what `dataclasses.replace` does in several times the time, which a search would feel.
    """
    copy = object.__new__(type(item))
    copy.__dict__.update(item.__dict__, **values)
    return copy


class Level(enum.Enum):
    """Where a buffer lives. Registers belong to the units and have no name here."""

    DRAM = "dram"
    SCRATCHPAD = "scratchpad"


@dataclass(frozen=True)
class Affine:
    """``constant + Σ coefficient · variable``.

    A variable is a loop's name, which stands for the number of its iteration, or ``|name|``, which
    stands for how much of its axis the iteration covers.
    """

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, value: Affine | int) -> Affine:
        """Return `value` as an affine expression."""
        return value if isinstance(value, Affine) else cls(int(value))

    @classmethod
    def variable(cls, name: str) -> Affine:
        """Return the expression that is the variable `name`."""
        return cls(0, ((name, 1),))

    def __add__(self, other: Affine | int) -> Affine:
        other = Affine.of(other)
        sums = dict(self.terms)
        for name, coefficient in other.terms:
            sums[name] = sums.get(name, 0) + coefficient
        terms = tuple(sorted((name, value) for name, value in sums.items() if value))
        return Affine(self.constant + other.constant, terms)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Affine:
        return Affine(
            self.constant * factor, tuple((name, value * factor) for name, value in self.terms)
        )

    __rmul__ = __mul__

    def substitute(self, values: Mapping[str, int]) -> Affine:
        """Return the expression with the variables in `values` replaced by numbers."""
        if not self.terms:
            return self
        constant = self.constant
        rest = []
        for term in self.terms:
            value = values.get(term[0])
            if value is None:
                rest.append(term)
            else:
                constant += term[1] * value
        return Affine(constant, tuple(rest)) if rest else number(constant)

    def __index__(self) -> int:
        if self.terms:
            raise ValueError(f"{self} is not a number")
        return self.constant

    def __str__(self) -> str:
        parts = [name if value == 1 else f"{value}*{name}" for name, value in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return "+".join(parts)


@lru_cache(maxsize=1 << 14)
def number(value: int) -> Affine:
    """Return the expression that is `value`; equal ones are mostly one object."""
    return Affine(value)


@dataclass(frozen=True)
class Buffer:
    """A matrix in memory.

    Parameters
    ----------
    name : str
    level : Level
    dtype : str
        A key of `DTYPE_BYTES`.
    rows, columns : int
    pitch : int
        Words from one row to the next.
    depth : int
        Iterations of the parallel node around that may use copies of the buffer at a time; copy
        `n` is called ``name.n``.
    address : int, optional
        First word, once allocated.
    window : int
        DRAM window; 0 in the scratchpad.
    """

    name: str
    level: Level
    dtype: str
    rows: int
    columns: int
    pitch: int
    depth: int = 1
    address: int | None = None
    window: int = 0

    @property
    def row_words(self) -> int:
        """Words of a row, without what lies between rows."""
        return words(self.columns, self.dtype)

    @property
    def size(self) -> int:
        """Words from the first to the last."""
        return (self.rows - 1) * self.pitch + self.row_words

    @property
    def space(self) -> int:
        """Words with whole rows; one row where all lie at one place."""
        return self.rows * self.pitch or self.row_words


def semaphores(mask: int) -> list[int]:
    """Return the numbers of the semaphores in a `wait` or `signal` mask."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def words(columns: int, dtype: str) -> int:
    """Return the words that `columns` elements take."""
    return -(-columns * DTYPE_BYTES[dtype] // WORD)


@dataclass(frozen=True)
class Slice:
    """A rectangle of a buffer; its stride is the buffer's pitch.

    In DRAM, its rows may be every `step`-th one of the buffer.
    """

    buffer: str
    row: Affine
    column: Affine
    rows: Affine
    columns: Affine
    step: int = 1

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """Row, column, rows and columns.

        Raises
        ------
        ValueError
            If one of them depends on a loop.
        """
        # Kept, as every pass asks again; `functools.cached_property` would take a lock each time.
        found: tuple[int, int, int, int] | None = self.__dict__.get("_numbers")
        if found is None:
            found = index(self.row), index(self.column), index(self.rows), index(self.columns)
            self.__dict__["_numbers"] = found
        return found

    def meets(self, other: Slice) -> bool:
        """Return whether both have an element in common; rows between those of a step count."""
        row, column, rows, columns = self.numbers
        other_row, other_column, other_rows, other_columns = other.numbers
        return (
            self.buffer == other.buffer
            and row < other_row + (other_rows - 1) * other.step + 1
            and other_row < row + (rows - 1) * self.step + 1
            and column < other_column + other_columns
            and other_column < column + columns
        )

    def substitute(self, values: Mapping[str, int], names: Mapping[str, str]) -> Slice:
        """Return the slice with loop variables replaced and the buffer renamed."""
        # As `changed` does it: `Slice(...)` would take twice the time.
        copy = object.__new__(Slice)
        copy.__dict__.update(
            buffer=names.get(self.buffer, self.buffer),
            row=self.row.substitute(values),
            column=self.column.substitute(values),
            rows=self.rows.substitute(values),
            columns=self.columns.substitute(values),
            step=self.step,
        )
        return copy

    def __str__(self) -> str:
        step = f"/{self.step}" if self.step != 1 else ""
        return f"{self.buffer}[{self.row},{self.column};{self.rows},{self.columns}]{step}"


@dataclass(frozen=True)
class Operation:
    """One instruction.

    Parameters
    ----------
    opcode : Opcode
    reads, writes : mapping
        Slices by role; the roles are the prefixes of the instruction's address fields.
    attributes : mapping
        Further fields of the instruction.
    product : str
        What the instruction computes a part of, for reports.
    wait, signal : int
        Semaphore masks.
    start, end : int
        When the schedule expects it to run, in cycles; -1 before it is scheduled.
    work : int
        Cycles of work, where they depend on more than the shapes; 0: the cost model knows.
    """

    opcode: Opcode
    reads: Mapping[str, Slice]
    writes: Mapping[str, Slice]
    attributes: Mapping[str, int] = field(default_factory=dict)
    product: str = ""
    wait: int = 0
    signal: int = 0
    start: int = -1
    end: int = -1
    work: int = 0

    @property
    def unit(self) -> Unit:
        """The unit that executes the operation."""
        return UNIT_OF[self.opcode]

    def substitute(self, values: Mapping[str, int], names: Mapping[str, str]) -> Operation:
        """Return the operation of one iteration."""
        return changed(
            self,
            reads={role: item.substitute(values, names) for role, item in self.reads.items()},
            writes={role: item.substitute(values, names) for role, item in self.writes.items()},
        )


class Compute(Operation):
    """An instruction of the array or the vector unit."""


class Move(Operation):
    """An instruction of the load or the store unit: from `source` to `destination`."""


@dataclass(frozen=True)
class Parallel:
    """Tiles of `step` from `start` to `stop` of an axis; the last may be smaller.

    Parameters
    ----------
    loop : str
        Name of the loop variable.
    start, stop, step : int
        `start` is a multiple of `step`; the variable counts tiles from the start of the axis.
    buffers : tuple of Buffer
        Private to an iteration.
    body : tuple of Node
    edge : int
        If not 0, the size of the first and of the last tile, which divides `step`; the variable
        then counts in edges.
    """

    loop: str
    start: int
    stop: int
    step: int
    buffers: tuple[Buffer, ...]
    body: tuple[Node, ...]
    edge: int = 0

    def iterations(self) -> Iterator[dict[str, int]]:
        """Yield the values of the loop's two variables in each iteration."""
        start = self.start
        while start < self.stop:
            extent = min(self._size(start), self.stop - start)
            yield {self.loop: start // (self.edge or self.step), f"|{self.loop}|": extent}
            start += extent

    def _size(self, start: int) -> int:
        """Return the size of the tile at `start`, which leaves an edge at the end."""
        if not self.edge:
            return self.step
        whole_edges = -(-(self.stop - start) // self.edge) - 1
        if start == self.start or not whole_edges:
            return self.edge
        return min(self.step, whole_edges * self.edge)


Node = Operation | Parallel


@dataclass(frozen=True)
class Graph:
    """A program before microcode.

    Parameters
    ----------
    name : str
    buffers : tuple of Buffer
        Those that live outside every parallel node.
    body : tuple of Node
        In program order.
    """

    name: str
    buffers: tuple[Buffer, ...]
    body: tuple[Node, ...]

    def operations(self) -> list[Operation]:
        """Return the nodes of a graph without parallel nodes.

        Raises
        ------
        ValueError
            If there is a parallel node.
        """
        operations = [node for node in self.body if isinstance(node, Operation)]
        if len(operations) != len(self.body):
            raise ValueError(f"{self.name} still has parallel nodes")
        return operations

    def by_name(self) -> dict[str, Buffer]:
        """Return the outer buffers by name."""
        return {buffer.name: buffer for buffer in self.buffers}


def scratchpad_pitch(columns: int, dtype: str, lanes: int) -> int:
    """Return the pitch of a matrix that is read by column: 1 modulo `lanes`."""
    used = words(columns, dtype)
    return used + (1 - used) % lanes
