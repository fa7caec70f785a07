"""Buffers with the pitches that the machine wants."""

from __future__ import annotations

from ...hw.config import AcceleratorConfig
from ..gir import WORD, Buffer, Level, scratchpad_pitch, words

WEIGHT_WINDOW, INPUT_WINDOW, OUTPUT_WINDOW, CACHE_WINDOW = range(4)


class Memory:
    """Makes buffers, and keeps those that live outside parallel nodes.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.buffers: list[Buffer] = []

    def declare(self, buffer: Buffer) -> Buffer:
        """Keep `buffer` as one that lives outside parallel nodes; the same name is kept once."""
        if buffer not in self.buffers:
            self.buffers.append(buffer)
        return buffer

    def dram(
        self, name: str, dtype: str, rows: int, columns: int, window: int = WEIGHT_WINDOW
    ) -> Buffer:
        """Declare a matrix in DRAM, whose rows begin at AXI beats."""
        beat = self.config.axi_bytes // WORD
        pitch = -(-words(columns, dtype) // beat) * beat
        return self.declare(Buffer(name, Level.DRAM, dtype, rows, columns, pitch, window=window))

    def operand(self, name: str, rows: int, columns: int, depth: int = 1) -> Buffer:
        """Return an int8 matrix that the array reads by column."""
        pitch = scratchpad_pitch(columns, "int8", self.config.lanes)
        return Buffer(name, Level.SCRATCHPAD, "int8", rows, columns, pitch, depth)

    def results(
        self, name: str, rows: int, columns: int, depth: int = 1, *, by_column: bool = False
    ) -> Buffer:
        """Return an int16 matrix, which the array may write by column if `by_column`."""
        pitch = words(columns, "int16")
        if by_column:
            pitch = scratchpad_pitch(columns, "int16", self.config.lanes)
        return Buffer(name, Level.SCRATCHPAD, "int16", rows, columns, pitch, depth)

    def broadcast(self, name: str, rows: int, columns: int) -> Buffer:
        """Return one int16 row that is read as if it were `rows` equal ones."""
        return Buffer(name, Level.SCRATCHPAD, "int16", rows, columns, 0)

    def scales(self, name: str, rows: int, columns: int, depth: int = 1) -> Buffer:
        """Return `rows` vectors of scale words."""
        return Buffer(name, Level.SCRATCHPAD, "scale", rows, columns, columns, depth)
