"""Sections of the page on what the compiler foretold: operators, scratchpad, roofline."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ...bench.operators import by_name
from ...bench.record import Case, Operator
from .occupancy import occupancy_chart
from .roofline import roofline_chart

HEADS = ("operator", "unit", "instructions", "predicted", "measured", "", "bytes", "compulsory")


def operator_section(case: Case) -> str:
    """Return predicted and measured cycles and the traffic of each operator, over all layers."""
    if not case.operators:
        return ""
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    rows = "".join(_row(item) for item in by_name(case.operators))
    return (
        '<section><h2>Operators</h2><p class="soft">Cycles of work of each operator on each unit, '
        "added up over layers: what the cost model foretold and what the trace shows. A unit that "
        'waits for memory is at work.</p><div class="scroll"><table class="figures">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(item: Operator) -> str:
    cells = (
        escape(item.label),
        escape(item.unit),
        f"{item.instructions:,}",
        f"{item.predicted:,}",
        f"{item.measured:,}" if item.measured else "",
        f"{item.measured / item.predicted - 1:+.1%}" if item.measured else "",
        f"{item.moved:,}" if item.moved else "",
        f"{item.compulsory:,}" if item.moved else "",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def plot_sections(case: Case, parameters: Mapping[str, Any]) -> str:
    """Return the scratchpad over time and the roofline of a machine with `parameters`."""
    if not case.buffers:
        return ""
    capacity = parameters["scratchpad"]["bytes"]
    return (
        '<section><h2>Scratchpad</h2><p class="soft">Where each buffer lies while it is in use, '
        "and how many bytes are. Point at an area for its name.</p>"
        f"{occupancy_chart(case, capacity).inline()}</section>"
        '<section><h2>Roofline</h2><p class="soft">The roof is the array above and the memory on '
        "the left. A product's traffic is that of its own loads.</p>"
        f"{roofline_chart(case, parameters).inline()}</section>"
    )
