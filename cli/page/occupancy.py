"""The scratchpad over time as SVG: where each buffer lies and how many bytes are in use."""

from ...bench.operators import occupancy
from ...bench.record import Buffer, Case
from .chart import Chart, legend, line, path, rectangle, text
from .timeline import tick_step

WIDTH, LEFT, RIGHT = 1000, 70, 990
MAP_TOP, MAP_BOTTOM = 40, 340
CURVE_TOP, CURVE_BOTTOM = 370, 470

WEIGHTS, ACTIVATIONS, RESIDUAL, PARAMETERS = "#3a7bd0", "#e0a100", "#5a9648", "#8b939d"
KINDS = (
    (WEIGHTS, "weights"),
    (ACTIVATIONS, "activations"),
    (RESIDUAL, "residual stream"),
    (PARAMETERS, "scales and parameters"),
)


def kind_colour(name: str) -> str:
    """Return the colour of the buffer `name`, by what it holds."""
    parts = name.split(".")
    if "weights" in parts:
        return WEIGHTS
    if "residual" in parts:
        return RESIDUAL
    return PARAMETERS if parts[-1] == "copy" or "scales" in parts else ACTIVATIONS


def occupancy_chart(case: Case, capacity: int) -> Chart:
    """Return the picture of the scratchpad of `capacity` bytes during `case`."""
    cycles = max(1, case.cycles, *(item.end for item in case.buffers))
    points = occupancy(case.buffers)
    peak = max((used for _, used in points), default=0)
    body = [
        *legend(LEFT, 14, KINDS),
        text(RIGHT, 14, f"at most {peak:,} of {capacity:,} bytes", "end"),
        text(LEFT, 33, "address"),
        text(LEFT, CURVE_TOP - 8, "bytes in use"),
    ]
    body += _axis(cycles, capacity)
    body += [_area(item, cycles, capacity) for item in case.buffers]
    body.append(_curve(points, cycles, capacity))
    return Chart(WIDTH, 505, "Scratchpad over time", tuple(body))


def _x(cycle: float, cycles: int) -> float:
    return LEFT + (RIGHT - LEFT) * cycle / cycles


def _y(value: float, capacity: int, top: float, bottom: float) -> float:
    return bottom - (bottom - top) * value / capacity


def _axis(cycles: int, capacity: int) -> list[str]:
    parts = []
    for top, bottom in ((MAP_TOP, MAP_BOTTOM), (CURVE_TOP, CURVE_BOTTOM)):
        for share in (0.0, 0.5, 1.0):
            y = _y(share, 1, top, bottom)
            parts += [
                line(LEFT, y, RIGHT, y),
                text(LEFT - 6, y + 4, f"{share * capacity:,.0f}", "end"),
            ]
    step = tick_step(cycles)
    for cycle in range(0, cycles + 1, step):
        x = _x(cycle, cycles)
        anchor = "end" if x > RIGHT - 30 else "middle"
        parts += [
            line(x, CURVE_BOTTOM, x, CURVE_BOTTOM + 5, 0.6),
            text(x, CURVE_BOTTOM + 20, f"{cycle:,}", anchor),
        ]
    parts.append(text((LEFT + RIGHT) / 2, CURVE_BOTTOM + 34, "cycles", "middle"))
    return parts


def _area(item: Buffer, cycles: int, capacity: int) -> str:
    left, right = _x(item.start, cycles), _x(item.end, cycles)
    top = _y(item.address + item.bytes, capacity, MAP_TOP, MAP_BOTTOM)
    height = _y(item.address, capacity, MAP_TOP, MAP_BOTTOM) - top
    hint = f"{item.name}: {item.bytes:,} bytes at {item.address:,}, {item.start:,} to {item.end:,}"
    width = max(0.2, right - left - 0.3)
    return rectangle(left, top, width, height, kind_colour(item.name), hint)


def _curve(points: list[tuple[int, int]], cycles: int, capacity: int) -> str:
    corners = []
    before = 0
    for cycle, used in points:
        x = _x(cycle, cycles)
        corners += [(x, _y(level, capacity, CURVE_TOP, CURVE_BOTTOM)) for level in (before, used)]
        before = used
    return path(corners)
