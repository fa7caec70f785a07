"""How a product is cut so that everything fits, and which cut should be fastest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ..errors import CompileError
from ..gir import scratchpad_pitch, words
from ..unit_timing import MEMORY_LATENCY
from .compressed import Compressed
from .cost import array_cycles, start_cycles
from .flows import SPARSE_FLOWS, is_stationary
from .problem import Gemm, Role

MOST_PARTS = 12
"""Up to so many tiles of an operand every number is tried, beyond that powers of two."""

LEEWAY = 0.005
"""Share of the fewest cycles by which a tiling may be slower that loads fewer bytes."""

STORE_HINDRANCE = 2
"""So many beats of a store cost a load that runs beside it one."""

NO_STEPS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Tiling:
    """A cut of the instruction's operands.

    Parameters
    ----------
    a, b : int
        Rows of a tile of each.
    outer : str
        The operand whose tiles are used one after the other, each with all tiles of the other.
    keep : bool
        Whether the other operand stays in the scratchpad once it is loaded.
    depth : int
        Copies of tiles: 2 loads the next while one is used, 1 lets the array work alone.
    """

    a: int
    b: int
    outer: Role
    keep: bool
    depth: int

    @property
    def inner(self) -> Role:
        """The other operand."""
        return "b" if self.outer == "a" else "a"

    def rows(self, role: Role) -> int:
        """Return the rows of a tile of operand `role`."""
        return self.a if role == "a" else self.b


@dataclass(frozen=True)
class Candidate:
    """A tiling, and the cycles that it should take."""

    cycles: int
    tiling: Tiling


class Planner:
    """Tilings of one product on one machine.

    Parameters
    ----------
    gemm : Gemm
    compressed : Compressed or None
        Its compressed operand.
    config : AcceleratorConfig

    Raises
    ------
    CompileError
        If the machine does not have the flow, or K is too long for it.
    """

    def __init__(
        self, gemm: Gemm, compressed: Compressed | None, config: AcceleratorConfig
    ) -> None:
        self.gemm, self.compressed, self.config = gemm, compressed, config
        self.total = {role: len(gemm.operand(role)) for role in ("a", "b")}

    def candidates(self, depths: tuple[int, ...] = (2, 1)) -> list[Candidate]:
        """Return the tilings that fit, best first.

        Of those that are about as fast as the fastest, the one that loads the fewest bytes is the
        best: energy is mostly DRAM.

        Raises
        ------
        CompileError
            If none does, with the bytes of the smallest.
        """
        found: list[Candidate] = []
        smallest = 0
        roles: tuple[Role, Role] = ("a", "b")
        choices = product(self._sizes("a"), self._sizes("b"), roles, (True, False), depths)
        for choice in choices:
            tiling = Tiling(*choice)
            needed = self.bytes_needed(tiling)
            smallest = min(smallest or needed, needed)
            if needed <= self.config.scratchpad.bytes:
                found.append(Candidate(self.cycles(tiling), tiling))
        if not found:
            raise CompileError(
                f"{self.gemm.flow}: k = {self.gemm.k} needs {smallest} bytes of scratchpad; "
                f"the limit is {self.config.scratchpad.bytes}"
            )
        near = (1 + LEEWAY) * min(item.cycles for item in found)

        def rank(item: Candidate) -> tuple[int, int, int]:
            loaded = self.loaded_bytes(item.tiling) if item.cycles <= near else self._most_bytes
            return loaded, item.cycles, -item.tiling.a * item.tiling.b

        return sorted(found, key=rank)

    def _sizes(self, role: Role) -> list[int]:
        """Return rows of a tile: all of them, equal parts, and below one tile of the array."""
        total, array = self.total[role], self.config.array
        limit = total
        if role == "a" and is_stationary(self.gemm.flow):
            limit = min(total, array.partial_rows)
        side = array.rows if role == "a" else array.columns
        step = max(side, self._alignment(role))
        sizes = {limit} if limit == total else set()
        parts = 1
        while step < total:
            size = -(-total // (parts * step)) * step
            if size <= limit:
                sizes.add(size)
            if size == step:
                break
            parts = parts + 1 if parts < MOST_PARTS else 2 * parts
        if role != self.gemm.compressed_role or role == "a":
            size, unit = min(step, limit), self._alignment(role)
            while size >= unit:
                sizes.add(size if size == total else size // unit * unit)
                size //= 2
        return sorted(sizes)

    def _alignment(self, role: Role) -> int:
        """Return what a tile's first row is a multiple of: Y's columns begin at beats of DRAM."""
        is_column = (role == "a") == self.gemm.y_transposed
        return max(4, self.config.axi_bytes // 2) if is_column else 1

    def bytes_needed(self, tiling: Tiling) -> int:
        """Return the scratchpad bytes of `tiling`, at most."""
        used = 0
        for role in ("a", "b"):
            tiles = -(-self.total[role] // tiling.rows(role))
            kept = role == tiling.inner and tiling.keep
            copies = tiles if kept else min(tiles, tiling.depth)
            tile = self.tile_words(role, tiling.rows(role)) + tiling.rows(role)
            used += copies * (tile + 2 * self.config.lanes)
        outputs = -(-self.total["a"] // tiling.a) * -(-self.total["b"] // tiling.b)
        copies = min(outputs, tiling.depth)
        return WORD_BYTES * (used + copies * (self._result_words(tiling) + self.config.lanes))

    def tile_words(self, role: Role, rows: int) -> int:
        """Return the words of the largest tile of `rows` rows of an operand."""
        if role != self.gemm.compressed_role:
            return rows * scratchpad_pitch(self.gemm.k, "int8", self.config.lanes)
        assert self.compressed is not None
        total = self.total[role]
        return max(
            self.compressed.words(first, min(rows, total - first))
            for first in range(0, total, rows)
        )

    def _result_words(self, tiling: Tiling) -> int:
        if self.gemm.y_transposed:
            return tiling.b * scratchpad_pitch(tiling.a, "int16", self.config.lanes)
        return tiling.a * words(tiling.b, "int16")

    def loaded_bytes(self, tiling: Tiling) -> int:
        """Return the bytes of operands that are loaded, those that are loaded again included."""
        outer_tiles = -(-self.total[tiling.outer] // tiling.rows(tiling.outer))
        again = 1 if tiling.keep else outer_tiles
        return self._bytes(tiling.outer) + again * self._bytes(tiling.inner)

    @property
    def _most_bytes(self) -> int:
        """More than any tiling loads."""
        return 1 + (self._bytes("a") + self._bytes("b")) * max(self.total.values())

    def cycles(self, tiling: Tiling) -> int:
        """Return about how many cycles the whole program takes."""
        loaded = self.loaded_bytes(tiling)
        first = sum(
            self._bytes(role) * tiling.rows(role) // self.total[role] for role in ("a", "b")
        )
        beat = self.config.axi_bytes
        load, store = loaded // beat, 2 * self.gemm.m * self.gemm.n // beat
        last = store * tiling.a * tiling.b // (self.total["a"] * self.total["b"])
        array = self._array(tiling)
        ends = first // beat + last + 2 * MEMORY_LATENCY
        if tiling.depth == 1:
            return array + load + store + 2 * MEMORY_LATENCY
        return max(array, load + store // STORE_HINDRANCE, store) + ends

    def _bytes(self, role: Role) -> int:
        if role == self.gemm.compressed_role:
            assert self.compressed is not None
            return self.compressed.size.total
        return self.total[role] * -(-self.gemm.k // WORD_BYTES) * WORD_BYTES

    def _array(self, tiling: Tiling) -> int:
        """Return about how many cycles all instructions take, pieces of equal share assumed."""
        flow, k, config = self.gemm.flow, self.gemm.k, self.config
        a_total, b_total = self.total["a"], self.total["b"]
        a_tiles, b_tiles = -(-a_total // tiling.a), -(-b_total // tiling.b)
        a_kinds, b_kinds = _kinds(a_total, tiling.a), _kinds(b_total, tiling.b)
        if self.compressed is None:
            return sum(
                count * times * self.instruction_cycles((0, a), (0, b))
                for (a, count), (b, times) in product(a_kinds, b_kinds)
            )
        packed = self.compressed
        if self.gemm.compressed_role == "a":
            share = -(-packed.steps(0, a_total) // a_tiles)
            size, rows = packed.words(0, a_total) // a_tiles, -(-a_total // a_tiles)
            return a_tiles * sum(
                times * array_cycles(flow, rows, b, k, config, share, size) for b, times in b_kinds
            )
        steps, size = packed.steps(0, b_total), packed.words(0, b_total)
        again = (b_tiles - 1) * start_cycles(flow, config)
        return sum(
            count * (again + array_cycles(flow, a, b_total, k, config, steps, size))
            for a, count in a_kinds
        )

    def instruction_cycles(self, a: tuple[int, int], b: tuple[int, int]) -> int:
        """Return the cycles of the product of two tiles, each its first row and its rows."""
        gemm, steps, compressed_words = self.gemm, NO_STEPS, 0
        if gemm.flow in SPARSE_FLOWS:
            assert self.compressed is not None
            place = a if gemm.compressed_role == "a" else b
            steps, compressed_words = self.compressed.steps(*place), self.compressed.words(*place)
        return array_cycles(gemm.flow, a[1], b[1], gemm.k, self.config, steps, compressed_words)


def _kinds(total: int, rows: int) -> list[tuple[int, int]]:
    """Return rows and number of each kind of tile: the full ones, and what is left."""
    full, rest = divmod(total, rows)
    return [(size, count) for size, count in ((rows, full), (rest, 1)) if size and count]
