"""Graphs as text, one node a line, and back.

::

    graph "encoder 0"
    buffer input dram int16 7x384 pitch 96 window 1
    buffer 0.input scratchpad int8 7x384 pitch 49
    parallel 0.input_rows 0..7 step 32 {
      move LOAD source=input[32*0.input_rows,0;|0.input_rows|,384] -> destination=... "0.input"
      compute QUANTISE x=... -> y=... scale=... {activation=0 x_fraction=11} "0.input"
    }

A line may end in ``work 96``, ``wait 0x1``, ``signal 0x2`` and ``time 0..120``; a buffer in
``depth``, ``address`` and ``window``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff
from itertools import takewhile

from ..hw.isa import Opcode
from .gir import Affine, Buffer, Compute, Graph, Level, Move, Node, Operation, Parallel, Slice

INDENT = "  "
NAME = r"[\w.]+"
SLICE = re.compile(rf"(\w+)=({NAME})\[([^,\]]+),([^;\]]+);([^,\]]+),([^\]]+)\](?:/(\d+))?")
BUFFER = re.compile(
    rf"buffer ({NAME}) (dram|scratchpad) (\w+) (\d+)x(\d+) pitch (\d+)"
    r"(?: depth (\d+))?(?: address (\d+))?(?: window (\d+))?"
)
OPCODES = "|".join(opcode.name for opcode in Opcode)
OPERATION = re.compile(
    rf"(compute|move) ({OPCODES}) (.*?) -> "
    r'([^{"]*?)(?: \{([^}]*)\})?(?: "([^"]*)")?'
    r"(?: work (\d+))?(?: wait (\w+))?(?: signal (\w+))?(?: time (\d+)\.\.(\d+))?"
)
PARALLEL = re.compile(rf"parallel ({NAME}) (\d+)\.\.(\d+) step (\d+)(?: edge (\d+))? \{{")
GRAPH = re.compile(r'graph "([^"]*)"')


class GirError(ValueError):
    """Text is no graph, or a graph breaks a rule. The message is one line."""


def to_text(graph: Graph) -> str:
    """Return `graph` as text that `from_text` reads."""
    lines = [f'graph "{graph.name}"', *map(_buffer, graph.buffers)]
    for node in graph.body:
        lines += _node(node)
    return "\n".join(lines) + "\n"


def difference(first: Graph, second: Graph) -> list[str]:
    """Return what differs between two graphs, as the lines of a unified diff of their texts."""
    old, new = (to_text(graph).splitlines() for graph in (first, second))
    return list(unified_diff(old, new, first.name, second.name, lineterm="", n=0))


def _buffer(buffer: Buffer) -> str:
    text = (
        f"buffer {buffer.name} {buffer.level.value} {buffer.dtype} "
        f"{buffer.rows}x{buffer.columns} pitch {buffer.pitch}"
    )
    if buffer.depth != 1:
        text += f" depth {buffer.depth}"
    if buffer.address is not None:
        text += f" address {buffer.address}"
    return text + (f" window {buffer.window}" if buffer.window else "")


def _node(node: Node) -> Iterator[str]:
    if isinstance(node, Operation):
        yield _operation(node)
        return
    edge = f" edge {node.edge}" if node.edge else ""
    yield f"parallel {node.loop} {node.start}..{node.stop} step {node.step}{edge} {{"
    for buffer in node.buffers:
        yield INDENT + _buffer(buffer)
    for inner in node.body:
        yield from (INDENT + line for line in _node(inner))
    yield "}"


def _operation(operation: Operation) -> str:
    kind = "move" if isinstance(operation, Move) else "compute"
    reads, writes = (
        " ".join(f"{role}={item}" for role, item in slices.items())
        for slices in (operation.reads, operation.writes)
    )
    text = f"{kind} {operation.opcode.name} {reads} -> {writes}"
    if operation.attributes:
        text += (
            " {" + " ".join(f"{key}={value}" for key, value in operation.attributes.items()) + "}"
        )
    if operation.product:
        text += f' "{operation.product}"'
    if operation.work:
        text += f" work {operation.work}"
    if operation.wait:
        text += f" wait {operation.wait:#x}"
    if operation.signal:
        text += f" signal {operation.signal:#x}"
    return text + (f" time {operation.start}..{operation.end}" if operation.start >= 0 else "")


def from_text(text: str) -> Graph:
    """Return the graph that `text` describes.

    Raises
    ------
    GirError
        Naming the line that cannot be read.
    """
    return _Parser(text).graph()


class _Parser:
    def __init__(self, text: str) -> None:
        self._lines = [
            (number, line.strip())
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip()
        ]
        self._position = 0

    def graph(self) -> Graph:
        (name,) = self._match(GRAPH, self._next())
        buffers = self._buffers()
        body = self._body()
        if self._position < len(self._lines):
            self._fail("is outside the graph")
        return Graph(name, buffers, body)

    def _fail(self, what: str) -> None:
        number, line = self._lines[min(self._position, len(self._lines) - 1)]
        raise GirError(f"line {number} {what}: {line}")

    def _next(self) -> str:
        if self._position == len(self._lines):
            raise GirError(f"line {len(self._lines) + 1} is missing")
        return self._lines[self._position][1]

    def _match(self, pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
        found = pattern.fullmatch(line)
        if found is None:
            self._fail(f"is no {pattern.pattern.split()[0]}")
            raise AssertionError
        self._position += 1
        return found.groups()

    def _buffers(self) -> tuple[Buffer, ...]:
        rest = (line for _, line in self._lines[self._position :])
        lines = list(takewhile(lambda line: line.startswith("buffer "), rest))
        return tuple(self._buffer(line) for line in lines)

    def _buffer(self, line: str) -> Buffer:
        name, level, dtype, rows, columns, pitch, depth, address, window = self._match(BUFFER, line)
        return Buffer(
            name,
            Level(level),
            dtype,
            int(rows),
            int(columns),
            int(pitch),
            int(depth or 1),
            None if address is None else int(address),
            int(window or 0),
        )

    def _body(self) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while self._position < len(self._lines) and self._next() != "}":
            line = self._next()
            nodes.append(
                self._parallel(line) if line.startswith("parallel ") else self._operation(line)
            )
        return tuple(nodes)

    def _parallel(self, line: str) -> Parallel:
        loop, start, stop, step, edge = self._match(PARALLEL, line)
        buffers = self._buffers()
        body = self._body()
        if self._next() != "}":
            self._fail("must be }")
        self._position += 1
        return Parallel(loop, int(start), int(stop), int(step), buffers, body, int(edge or 0))

    def _operation(self, line: str) -> Compute | Move:
        found = self._match(OPERATION, line)
        kind, opcode, reads, writes, attributes, product, work, wait, signal, start, end = found
        node = Move if kind == "move" else Compute
        return node(
            Opcode[opcode],
            _slices(reads),
            _slices(writes),
            {
                key: int(value)
                for key, _, value in (item.partition("=") for item in (attributes or "").split())
            },
            product or "",
            int(wait or "0", 0),
            int(signal or "0", 0),
            int(start or -1),
            int(end or -1),
            int(work or 0),
        )


def _slices(text: str) -> dict[str, Slice]:
    return {
        role: Slice(
            name, _affine(row), _affine(column), _affine(rows), _affine(columns), int(step or 1)
        )
        for role, name, row, column, rows, columns, step in SLICE.findall(text)
    }


def _affine(text: str) -> Affine:
    total = Affine()
    for term in text.split("+"):
        head, star, tail = term.partition("*")
        if star:
            total += Affine.variable(tail) * int(head)
        else:
            total += Affine(int(term)) if term.lstrip("-").isdigit() else Affine.variable(term)
    return total
