"""A graph as a picture: nodes from top to bottom, buffers as lines beside them.

A node is a line of text in the colour of its unit, inside the boxes of the parallel nodes around
it. A buffer is a vertical line from its first use to its last; a full dot is a write, a ring a
read, so that an edge of the graph is the way from a dot to the rings below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ..hw.isa import Unit
from .gir import Graph, Level, Node, Operation

ROW, INDENT, TEXT_WIDTH, LANE, MARGIN = 18, 14, 520, 12, 16
"""Sizes in pixels: a line of text, a nested box, all text, a buffer's line, and the border."""

COLOURS = {
    Unit.LOAD: "#1f77b4",
    Unit.ARRAY: "#d62728",
    Unit.VECTOR: "#2ca02c",
    Unit.STORE: "#9467bd",
    Unit.BUTTERFLY: "#ff7f0e",
}

LEVEL_COLOURS = {Level.DRAM: "#777777", Level.SCRATCHPAD: "#17becf"}

MOST_ROWS = 4000
"""Nodes of a picture; the others of a graph are left out, and a line says how many."""


@dataclass(frozen=True)
class _Row:
    """A line of the picture."""

    text: str
    depth: int
    operation: Operation | None = None


def to_svg(graph: Graph) -> str:
    """Return a picture of `graph`, with or without parallel nodes, as an SVG file."""
    rows: list[_Row] = []
    boxes: list[tuple[int, int, int]] = []
    _walk(graph.body, 0, rows, boxes)
    left_out = max(0, len(rows) - MOST_ROWS)
    rows = rows[:MOST_ROWS]
    lines, lanes = _lifelines(graph, rows)
    width = 2 * MARGIN + TEXT_WIDTH + LANE * (lanes + 1)
    height = 2 * MARGIN + ROW * (len(rows) + 1 + bool(left_out))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="monospace" font-size="11">',
        f"<title>{escape(graph.name)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_box(*box) for box in boxes if box[0] < len(rows)),
        *(_line(number, row) for number, row in enumerate(rows)),
        *lines,
    ]
    if left_out:
        parts.append(f'<text x="{MARGIN}" y="{_middle(len(rows))}">{left_out} more nodes</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _walk(
    nodes: Sequence[Node], depth: int, rows: list[_Row], boxes: list[tuple[int, int, int]]
) -> None:
    for node in nodes:
        if isinstance(node, Operation):
            rows.append(_Row(f"{node.opcode.name} {node.product}", depth, node))
            continue
        first = len(rows)
        text = f"parallel {node.loop} {node.start}..{node.stop} step {node.step}"
        rows.append(_Row(text, depth))
        _walk(node.body, depth + 1, rows, boxes)
        boxes.append((first, len(rows), depth))


def _middle(number: int) -> float:
    return MARGIN + ROW * (number + 0.7)


def _box(first: int, end: int, depth: int) -> str:
    x = MARGIN + INDENT * depth
    return (
        f'<rect x="{x - 4}" y="{MARGIN + ROW * first}" width="{TEXT_WIDTH - INDENT * depth}" '
        f'height="{ROW * (end - first) - 2}" rx="4" fill="black" fill-opacity="0.04" '
        'stroke="#bbbbbb"/>'
    )


def _line(number: int, row: _Row) -> str:
    operation = row.operation
    colour = COLOURS[operation.unit] if operation else "black"
    weight = "" if operation else ' font-weight="bold"'
    x = MARGIN + INDENT * row.depth
    detail = f"<title>{escape(_detail(operation))}</title>" if operation else ""
    text = f'<text x="{x}" y="{_middle(number)}" fill="{colour}"{weight}>{escape(row.text)}'
    return f"{text}{detail}</text>"


def _detail(operation: Operation) -> str:
    reads, writes = (
        ", ".join(f"{role} = {item}" for role, item in slices.items())
        for slices in (operation.reads, operation.writes)
    )
    return f"{reads} -> {writes}"


def _lifelines(graph: Graph, rows: Sequence[_Row]) -> tuple[list[str], int]:
    """Return the lines of all buffers, and how many stand side by side."""
    uses: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.operation is None:
            continue
        for is_write, slices in ((False, row.operation.reads), (True, row.operation.writes)):
            for item in slices.values():
                uses[item.buffer].append((number, is_write))
    levels = {buffer.name: buffer.level for buffer in graph.buffers}
    ends: list[int] = []
    parts: list[str] = []
    for name, points in sorted(uses.items(), key=lambda entry: entry[1][0][0]):
        first, last = points[0][0], points[-1][0]
        lane = next((index for index, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        colour = LEVEL_COLOURS[levels.get(name, Level.SCRATCHPAD)]
        parts.append(_lifeline(name, points, lane, colour))
    return parts, len(ends)


def _lifeline(name: str, points: Sequence[tuple[int, bool]], lane: int, colour: str) -> str:
    x = MARGIN + TEXT_WIDTH + LANE * (lane + 1)
    first, last = (_middle(points[place][0]) - 4 for place in (0, -1))
    dots = "".join(
        f'<circle cx="{x}" cy="{_middle(number) - 4}" r="3" stroke="{colour}" '
        f'fill="{colour if is_write else "white"}"/>'
        for number, is_write in points
    )
    return (
        f'<g><title>{escape(name)}</title><line x1="{x}" y1="{first}" x2="{x}" y2="{last}" '
        f'stroke="{colour}"/>{dots}</g>'
    )
