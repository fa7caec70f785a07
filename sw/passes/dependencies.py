"""Which operations of a straight graph must wait for which: read and write conflicts of slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index

from ...hw.isa import Unit
from ..gir import DTYPE_BYTES, WORD, Buffer, Graph, Level, Operation, Slice, words


@dataclass(frozen=True)
class Region:
    """What a slice touches: words ``[first_word, end_word)`` of rows ``[first_row, end_row)``."""

    buffer: Buffer
    first_row: int
    end_row: int
    first_word: int
    end_word: int

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
        return (
            self.first_row <= other.first_row
            and other.end_row <= self.end_row
            and self.first_word <= other.first_word
            and other.end_word <= self.end_word
        )

    def without(self, other: Region) -> list[Region]:
        """Return what of first to end lies outside first and end of `other`, of another buffer."""
        if self.buffer.address is None or other.buffer.address is None:
            return [self]
        distance = other.buffer.address - self.buffer.address
        begin, end = distance + other.first, distance + other.end
        if end <= self.first or self.end <= begin:
            return [self]
        pieces = ((self.first, begin), (end, self.end))
        return [Region(self.buffer, 0, 1, *piece) for piece in pieces if piece[0] < piece[1]]

    def overlaps(self, other: Region) -> bool:
        """Return whether a word belongs to both."""
        if self.buffer.name == other.buffer.name:
            return (
                self.first_row < other.end_row
                and other.first_row < self.end_row
                and self.first_word < other.end_word
                and other.first_word < self.end_word
            )
        if self.buffer.address is None or other.buffer.address is None:
            return False
        return (
            self.buffer.address + self.first < other.buffer.address + other.end
            and other.buffer.address + other.first < self.buffer.address + self.end
        )


@dataclass(frozen=True)
class Access:
    """An operation's access to a region in one of its roles."""

    operation: int
    role: str
    is_write: bool
    region: Region


@dataclass(frozen=True)
class Dependency:
    """`later` must not run before `earlier` is done, for the sake of two accesses."""

    earlier: Access
    later: Access


def region(item: Slice, buffer: Buffer) -> Region:
    """Return what the slice `item` of `buffer` touches."""
    row, column = index(item.row), index(item.column)
    first_word = column * DTYPE_BYTES[buffer.dtype] // WORD
    end_word = first_word + words(index(item.columns), buffer.dtype)
    return Region(buffer, row, row + index(item.rows), first_word, end_word)


def accesses(number: int, operation: Operation, buffers: dict[str, Buffer]) -> Iterable[Access]:
    """Yield the accesses of `operation`, reads first."""
    for is_write, slices in ((False, operation.reads), (True, operation.writes)):
        for role, item in slices.items():
            yield Access(number, role, is_write, region(item, buffers[item.buffer]))


def dependencies(graph: Graph) -> list[Dependency]:
    """Return pairs of conflicting accesses in program order, from which all others follow.

    Buffers with addresses conflict where they overlap in memory; without, only with themselves.
    What a later write covers is left out: whoever waits for that write waits for it as well. Of a
    buffer that is not used any more, only the last accesses of each unit count, since units work
    in order: whoever takes its place waits for these, and what of their place a write to another
    buffer has taken is left out, too.
    """
    buffers = graph.by_name()
    neighbours = _neighbours(graph.buffers)
    written = {
        item.buffer for operation in graph.operations() for item in operation.writes.values()
    }
    seen: dict[str, list[Access]] = {}
    found = []
    operations = graph.operations()
    last = _last_uses(operations)
    finished: set[str] = set()
    for number, operation in enumerate(operations):
        current = list(accesses(number, operation, buffers))
        for access in current:
            for name in _common(neighbours[access.region.buffer.name], seen):
                found += [
                    Dependency(earlier, access)
                    for earlier in seen[name]
                    if (earlier.is_write or access.is_write)
                    and earlier.region.overlaps(access.region)
                ]
        for access in current:
            name = access.region.buffer.name
            if access.is_write:
                before = seen.get(name, [])
                _put(seen, name, [old for old in before if not access.region.covers(old.region)])
                _forget(seen, _common(neighbours[name], seen), access, finished)
            if name in written:
                seen.setdefault(name, []).append(access)
        for name in last[number]:
            _put(seen, name, _summary(seen.get(name, []), operations))
            finished.add(name)
    return found


def _common(names: Mapping[str, None], seen: Mapping[str, list[Access]]) -> list[str]:
    """Return those of `names` that have been seen, in time that grows with the fewer of both."""
    fewer, more = (names, seen) if len(names) < len(seen) else (seen, names)
    return [name for name in fewer if name in more]


def _put(seen: dict[str, list[Access]], name: str, kept: list[Access]) -> None:
    """Set what has been seen of a buffer; nothing leaves no entry."""
    if kept:
        seen[name] = kept
    else:
        seen.pop(name, None)


def _forget(
    seen: dict[str, list[Access]], neighbours: Iterable[str], write: Access, finished: set[str]
) -> None:
    """Leave out accesses to buffers that are not used any more, where `write` took their place."""
    for name in neighbours:
        if name in finished:
            left = [
                replace(old, region=piece)
                for old in seen[name]
                for piece in old.region.without(write.region)
            ]
            _put(seen, name, left)


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


def _summary(seen: Iterable[Access], operations: Sequence[Operation]) -> list[Access]:
    """Return the last access of each unit and kind, as if it touched what all of them touch."""
    kinds: dict[tuple[Unit, bool, str], Access] = {}
    for access in seen:
        key = operations[access.operation].unit, access.is_write, access.role
        before = kinds.get(key)
        kinds[key] = access if before is None else replace(access, region=_hull(before, access))
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


def _neighbours(buffers: Iterable[Buffer]) -> dict[str, dict[str, None]]:
    """Return for each buffer the buffers that share memory with it, itself among them, in order."""
    result: dict[str, dict[str, None]] = {buffer.name: {buffer.name: None} for buffer in buffers}
    placed: dict[tuple[Level, int], list[Buffer]] = defaultdict(list)
    for buffer in buffers:
        if buffer.address is not None:
            placed[buffer.level, buffer.window].append(buffer)
    for group in placed.values():
        group.sort(key=lambda buffer: buffer.address or 0)
        for position, first in enumerate(group):
            end = (first.address or 0) + first.size
            for second in group[position + 1 :]:
                if (second.address or 0) >= end:
                    break
                result[first.name][second.name] = None
                result[second.name][first.name] = None
    return result
