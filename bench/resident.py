"""Programs that multiply one product with resident operands, so that only the array is timed.

One operand, the weights unless operands are swapped, is cut in parts; as many as fit are loaded,
then all of their products follow each other. A program ends where no further part fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..hw.config import WORD_BYTES, AcceleratorConfig
from ..hw.isa import Opcode
from ..sw.gemm.compressed import Compressed, compress
from ..sw.gemm.flows import INSTRUCTION_FLOW, is_stationary
from ..sw.gemm.problem import Gemm, Role
from ..sw.gir import scratchpad_pitch
from ..sw.instruction import Instruction, Value
from ..sw.program import Program
from ..sw.scale import ScaleVector
from ..verif.program_builder import Block, Builder

FRACTION = -6
"""Keeps random results in int16."""

RESULT_SHARE = 4
"""The result of a part may take the scratchpad divided by this."""

PART_SHARE = 3
"""So may a part itself."""

OTHER_SHARE = 2
"""So may what is loaded of the operand that is not cut in parts."""


@dataclass(frozen=True)
class _Part:
    """Rows of an operand, and what is loaded for them."""

    rows: int
    values: NDArray

    @property
    def words(self) -> int:
        """Words of the scratchpad, at most."""
        return self.values.nbytes // WORD_BYTES + 2 * len(self.values) + 1


class Resident:
    """The programs of one product.

    Parameters
    ----------
    gemm : Gemm
    config : AcceleratorConfig

    Raises
    ------
    ValueError
        If a part of as many rows as the array does not fit the scratchpad.
    """

    def __init__(self, gemm: Gemm, config: AcceleratorConfig) -> None:
        self.gemm, self.config = gemm, config
        self._cut: Role = gemm.compressed_role or gemm.weights_role
        self._other: Role = "b" if self._cut == "a" else "a"
        role, self._compressed = gemm.compressed_role, None
        if role is not None:
            self._compressed = compress(gemm.flow, gemm.operand(role), config.array)

    def programs(self) -> Iterator[tuple[Program, Mapping[str, NDArray]]]:
        """Yield programs with their inputs; each stores the result of its last product."""
        pitch = scratchpad_pitch(self.gemm.k, "int8", self.config.lanes)
        limit = self._limit(self._other, self.config.scratchpad_words // (OTHER_SHARE * pitch))
        for other in self._parts(self._other, limit):
            results = self.config.scratchpad_words // RESULT_SHARE
            shorts = WORD_BYTES // 2
            rows = results * shorts // (other.rows + 4 * shorts)
            rows = min(rows, self.config.scratchpad_words // (PART_SHARE * self._row_words(pitch)))
            limit = self._limit(self._cut, rows)
            yield from self._groups(other, self._parts(self._cut, limit))

    def _row_words(self, pitch: int) -> int:
        """Return about how many words a row of the operand that is cut takes."""
        if self._compressed is None:
            return pitch
        rows = len(self.gemm.operand(self._cut))
        return -(-self._compressed.words(0, rows) // rows)

    def _limit(self, role: Role, rows: int) -> int:
        """Return the rows of a part: whole tiles, at most `rows` and what the flow takes."""
        array = self.config.array
        if role == "a" and is_stationary(self.gemm.flow):
            rows = min(rows, array.partial_rows)
        unit = max(array.rows, array.columns)
        if rows < unit:
            raise ValueError(f"a part of {unit} rows does not fit the scratchpad")
        return rows // unit * unit

    def _parts(self, role: Role, limit: int) -> list[_Part]:
        matrix = self.gemm.operand(role)
        sizes = [(first, min(limit, len(matrix) - first)) for first in range(0, len(matrix), limit)]
        if role != self.gemm.compressed_role:
            return [_Part(rows, matrix[first : first + rows]) for first, rows in sizes]
        packed: Compressed | None = self._compressed
        assert packed is not None
        return [_Part(rows, packed.pack(first, rows)[np.newaxis]) for first, rows in sizes]

    def _groups(
        self, other: _Part, parts: list[_Part]
    ) -> Iterator[tuple[Program, Mapping[str, NDArray]]]:
        """Yield a program for as many parts as fit beside `other`, and so on."""
        while parts:
            builder, blocks = self._begin(other, parts[0])
            count = 0
            while count < len(parts):
                if builder.scratchpad_words + parts[count].words > self.config.scratchpad_words:
                    break
                blocks[f"part{count}"] = builder.load(f"part{count}", parts[count].values)
                count += 1
            if not count:
                raise ValueError(f"a part of {parts[0].rows} rows does not fit the scratchpad")
            code = [
                self._multiply(other.rows, part.rows, blocks[f"part{number}"], blocks)
                for number, part in enumerate(parts[:count])
            ]
            builder.emit(Opcode.MATMUL, **code[0].values)
            builder.code += code[1:]
            builder.store("y", blocks["y"])
            yield builder.program(), builder.inputs
            parts = parts[count:]

    def _begin(self, other: _Part, part: _Part) -> tuple[Builder, dict[str, Block]]:
        """Place what all products share: the other operand, scales of one, and a result."""
        builder = Builder(self.config)
        ones = ScaleVector.from_float(np.ones(max(other.rows, part.rows)))
        sides = (part.rows, other.rows)
        a_rows, b_rows = sides if self._cut == "a" else sides[::-1]
        shape = (b_rows, a_rows) if self.gemm.y_transposed else (a_rows, b_rows)
        return builder, {
            "other": builder.load("other", other.values),
            "scales": builder.load_scales("scales", ones),
            "y": builder.block(*shape, "int16"),
        }

    def _multiply(
        self, others: int, rows: int, part: Block, blocks: Mapping[str, Block]
    ) -> Instruction:
        gemm, scales, y = self.gemm, blocks["scales"], blocks["y"]
        operands = {self._cut: part, self._other: blocks["other"]}
        sides = {self._cut: rows, self._other: others}
        values: dict[str, Value] = {
            "flow": INSTRUCTION_FLOW[gemm.flow],
            "m": sides["a"],
            "n": sides["b"],
            "k": gemm.k,
            "fraction": FRACTION,
            "y_transposed": int(gemm.y_transposed),
            "row_scale_address": scales.address,
            "column_scale_address": scales.address,
            "y_address": y.address,
            "y_pitch": y.pitch,
        }
        for role, block in operands.items():
            values |= {f"{role}_address": block.address, f"{role}_pitch": block.pitch}
        if gemm.compressed_role is not None:
            values |= {"compressed_words": part.row_words, f"{self._cut}_pitch": 0}
        return Instruction(Opcode.MATMUL, values)
