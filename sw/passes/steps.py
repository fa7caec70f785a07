"""Sizes of blocks to try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...hw.config import AcceleratorConfig

TILES = 8
"""Most tiles of rows in a block."""

EVEN_BLOCKS = 3
"""Even divisions of a ragged number of tokens that are tried as blocks."""


def divisors(size: int, multiple: int) -> Iterator[int]:
    """Yield the divisors of `size` that are multiples of `multiple`, and `size` itself."""
    yield from (step for step in range(multiple, size, multiple) if size % step == 0)
    yield size


def nearest(values: Iterable[int], first: int, count: int) -> list[int]:
    """Return the `count` values nearest to `first`, by their distance."""
    return sorted(values, key=lambda value: (abs(value - first), value))[:count]


def streams(length: int, config: AcceleratorConfig) -> bool:
    """Return whether `length` rows are no whole tiles, and can stream past stationary weights."""
    return bool(config.array.partial_rows and length % config.array.rows)


def even_blocks(length: int, tiles: int, config: AcceleratorConfig) -> list[int]:
    """Return rows of a block that divide `length` evenly, those of about `tiles` tiles first."""
    rows = config.array.rows
    blocks = range(1, max(length // rows, 1) + 1)
    even = {-(-length // number) for number in blocks}
    return nearest((size for size in even if size <= TILES * rows), tiles * rows, EVEN_BLOCKS)


def block_rows(length: int, tiles: int, config: AcceleratorConfig) -> list[int]:
    """Return rows of a block to try, those of about `tiles` tiles first.

    Whole tiles; even divisions of a ragged length that can stream besides.
    """
    rows = config.array.rows
    sizes = [tiles, 2 * tiles, *sorted({1, 2, TILES} - {tiles, 2 * tiles}, reverse=True)]
    whole = [size * rows for size in sizes]
    if not streams(length, config):
        return whole
    return list(dict.fromkeys([*even_blocks(length, tiles, config), whole[0], rows]))
