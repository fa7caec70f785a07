"""Timeline of the units as SVG: one band a unit, one bar an instruction."""

from collections.abc import Sequence
from html import escape

from ...bench.measure import UNIT_NAMES
from ...bench.operators import work_spans
from ...bench.record import Event

BAR_HEIGHT = 24
BAND_HEIGHT = 36
AXIS_HEIGHT = 26
TICKS = 10
THIN = 400
"""Bars of less than this part of all cycles have no border, which would hide them."""


def tick_step(cycles: int) -> int:
    """Return the least 1, 2 or 5 times a power of ten that gives at most `TICKS` ticks."""
    step = 1
    while cycles > TICKS * step:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step


def _axis(cycles: int, height: int) -> list[str]:
    parts = []
    step = tick_step(cycles)
    for cycle in range(0, cycles + 1, step):
        x = 100 * cycle / cycles
        anchor = "start" if cycle == 0 else "end" if x > 97 else "middle"
        parts.append(
            f'<line class="tick" x1="{x:.3f}%" x2="{x:.3f}%" y1="{AXIS_HEIGHT}" y2="100%"/>'
        )
        parts.append(
            f'<text class="axis" x="{x:.3f}%" y="14" text-anchor="{anchor}">{cycle:,}</text>'
        )
    return parts


def _bar(event: Event, span: tuple[int, int], cycles: int, y: int) -> str:
    start, end = span
    text = (
        f"{event.index}: {event.opcode} {event.label}\n"
        f"taken at cycle {event.accept:,}, done at {event.done:,}"
    )
    thin = " thin" if end - start < cycles / THIN else ""
    return (
        f'<rect class="op {event.opcode.lower()}{thin}" data-index="{event.index}" '
        f'x="{100 * start / cycles:.4f}%" y="{y}" width="{100 * (end - start) / cycles:.4f}%" '
        f'height="{BAR_HEIGHT}"><title>{escape(text)}</title></rect>'
    )


def render_timeline(events: Sequence[Event], cycles: int) -> tuple[str, str]:
    """Return the names of the units as HTML and the timeline as SVG, both of the same height."""
    cycles = max(1, cycles)
    units = [unit for unit in UNIT_NAMES if any(event.unit == unit for event in events)]
    height = AXIS_HEIGHT + BAND_HEIGHT * len(units)
    labels = [f'<div style="height:{AXIS_HEIGHT}px"></div>']
    svg = [
        f'<svg class="timeline" height="{height}" role="img" aria-label="Timeline of the units">'
    ]
    svg += _axis(cycles, height)
    for place, unit in enumerate(units):
        mine = sorted((event for event in events if event.unit == unit), key=lambda e: e.done)
        y = AXIS_HEIGHT + place * BAND_HEIGHT + (BAND_HEIGHT - BAR_HEIGHT) // 2
        spans = work_spans(mine)
        svg += [_bar(event, span, cycles, y) for event, span in zip(mine, spans, strict=True)]
        labels.append(f'<div class="band" style="height:{BAND_HEIGHT}px">{escape(unit)}</div>')
    return "".join(labels), "".join([*svg, "</svg>"])
