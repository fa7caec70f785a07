"""Cost and quality of sparse models as SVG: the front that was searched, and what was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .chart import Chart, dot, legend, line, path, text

WIDTH, HEIGHT = 1000, 400
TOP, BOTTOM = 40, 330
LEFT, RIGHT = (70, 480), (570, 980)
"""First and last x of the two plots."""

COLOURS = ("#c22f2f", "#e0a100", "#2f6fc2", "#2f9e5b")
TICKS = 5
WORST = 0.5
"""Spearman correlations below are drawn here."""


@dataclass(frozen=True)
class Mark:
    """A model that was measured.

    Parameters
    ----------
    method : str
    share : float
        Cost over dense.
    cosine, spearman : float
    """

    method: str
    share: float
    cosine: float
    spearman: float


def front_chart(
    front: Sequence[tuple[float, float]], marks: Sequence[Mark], cost: str = "multiply-adds"
) -> Chart:
    """Return the picture of a front, of share and expected loss, with what was measured.

    `cost` says what shares are of.

    The loss is 1 less the mean cosine, on a logarithmic axis; on the right are Spearman
    correlations.
    """
    losses = [(share, loss) for share, loss in front if loss > 0]
    measured = [(mark.share, max(1 - mark.cosine, 1e-6)) for mark in marks]
    shares = [share for share, _ in (*front, *measured)]
    across = min(shares, default=0.0), max(1.0, *shares)
    powers = [math.log10(loss) for _, loss in (*losses, *measured)] or [-3.0]
    low, high = math.floor(min(powers)), max(math.floor(min(powers)) + 1, math.ceil(max(powers)))
    worst = max(WORST, min([0.9, *(mark.spearman for mark in marks)]))
    left = _Plot(LEFT, across, (low, high), cost)
    right = _Plot(RIGHT, across, (math.floor(worst * 20) / 20, 1.0), cost)
    body = [
        *left.axes([(power, f"{10.0**power:g}") for power in range(low, high + 1)]),
        *right.axes(
            [(value, f"{value:.2f}") for value in _steps(math.floor(worst * 20) / 20, 1.0)]
        ),
        text(LEFT[0], TOP - 10, "1 - mean cosine; line: what the search expects"),
        text(RIGHT[0], TOP - 10, "Spearman correlation"),
        path(left.place(share, math.log10(loss)) for share, loss in losses),
    ]
    methods = list(dict.fromkeys(mark.method for mark in marks))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(methods)}
    for name, colour in colours.items():
        mine = sorted((mark for mark in marks if mark.method == name), key=lambda it: it.share)
        body.append(path((right.place(it.share, it.spearman) for it in mine), colour))
        for it in mine:
            hint = f"{name}: {it.share:.3f}, cosine {it.cosine:.4f}, Spearman {it.spearman:.4f}"
            body.append(
                dot(*left.place(it.share, math.log10(max(1 - it.cosine, 1e-6))), 4, colour, hint)
            )
            body.append(dot(*right.place(it.share, it.spearman), 4, colour, hint))
    body += legend(LEFT[0], HEIGHT - 12, ((colour, name) for name, colour in colours.items()), 235)
    title = f"Cost ({cost}) and quality of sparse models"
    return Chart(WIDTH, HEIGHT, title, tuple(body))


def _steps(first: float, last: float) -> list[float]:
    return [first + (last - first) * step / TICKS for step in range(TICKS + 1)]


class _Plot:
    """A frame from `sides` with its two ranges, from the least to the greatest value."""

    def __init__(
        self,
        sides: tuple[int, int],
        across: tuple[float, float],
        up: tuple[float, float],
        cost: str,
    ) -> None:
        self._sides, self._across, self._up = sides, across, up
        self._cost = cost

    def place(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (first, last), (low, high) = self._sides, self._across, self._up
        share = (x - first) / max(last - first, 1e-9)
        height = (max(y, low) - low) / max(high - low, 1e-9)
        return left + (right - left) * share, BOTTOM - (BOTTOM - TOP) * height

    def axes(self, ticks: Sequence[tuple[float, str]]) -> list[str]:
        left, right = self._sides
        parts = [text((left + right) / 2, BOTTOM + 38, f"{self._cost} over dense", "middle")]
        for value in _steps(*self._across):
            x, _ = self.place(value, self._up[0])
            parts += [line(x, TOP, x, BOTTOM, 0.12), text(x, BOTTOM + 18, f"{value:.2f}", "middle")]
        for value, name in ticks:
            _, y = self.place(self._across[0], value)
            parts += [line(left, y, right, y, 0.12), text(left - 6, y + 4, name, "end")]
        return parts
