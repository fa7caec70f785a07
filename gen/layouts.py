"""Bits of the layouts in `ageha.hw.isa`, flattened for headers and documentation."""

import enum
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

UNUSED = ("reserved", "padding")
"""Names of fields that are written as zero."""


@dataclass(frozen=True)
class Bits:
    """A field of a layout.

    Parameters
    ----------
    name : str
        Path of the field joined by ``_``, without the leading ``header``.
    low, width : int
        Place of the lowest bit in the word, and number of bits.
    signed : bool
        Whether the value is in two's complement.
    choices : type or None
        The enumeration of the values, if the field has one.
    """

    name: str
    low: int
    width: int
    signed: bool
    choices: type[enum.Enum] | None

    @property
    def high(self) -> int:
        """Place of the highest bit."""
        return self.low + self.width - 1

    @property
    def used(self) -> bool:
        """Whether the field means anything."""
        return self.name.rpartition("_")[2] not in UNUSED


def bits_of(layout: Any) -> Iterator[Bits]:
    """Yield the fields of a `data.Struct` in the order of their bits, nested ones flattened."""
    yield from _walk(data.Layout.cast(layout), 0, ())


def _walk(layout: data.Layout, base: int, path: tuple[str, ...]) -> Iterator[Bits]:
    for name, field in layout:
        inner = (*path, str(name))
        low = base + field.offset
        if isinstance(field.shape, type) and issubclass(field.shape, data.Struct):
            yield from _walk(data.Layout.cast(field.shape), low, inner)
            continue
        shape = Shape.cast(field.shape)
        choices = field.shape
        if not (isinstance(choices, type) and issubclass(choices, enum.Enum)):
            choices = None
        if inner[0] == "header" and len(inner) > 1:
            inner = inner[1:]
        yield Bits("_".join(inner), low, shape.width, shape.signed, choices)


def description(item: object) -> str:
    """Return the docstring of `item`, unindented."""
    return inspect.cleandoc(inspect.getdoc(item) or "")
