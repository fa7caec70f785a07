"""Plots as SVG: a frame, ticks and marks, without a library."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg" '


@dataclass(frozen=True)
class Chart:
    """A picture whose lines and text have the colour of the text around it.

    Parameters
    ----------
    width, height : int
        Of the view box, in its own units.
    title : str
        For those who do not see it.
    body : tuple of str
        Elements of SVG.
    """

    width: int
    height: int
    title: str
    body: tuple[str, ...]

    def inline(self) -> str:
        """Return the picture as a part of an HTML page."""
        return self._text("")

    def file(self) -> str:
        """Return the picture as a file of its own."""
        return self._text(NAMESPACE) + "\n"

    def _text(self, namespace: str) -> str:
        return (
            f'<svg {namespace}viewBox="0 0 {self.width} {self.height}" width="100%" role="img" '
            f'aria-label="{escape(self.title)}" fill="currentColor" '
            'font-family="system-ui, DejaVu Sans, sans-serif" font-size="12">'
            f"<title>{escape(self.title)}</title>{''.join(self.body)}</svg>"
        )


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    """Return a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, opacity: float = 0.25) -> str:
    """Return a thin line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}"/>'
    )


def path(points: Iterable[tuple[float, float]], colour: str = "currentColor") -> str:
    """Return a line through `points`."""
    joined = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def rectangle(x: float, y: float, width: float, height: float, colour: str, hint: str = "") -> str:
    """Return a filled rectangle with a `hint` for the pointer."""
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{colour}">{title}</rect>'
    )


def dot(x: float, y: float, radius: float, colour: str, hint: str) -> str:
    """Return a filled circle with a `hint` for the pointer."""
    return (
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius}" fill="{colour}">'
        f"<title>{escape(hint)}</title></circle>"
    )


def legend(x: float, y: float, entries: Iterable[tuple[str, str]], step: float = 150) -> list[str]:
    """Return a row of colours and what they stand for."""
    parts = []
    for place, (colour, name) in enumerate(entries):
        left = x + place * step
        parts += [rectangle(left, y - 9, 10, 10, colour), text(left + 15, y, name)]
    return parts
