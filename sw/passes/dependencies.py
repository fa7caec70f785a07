"""Which operations of a straight graph must wait for which: read and write conflicts of slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ...hw.isa import Unit
from ..gir import DTYPE_BYTES, WORD, Buffer, Graph, Level, Operation, Slice, words

PAGE = 1 << 10
"""Words of memory for which the buffers that lie there are looked up together."""


class Region(NamedTuple):
    """What a slice touches: words ``[first_word, end_word)`` of rows ``[first_row, end_row)``.

    Of these rows it is every `step`-th one. Two regions may overlap though no row belongs to both.
    """

    buffer: Buffer
    first_row: int
    end_row: int
    first_word: int
    end_word: int
    step: int = 1

    @property
    def first(self) -> int:
        """The first word, counted from the start of the buffer."""
        return self.first_row * self.buffer.pitch + self.first_word

    @property
    def end(self) -> int:
        """One past the last word, counted from the start of the buffer."""
        return (self.end_row - 1) * self.buffer.pitch + self.end_word

    def covers(self, other: Region) -> bool:
        """Return whether all words of `other`, a region of the same buffer, belong to this one."""
        if self.step != 1:
            return self == other
        return (
            self.first_row <= other.first_row
            and other.end_row <= self.end_row
            and self.first_word <= other.first_word
            and other.end_word <= self.end_word
        )

    def without(self, begin: int, end: int) -> list[Region]:
        """Return what of first to end lies outside `begin` to `end`, counted as they are."""
        if end <= self.first or self.end <= begin:
            return [self]
        pieces = ((self.first, begin), (end, self.end))
        return [Region(self.buffer, 0, 1, *piece) for piece in pieces if piece[0] < piece[1]]


class Access(NamedTuple):
    """An operation's access to a region in one of its roles."""

    operation: int
    role: str
    is_write: bool
    region: Region


class Dependency(NamedTuple):
    """`later` must not run before `earlier` is done, for the sake of two accesses."""

    earlier: Access
    later: Access


def region(item: Slice, buffer: Buffer) -> Region:
    """Return what the slice `item` of `buffer` touches."""
    row, column, rows, columns = item.numbers
    first_word = column * DTYPE_BYTES[buffer.dtype] // WORD
    end_word = first_word + words(columns, buffer.dtype)
    end_row = row + (rows - 1) * item.step + 1
    return Region(buffer, row, end_row, first_word, end_word, item.step)


def accesses(number: int, operation: Operation, buffers: Mapping[str, Buffer]) -> list[Access]:
    """Return the accesses of `operation`, reads first."""
    return [
        Access(number, role, is_write, region(item, buffers[item.buffer]))
        for is_write, slices in ((False, operation.reads), (True, operation.writes))
        for role, item in slices.items()
    ]


class _Seen:
    """The accesses to a buffer that something later may have to wait for.

    Reads and writes are kept apart, since reads never wait for reads.
    """

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        self.reads: list[Access] = []
        self.writes: list[Access] = []

    def add(self, access: Access) -> None:
        (self.writes if access.is_write else self.reads).append(access)

    def matter_to(self, access: Access) -> tuple[list[Access], ...]:
        """Return those that `access` waits for where they overlap it."""
        return (self.writes, self.reads) if access.is_write else (self.writes,)

    def drop_covered(self, covering: Region) -> None:
        """Leave out what `covering` covers, a region of the same buffer."""
        self.reads = [old for old in self.reads if not covering.covers(old.region)]
        self.writes = [old for old in self.writes if not covering.covers(old.region)]

    def cut(self, begin: int, end: int) -> None:
        """Leave out words from `begin` to `end` of the buffer."""
        self.reads = list(_pieces(self.reads, begin, end))
        self.writes = list(_pieces(self.writes, begin, end))

    def summarise(self, units: Sequence[Unit]) -> None:
        """Keep the last access of each unit and role, as if it touched what all of them touch."""
        self.reads = _summary(self.reads, units)
        self.writes = _summary(self.writes, units)


class _Places:
    """Which of the buffers that have been seen lie where in memory; those without address nowhere.

    Programs use a place for one buffer after the other, so that pairs of buffers which share one
    are far more than those that have been seen and are not forgotten yet.
    """

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, dict[str, None]]] = {}

    def add(self, buffer: Buffer) -> None:
        if buffer.address is None:
            return
        pages = self._pages.setdefault(_memory(buffer), defaultdict(dict))
        for page in _page_numbers(buffer.address, buffer.address + buffer.size):
            pages[page][buffer.name] = None

    def remove(self, buffer: Buffer) -> None:
        if buffer.address is None:
            return
        pages = self._pages[_memory(buffer)]
        for page in _page_numbers(buffer.address, buffer.address + buffer.size):
            del pages[page][buffer.name]

    def near(self, part: Region) -> list[str]:
        """Return the other buffers that may share words with `part`."""
        address = part.buffer.address
        pages = None if address is None else self._pages.get(_memory(part.buffer))
        if pages is None or address is None:
            return []
        found: dict[str, None] = {}
        for page in _page_numbers(address + part.first, address + part.end):
            if page in pages:
                found |= pages[page]
        found.pop(part.buffer.name, None)
        return list(found)


