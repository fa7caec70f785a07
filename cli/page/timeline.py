"""Timeline of the units as SVG: one band a unit, one bar an instruction."""

from collections.abc import Sequence
from html import escape

from ...bench.record import Event

LANE_HEIGHT = 18
LANE_GAP = 2
BAND_GAP = 14
AXIS_HEIGHT = 22
TICKS = 10


def assign_lanes(events: Sequence[Event]) -> list[int]:
    """Return a lane for each event, in order of time, so that none in a lane overlap."""
    free_from: list[int] = []
    lanes = []
    for event in events:
        fits = (lane for lane, cycle in enumerate(free_from) if cycle <= event.accept)
        lane = next(fits, len(free_from))
        free_from[lane : lane + 1] = [event.done]
        lanes.append(lane)
    return lanes


def _tick_step(cycles: int) -> int:
    """Return the least 1, 2 or 5 times a power of ten that gives at most `TICKS` ticks."""
    step = 1
    while cycles > TICKS * step:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step


def _axis(cycles: int, height: int) -> list[str]:
    parts = []
    step = _tick_step(cycles)
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


def _bar(event: Event, cycles: int, y: int) -> str:
    x = 100 * event.accept / cycles
    width = 100 * (event.done - event.accept) / cycles
    text = (
        f"{event.index}: {event.opcode} {event.label}\n"
        f"cycles {event.accept:,} to {event.done:,} ({event.done - event.accept:,})"
    )
    return (
        f'<rect class="op {event.opcode.lower()}" data-index="{event.index}" x="{x:.4f}%" y="{y}" '
        f'width="{width:.4f}%" height="{LANE_HEIGHT}"><title>{escape(text)}</title></rect>'
    )


def render_timeline(events: Sequence[Event], cycles: int) -> tuple[str, str]:
    """Return the band labels as HTML and the timeline as SVG, both of the same height."""
    cycles = max(1, cycles)
    units = list(dict.fromkeys(event.unit for event in events))
    labels = [f'<div style="height:{AXIS_HEIGHT + BAND_GAP // 2}px"></div>']
    bars = []
    y = AXIS_HEIGHT + BAND_GAP // 2
    for unit in units:
        mine = sorted((event for event in events if event.unit == unit), key=lambda e: e.accept)
        lanes = assign_lanes(mine)
        count = max(lanes) + 1
        pitch = LANE_HEIGHT + LANE_GAP
        bars += [
            _bar(event, cycles, y + lane * pitch) for event, lane in zip(mine, lanes, strict=True)
        ]
        height = count * pitch + BAND_GAP
        labels.append(f'<div class="band" style="height:{height}px">{escape(unit)}</div>')
        y += height
    svg = [f'<svg class="timeline" height="{y}" role="img" aria-label="Timeline of the units">']
    svg += [*_axis(cycles, y), *bars, "</svg>"]
    return "".join(labels), "".join(svg)
