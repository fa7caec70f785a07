"""Lower a product to a straight graph: tiles, their loads, one MATMUL a pair, and its STORE."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ..gir import Buffer, Graph, Level, Operation, Slice, scratchpad_pitch, words
from ..passes.build import load, matmul, part, store
from ..passes.memory import INPUT_WINDOW, OUTPUT_WINDOW, WEIGHT_WINDOW, Memory
from .cost import START
from .flows import INSTRUCTION_FLOW
from .problem import Gemm, Role
from .tiles import Planner, Tiling


@dataclass(frozen=True)
class Lowered:
    """A graph and what its constant DRAM buffers hold, by name."""

    graph: Graph
    constants: dict[str, NDArray]


@dataclass(frozen=True)
class _Tile:
    """Some rows of an operand, in the scratchpad."""

    first: int
    rows: int
    values: Slice
    scales: Slice


def lower(gemm: Gemm, tiling: Tiling, planner: Planner, config: AcceleratorConfig) -> Lowered:
    """Return the graph of `gemm` cut as `tiling` says.

    Copies of a tile's buffer are numbered, and as many as its depth are in use at a time. The
    input is the DRAM buffer ``input``, unless the activations are compressed; the result is
    ``output``, int16 [m, n].

    Raises
    ------
    ValueError
        If a scale does not fit a scale word.
    """
    return _Lowering(gemm, tiling, planner, config).run()


class _Lowering:
    def __init__(
        self, gemm: Gemm, tiling: Tiling, planner: Planner, config: AcceleratorConfig
    ) -> None:
        self.gemm, self.tiling, self.planner, self.config = gemm, tiling, planner, config
        self.memory = Memory(config)
        self.constants: dict[str, NDArray] = {}
        self.body: list[Operation] = []
        self.copies: dict[str, int] = {}
        self.scales = {role: self._scales(role) for role in ("a", "b")}
        self.dense = {
            role: self._dense(role) for role in ("a", "b") if role != gemm.compressed_role
        }
        self.output = self.memory.dram("output", "int16", gemm.m, gemm.n, OUTPUT_WINDOW)

    def run(self) -> Lowered:
        outer, inner = self.tiling.outer, self.tiling.inner
        kept: dict[tuple[int, int], _Tile] = {}
        for outer_place in self._places(outer):
            loaded = self._load(outer, *outer_place)
            for place in self._places(inner):
                other = kept.get(place) or self._load(inner, *place)
                if self.tiling.keep:
                    kept[place] = other
                self._multiply(*((loaded, other) if outer == "a" else (other, loaded)))
        name = f"gemm {self.gemm.flow} {self.gemm.m}x{self.gemm.n}x{self.gemm.k}"
        return Lowered(Graph(name, tuple(self.memory.buffers), tuple(self.body)), self.constants)

    def _places(self, role: Role) -> list[tuple[int, int]]:
        """Return first row and rows of each tile."""
        total, step = self.planner.total[role], self.tiling.rows(role)
        return [(first, min(step, total - first)) for first in range(0, total, step)]

    def _constant(self, name: str, dtype: str, values: NDArray) -> Buffer:
        self.constants[name] = values
        rows, columns = values.shape
        return self.memory.dram(name, dtype, rows, columns, WEIGHT_WINDOW)

    def _scales(self, role: Role) -> Buffer:
        values = self.gemm.scales(role).pack()[np.newaxis]
        return self._constant(f"{self.gemm.name(role)}.scales", "scale", values)

    def _dense(self, role: Role) -> Buffer:
        name, values = self.gemm.name(role), self.gemm.operand(role)
        if name == "input":
            rows, columns = values.shape
            return self.memory.dram(name, "int8", rows, columns, INPUT_WINDOW)
        return self._constant(name, "int8", values)

    def _copy(
        self, name: str, dtype: str, rows: int, columns: int, pitch: int, depth: int
    ) -> Buffer:
        """Return the next copy of the buffer `name`, of which `depth` are in use at a time."""
        number = self.copies.get(name, 0)
        self.copies[name] = number + 1
        return self.memory.declare(
            Buffer(f"{name}.{number}", Level.SCRATCHPAD, dtype, rows, columns, pitch, depth)
        )

    def _load(self, role: Role, first: int, rows: int) -> _Tile:
        gemm, name = self.gemm, self.gemm.name(role)
        kept = role == self.tiling.inner and self.tiling.keep
        depth = len(self._places(role)) if kept else self.tiling.depth
        scales = self._copy(f"{role}.scales", "scale", 1, rows, rows, depth)
        source = part(self.scales[role], 0, first, 1, rows)
        if role == gemm.compressed_role:
            assert self.planner.compressed is not None
            packed = self.planner.compressed.pack(first, rows)[np.newaxis]
            dram = self._constant(f"{name}.packed{first}", "packed", packed)
            size = packed.shape[1]
            tile = self._copy(role, "packed", 1, size, size, depth)
            whole = part(dram)
        else:
            pitch = scratchpad_pitch(gemm.k, "int8", self.config.lanes)
            tile = self._copy(role, "int8", rows, gemm.k, pitch, depth)
            whole = part(self.dense[role], first, rows=rows)
        self.body += [load(whole, part(tile), name), load(source, part(scales), f"{name}.scales")]
        return _Tile(first, rows, part(tile), part(scales))

    def _multiply(self, a: _Tile, b: _Tile) -> None:
        gemm = self.gemm
        top, left, pitch = a, b, words(b.rows, "int16")
        if gemm.y_transposed:
            top, left = b, a
            pitch = scratchpad_pitch(a.rows, "int16", self.config.lanes)
        result = self._copy("y", "int16", top.rows, left.rows, pitch, self.tiling.depth)
        node = matmul(
            (a.values, a.scales), (b.values, b.scales), part(result), gemm.fraction, "gemm"
        )
        attributes = {
            **node.attributes,
            "flow": INSTRUCTION_FLOW[gemm.flow].value,
            "y_transposed": int(gemm.y_transposed),
        }
        work = self.planner.instruction_cycles((a.first, a.rows), (b.first, b.rows))
        self.body.append(replace(node, attributes=attributes, work=work - START))
        target = part(self.output, top.first, left.first, top.rows, left.rows)
        self.body.append(store(part(result), target, "output"))