def _memory(buffer: Buffer) -> int:
    """Return the number of the memory in which `buffer` lies."""
    return -1 if buffer.level == Level.SCRATCHPAD else buffer.window


def _page_numbers(begin: int, end: int) -> range:
    return range(begin // PAGE, (end - 1) // PAGE + 1)


def dependencies(graph: Graph) -> list[Dependency]:
    """Return pairs of conflicting accesses in program order, from which all others follow.

    Buffers with addresses conflict where they overlap in memory; without, only with themselves.
    What a later write covers is left out: whoever waits for that write waits for it as well. Of a
    buffer that is not used any more, only the last accesses of each unit count, since units work
    in order: whoever takes its place waits for these, and what of their place a write to another
    buffer has taken is left out, too.
    """
    operations = graph.operations()
    buffers = graph.by_name()
    units = [operation.unit for operation in operations]
    written = {item.buffer for operation in operations for item in operation.writes.values()}
    seen: dict[str, _Seen] = {}
    places = _Places()
    found: list[Dependency] = []
    last = _last_uses(operations)
    finished: set[str] = set()
    for number, operation in enumerate(operations):
        current = accesses(number, operation, buffers)
        for access in current:
            name = access.region.buffer.name
            if name in seen:
                found += _conflicts_within(seen[name], access)
            for other in places.near(access.region):
                found += _conflicts_between(seen[other], access, buffers[other])
        for access in current:
            name = access.region.buffer.name
            if access.is_write:
                if name in seen:
                    seen[name].drop_covered(access.region)
                for other in places.near(access.region):
                    if other in finished and not _is_left(seen[other], access, buffers[other]):
                        del seen[other]
                        places.remove(buffers[other])
            if name in written:
                if name not in seen:
                    seen[name] = _Seen()
                    places.add(buffers[name])
                seen[name].add(access)
        for name in last.get(number, ()):
            if name in seen:
                seen[name].summarise(units)
            finished.add(name)
    return found


def _conflicts_within(seen: _Seen, access: Access) -> list[Dependency]:
    """Return the conflicts of `access` with accesses to the same buffer."""
    _, first_row, end_row, first_word, end_word, _ = access.region
    found = []
    for group in seen.matter_to(access):
        for earlier in group:
            _, row, row_end, word, word_end, _ = earlier.region
            rows_meet = row < end_row and first_row < row_end
            if rows_meet and word < end_word and first_word < word_end:
                found.append(Dependency(earlier, access))
    return found


def _conflicts_between(seen: _Seen, access: Access, buffer: Buffer) -> Iterator[Dependency]:
    """Yield the conflicts of `access` with accesses to another `buffer`, at whose place it is."""
    begin, end = _from_the_start_of(buffer, access.region)
    for group in seen.matter_to(access):
        for earlier in group:
            if earlier.region.first < end and begin < earlier.region.end:
                yield Dependency(earlier, access)


def _from_the_start_of(buffer: Buffer, other: Region) -> tuple[int, int]:
    """Return first and end of a region of another buffer, counted from the start of `buffer`."""
    distance = (other.buffer.address or 0) - (buffer.address or 0)
    return distance + other.first, distance + other.end


def _is_left(seen: _Seen, write: Access, buffer: Buffer) -> bool:
    """Leave out accesses where `write` took the place of `buffer`; return whether some remain."""
    seen.cut(*_from_the_start_of(buffer, write.region))
    return bool(seen.writes or seen.reads)


def _pieces(seen: Iterable[Access], begin: int, end: int) -> Iterator[Access]:
    for old in seen:
        for piece in old.region.without(begin, end):
            yield old if piece is old.region else old._replace(region=piece)


def _last_uses(operations: Sequence[Operation]) -> dict[int, list[str]]:
    """Return the buffers that each operation is the last one to use."""
    users = {
        item.buffer: number
        for number, operation in enumerate(operations)
        for item in (*operation.reads.values(), *operation.writes.values())
    }
    result: dict[int, list[str]] = defaultdict(list)
    for name, number in users.items():
        result[number].append(name)
    return result


def _summary(seen: Iterable[Access], units: Sequence[Unit]) -> list[Access]:
    kinds: dict[tuple[Unit, str], Access] = {}
    for access in seen:
        key = units[access.operation], access.role
        before = kinds.get(key)
        kinds[key] = access if before is None else access._replace(region=_hull(before, access))
    return list(kinds.values())


def _hull(first: Access, second: Access) -> Region:
    one, other = first.region, second.region
    return Region(
        one.buffer,
        min(one.first_row, other.first_row),
        max(one.end_row, other.end_row),
        min(one.first_word, other.first_word),
        max(one.end_word, other.end_word),
    )
