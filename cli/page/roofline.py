"""The roofline as SVG: multiply-adds a cycle over multiply-adds a byte of DRAM traffic."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...bench.record import Case
from .chart import Chart, dot, line, path, text

WIDTH, HEIGHT = 1000, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 640, 20, 370
CLOSE = 16
"""Points nearer than that share a label."""

WHOLE, OPERATOR = "#c22f2f", "#e0a100"


@dataclass(frozen=True)
class Point:
    """What is drawn: an operator, or the whole program.

    Parameters
    ----------
    name : str
    work : float
        Multiply-adds.
    moved : int
        Bytes from and to DRAM.
    cycles : int
    """

    name: str
    work: float
    moved: int
    cycles: int

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte; infinite without traffic."""
        return self.work / self.moved if self.moved else math.inf

    @property
    def rate(self) -> float:
        """Multiply-adds a cycle."""
        return self.work / max(1, self.cycles)


def points(case: Case, elements: int) -> list[Point]:
    """Return the whole program, and each product of `case` added up over layers.

    A product's cycles are those of the array; its traffic is that of its own loads.
    """
    cycles = case.cycles or case.predicted_cycles
    moved = case.bytes_read + case.bytes_written
    found = [Point("whole program", case.ideal_cycles * elements, moved, cycles)]
    traffic: dict[str, int] = {}
    for item in case.operators:
        traffic[item.label] = traffic.get(item.label, 0) + item.moved
    sums: dict[str, Point] = {}
    for product in case.products:
        name = product.label.partition(".")[2] or product.label
        before = sums.get(name, Point(name, 0, 0, 0))
        sums[name] = Point(
            name,
            before.work + product.ideal_cycles * elements,
            before.moved + traffic.get(product.label, 0),
            before.cycles + product.cycles,
        )
    return found + list(sums.values())


def roofline_chart(case: Case, parameters: Mapping[str, Any]) -> Chart:
    """Return the picture for `case` on a machine with `parameters`."""
    peak = parameters["array"]["rows"] * parameters["array"]["columns"]
    bandwidth = parameters["axi"]["data_width"] // 8
    found = points(case, peak)
    scale = _Scale(found, peak, bandwidth)
    low, high = 2.0**scale.first, 2.0**scale.last
    body = scale.axes()
    roof = [(low, min(peak, bandwidth * low)), (peak / bandwidth, peak), (high, peak)]
    body.append(path((scale.x(x), scale.y(y)) for x, y in roof if x >= low))
    body.append(text(scale.x(high), TOP + 12, f"{peak} multiply-adds a cycle", "end"))
    body.append(text(RIGHT + 40, TOP + 12, "share of the roof"))
    groups: dict[tuple[int, int], list[int]] = {}
    for number, point in enumerate(found):
        share = f"{point.rate / min(peak, bandwidth * point.intensity):.1%}"
        x, y = scale.x(point.intensity), scale.y(point.rate)
        groups.setdefault((round(x / CLOSE), round(y / CLOSE)), []).append(number)
        hint = f"{point.name}: {point.rate:.1f} a cycle, {point.intensity:.1f} a byte, {share}"
        colour, radius = (OPERATOR, 4) if number else (WHOLE, 6)
        row = TOP + 34 + 20 * number
        without = "" if point.moved else ", no DRAM traffic"
        body += [
            dot(x, y, radius, colour, hint),
            dot(RIGHT + 46, row - 4, 4, colour, point.name),
            text(RIGHT + 58, row, f"{number}  {point.name}: {share}{without}"),
        ]
    body += [_numbers(found, group, scale) for group in groups.values()]
    return Chart(WIDTH, HEIGHT, "Roofline", tuple(body))


def _numbers(found: list[Point], group: list[int], scale: "_Scale") -> str:
    """Return the numbers of points that lie close together, below them."""
    first = found[group[0]]
    is_right = scale.x(first.intensity) > RIGHT - 20
    x, y = scale.x(first.intensity), scale.y(min(found[number].rate for number in group))
    return text(x, y + 20, " ".join(map(str, group)), "end" if is_right else "start")


class _Scale:
    """Both axes are logarithmic, in powers of two."""

    def __init__(self, found: list[Point], peak: int, bandwidth: int) -> None:
        ridge = math.log2(peak / bandwidth)
        known = [math.log2(p.intensity) for p in found if 0 < p.intensity < math.inf]
        self.first = math.floor(min([ridge - 2, *known]))
        self.last = math.ceil(max([ridge + 3, *known])) + 1
        rates = [math.log2(p.rate) for p in found if p.rate > 0]
        self.bottom = math.floor(min([math.log2(peak) - 4, *rates]))
        self.top = math.log2(peak) + 0.5

    def x(self, intensity: float) -> float:
        share = (math.log2(intensity) if intensity < math.inf else self.last) - self.first
        return LEFT + (RIGHT - LEFT) * share / (self.last - self.first)

    def y(self, rate: float) -> float:
        share = (math.log2(max(rate, 2.0**self.bottom)) - self.bottom) / (self.top - self.bottom)
        return BOTTOM - (BOTTOM - TOP) * share

    def axes(self) -> list[str]:
        parts = [
            text((LEFT + RIGHT) / 2, HEIGHT - 12, "multiply-adds a byte of DRAM traffic", "middle"),
            text(LEFT, TOP - 6, "multiply-adds a cycle"),
        ]
        for power in range(self.first, self.last + 1):
            x = self.x(2.0**power)
            parts += [
                line(x, TOP, x, BOTTOM, 0.12),
                text(x, BOTTOM + 18, f"{2.0**power:g}", "middle"),
            ]
        for power in range(self.bottom, int(self.top) + 1):
            y = self.y(2.0**power)
            parts += [
                line(LEFT, y, RIGHT, y, 0.12),
                text(LEFT - 6, y + 4, f"{2.0**power:g}", "end"),
            ]
        return parts
