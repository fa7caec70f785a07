"""Let every operator read its operands from DRAM and write its result there: nothing is fused.

A pass over a graph without parallel nodes, for studies of what fusion is worth. An operator is a
run of instructions of one kind and product. What it reads of another operator's result comes from
DRAM and what others will read goes there, tile by tile; only what never leaves an operator, such as
a sum that a product adds to, stays in the scratchpad. Bias, requantisation and the residual belong
to the array's instruction and stay with it: the machine has no other way to express them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode
from ..errors import CompileError
from ..gir import (
    DTYPE_BYTES,
    SPILLED,
    WORD,
    Buffer,
    Graph,
    Level,
    Operation,
    Slice,
    scratchpad_pitch,
    words,
)
from .build import load, part, store
from .memory import OUTPUT_WINDOW

SUMS = ("y", "y_imaginary")
"""What an accumulating butterfly adds to."""

Rectangle = tuple[int, int, int, int]
"""First row, end row, first column, end column."""


def unfuse(graph: Graph, config: AcceleratorConfig) -> Graph:
    """Return `graph` with every result of an operator in DRAM before another operator reads it.

    Raises
    ------
    CompileError
        If a tile does not begin at an AXI beat.
    """
    return _Unfusing(graph, config).run()


Origin = tuple[str, int, int]
"""A DRAM buffer that holds a part of a scratchpad buffer so many rows and columns further on."""


class _Places:
    """Which DRAM buffer has the newest version of each element of a scratchpad buffer."""

    def __init__(self, buffer: Buffer) -> None:
        self.name = buffer.name
        self.origins: list[Origin] = []
        self.newest = np.full((buffer.rows, buffer.columns), -1)

    def put(self, rectangle: Rectangle, origin: Origin) -> None:
        """Note that a rectangle is at `origin` now."""
        if origin not in self.origins:
            self.origins.append(origin)
        self._part(rectangle)[...] = self.origins.index(origin)

    def find(self, rectangle: Rectangle) -> Origin:
        """Return where a rectangle is.

        Raises
        ------
        CompileError
            If it is in several buffers.
        """
        found = np.unique(self._part(rectangle))
        if len(found) > 1 or found[0] < 0:
            raise CompileError(f"buffer {self.name}: a tile of it is in several places of DRAM")
        return self.origins[found[0]]

    def _part(self, rectangle: Rectangle) -> NDArray[np.int_]:
        first_row, end_row, first_column, end_column = rectangle
        return self.newest[first_row:end_row, first_column:end_column]


@dataclass
class _Tile:
    """A part of a buffer that is in the scratchpad for a run of instructions.

    Parameters
    ----------
    rectangle : Rectangle
        Of the original buffer.
    buffer : Buffer
    is_changed : bool
        Whether DRAM has an older version.
    last : int
        The last instruction of the run that uses it.
    """

    rectangle: Rectangle
    buffer: Buffer
    last: int
    is_changed: bool = False


@dataclass
class _Run:
    """Instructions of one operator that follow each other, and the tiles that they use."""

    numbers: list[int] = field(default_factory=list)
    tiles: dict[str, list[Rectangle]] = field(default_factory=lambda: defaultdict(list))


class _Unfusing:
    def __init__(self, graph: Graph, config: AcceleratorConfig) -> None:
        self.graph, self.config = graph, config
        self.operations = graph.operations()
        self.buffers = graph.by_name()
        self.results = {
            item.buffer
            for operation in self.operations
            if not _is_move(operation)
            for item in operation.writes.values()
        }
        self.places = {name: _Places(self.buffers[name]) for name in self.results}
        self.uses = self._uses()
        self.made: list[Buffer] = []
        self.twins: dict[str, Buffer] = {}
        self.counts: dict[str, int] = defaultdict(int)

    def run(self) -> Graph:
        body = tuple(new for run in self._runs() for new in self._translate(run))
        kept = [item for item in self.graph.buffers if item.name not in self.results]
        buffers = (*kept, *self.twins.values(), *self.made)
        return replace(self.graph, buffers=buffers, body=body)

    def _uses(self) -> dict[str, list[tuple[int, bool, Rectangle]]]:
        """Return number, kind and rectangle of all accesses to each result, in program order."""
        uses: dict[str, list[tuple[int, bool, Rectangle]]] = defaultdict(list)
        for number, operation in enumerate(self.operations):
            for is_write, slices in ((False, _reads(operation)), (True, operation.writes.values())):
                for item in slices:
                    if item.buffer in self.results:
                        uses[item.buffer].append((number, is_write, _rectangle(item)))
        return uses

    def _runs(self) -> Iterator[_Run]:
        """Yield the operators: runs of one opcode and product, with equal or disjoint tiles."""
        run, key = _Run(), None
        for number, operation in enumerate(self.operations):
            own = key if _is_store(operation) and key else _key(operation)
            tiles = self._tiles(operation)
            if run.numbers and (own != key or _is_load(operation) or _clash(run.tiles, tiles)):
                yield run
                run = _Run()
            run.numbers.append(number)
            for name, rectangles in tiles.items():
                run.tiles[name] += [item for item in rectangles if item not in run.tiles[name]]
            key = own
        if run.numbers:
            yield run

    def _tiles(self, operation: Operation) -> dict[str, list[Rectangle]]:
        """Return what `operation` uses of each result; parts of one operand are one tile."""
        tiles: dict[str, list[Rectangle]] = defaultdict(list)
        slices = {**operation.reads, **operation.writes}
        for role, item in slices.items():
            if item.buffer in self.results:
                twin = slices.get(_partner(role, slices), item)
                whole = _hull(_rectangle(item), _rectangle(twin))
                if whole not in tiles[item.buffer]:
                    tiles[item.buffer].append(whole)
        return tiles

    def _translate(self, run: _Run) -> Iterator[Operation]:
        if all(_is_load(self.operations[number]) for number in run.numbers):
            for number in run.numbers:
                yield from self._loaded(self.operations[number])
            return
        last = {
            (name, rectangle): number
            for number in run.numbers
            for name, rectangles in self._tiles(self.operations[number]).items()
            for rectangle in rectangles
        }
        tiles: dict[tuple[str, Rectangle], _Tile] = {}
        for number in run.numbers:
            operation = self.operations[number]
            for name, rectangles in self._tiles(operation).items():
                for rectangle in rectangles:
                    if (name, rectangle) not in tiles:
                        tile = self._tile(name, rectangle, last[name, rectangle], operation)
                        tiles[name, rectangle] = tile
                        yield from self._fetch(name, tile, operation)
            yield self._renamed(operation, tiles)
            for (name, _), tile in tiles.items():
                if tile.last == number and tile.is_changed:
                    yield from self._spill(name, tile, number, operation.product)

    def _loaded(self, operation: Operation) -> Iterator[Operation]:
        """Remember where a LOAD into a result would find its data, instead of loading it."""
        source, target = operation.reads["source"], operation.writes["destination"]
        if target.buffer not in self.results:
            yield operation
            return
        rows = index(source.row) - index(target.row)
        columns = index(source.column) - index(target.column)
        self.places[target.buffer].put(_rectangle(target), (source.buffer, rows, columns))

    def _tile(self, name: str, rectangle: Rectangle, last: int, operation: Operation) -> _Tile:
        buffer = self.buffers[name]
        rows, columns = rectangle[1] - rectangle[0], rectangle[3] - rectangle[2]
        pitch = words(columns, buffer.dtype)
        if operation.opcode == Opcode.BUTTERFLY:
            pitch = buffer.pitch  # All matrices of such an instruction have one pitch.
        elif buffer.pitch % self.config.lanes == 1:
            pitch = scratchpad_pitch(columns, buffer.dtype, self.config.lanes)
        number = self.counts[name]
        self.counts[name] += 1
        made = replace(
            buffer, name=f"{name}.tile_{number}", rows=rows, columns=columns, pitch=pitch, depth=1
        )
        self.made.append(made)
        return _Tile(rectangle, made, last)

    def _fetch(self, name: str, tile: _Tile, operation: Operation) -> Iterator[Operation]:
        """Load what `operation`, the first to use `tile`, reads of it."""
        for item in _reads(operation):
            wanted = _rectangle(item)
            if item.buffer != name or not _covers(tile.rectangle, wanted):
                continue
            place, rows, columns = self.places[name].find(wanted)
            source = _slice(place, wanted, rows, columns)
            self._check(source, operation)
            target = _slice(tile.buffer.name, wanted, -tile.rectangle[0], -tile.rectangle[2])
            yield load(source, target, operation.product)

    def _renamed(
        self, operation: Operation, tiles: Mapping[tuple[str, Rectangle], _Tile]
    ) -> Operation:
        slices: list[dict[str, Slice]] = []
        for is_write, before in ((False, operation.reads), (True, operation.writes)):
            after = dict(before)
            for role, item in before.items():
                if item.buffer in self.results:
                    tile = self._holding(item, tiles)
                    tile.is_changed |= is_write
                    offset = -tile.rectangle[0], -tile.rectangle[2]
                    after[role] = _slice(tile.buffer.name, _rectangle(item), *offset)
            slices.append(after)
        return replace(operation, reads=slices[0], writes=slices[1])

    def _holding(self, item: Slice, tiles: Mapping[tuple[str, Rectangle], _Tile]) -> _Tile:
        return next(
            tile
            for (name, rectangle), tile in tiles.items()
            if name == item.buffer and _covers(rectangle, _rectangle(item))
        )

    def _spill(self, name: str, tile: _Tile, number: int, product: str) -> Iterator[Operation]:
        """Store `tile` if an operation after `number` reads of it what is written now."""
        tile.is_changed = False
        if not self._is_read(name, tile.rectangle, number):
            return
        twin = self._twin(name)
        source = part(tile.buffer)
        target = _slice(twin.name, tile.rectangle, 0, 0)
        operation = store(source, target, product)
        self._check(target, operation)
        self.places[name].put(tile.rectangle, (twin.name, 0, 0))
        yield operation

    def _is_read(self, name: str, rectangle: Rectangle, number: int) -> bool:
        for user, is_write, other in self.uses[name]:
            if user > number and _overlap(rectangle, other):
                if not is_write:
                    return True
                if _covers(other, rectangle):
                    return False
        return False

    def _twin(self, name: str) -> Buffer:
        if name not in self.twins:
            buffer = self.buffers[name]
            beat = self.config.axi_bytes // WORD
            pitch = -(-words(buffer.columns, buffer.dtype) // beat) * beat
            self.twins[name] = Buffer(
                name + SPILLED,
                Level.DRAM,
                buffer.dtype,
                buffer.rows,
                buffer.columns,
                pitch,
                window=OUTPUT_WINDOW,
            )
        return self.twins[name]

    def _check(self, item: Slice, operation: Operation) -> None:
        buffer = self.buffers.get(item.buffer) or self.twins[item.buffer.removesuffix(SPILLED)]
        offset = index(item.column) * DTYPE_BYTES[buffer.dtype]
        if offset % self.config.axi_bytes:
            raise CompileError(
                f"{operation.product}: without fusion a tile begins at byte {offset} of a row in "
                f"DRAM; it must be a multiple of axi bytes = {self.config.axi_bytes}"
            )


def _reads(operation: Operation) -> list[Slice]:
    """Return what `operation` reads; a butterfly that accumulates reads what it writes as well."""
    adds = operation.attributes.get("accumulate")
    sums = (item for role, item in operation.writes.items() if adds and role in SUMS)
    return [*operation.reads.values(), *sums]


def _key(operation: Operation) -> tuple[object, str]:
    return operation.opcode, operation.product


def _is_move(operation: Operation) -> bool:
    return _is_load(operation) or _is_store(operation)


def _is_load(operation: Operation) -> bool:
    return operation.opcode == Opcode.LOAD


def _is_store(operation: Operation) -> bool:
    return operation.opcode == Opcode.STORE


def _partner(role: str, slices: Mapping[str, Slice]) -> str:
    """Return the role whose slice lies at a fixed distance of that of `role`, or `role`."""
    pairs = {"low": "a" if "a" in slices else "y"} | {
        f"{name}_imaginary": name for name in ("x", "y", "work")
    }
    pairs |= {first: second for second, first in pairs.items() if second in slices}
    partner = pairs.get(role, role)
    same = partner in slices and slices[partner].buffer == slices[role].buffer
    return partner if same else role


def _rectangle(item: Slice) -> Rectangle:
    row, column = index(item.row), index(item.column)
    return row, row + index(item.rows), column, column + index(item.columns)


def _slice(buffer: str, rectangle: Rectangle, rows: int, columns: int) -> Slice:
    first_row, end_row, first_column, end_column = rectangle
    whole = Buffer(buffer, Level.DRAM, "int8", 1, 1, 1)
    return part(
        whole,
        first_row + rows,
        first_column + columns,
        end_row - first_row,
        end_column - first_column,
    )


def _overlap(first: Rectangle, second: Rectangle) -> bool:
    return (
        first[0] < second[1]
        and second[0] < first[1]
        and first[2] < second[3]
        and second[2] < first[3]
    )


def _covers(first: Rectangle, second: Rectangle) -> bool:
    return (
        first[0] <= second[0]
        and second[1] <= first[1]
        and first[2] <= second[2]
        and second[3] <= first[3]
    )


def _hull(first: Rectangle, second: Rectangle) -> Rectangle:
    return (
        min(first[0], second[0]),
        max(first[1], second[1]),
        min(first[2], second[2]),
        max(first[3], second[3]),
    )


def _clash(
    before: Mapping[str, Sequence[Rectangle]], tiles: Mapping[str, Sequence[Rectangle]]
) -> bool:
    """Return whether tiles overlap without being the same."""
    return any(
        old != new and _overlap(old, new)
        for name, rectangles in tiles.items()
        for new in rectangles
        for old in before.get(name, ())
    )
