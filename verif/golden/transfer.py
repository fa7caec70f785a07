"""Two-dimensional transfers: the instruction's fields, their checks, their bursts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...hw.config import INSTRUCTION_BYTES, WORD_BYTES, AcceleratorConfig
from ...hw.isa import ErrorCode, Load, Opcode
from .fault import Fault
from .window import Window


@dataclass(frozen=True)
class Burst:
    """One AXI burst: byte address and beats."""

    address: int
    beats: int


@dataclass(frozen=True)
class Transfer:
    """What LOAD and STORE say.

    Parameters
    ----------
    rows, row_words : int
        Size of the block, 0 to 65535; zero is refused.
    window, offset : int
        First byte in DRAM.
    stride : int
        Bytes from one row to the next in DRAM.
    address, pitch : int
        First word in the scratchpad, words from one row to the next.
    """

    rows: int
    row_words: int
    window: int
    offset: int
    stride: int
    address: int
    pitch: int

    @classmethod
    def unpack(cls, word: bytes) -> Transfer:
        """Return the fields of an instruction word."""
        layout = Load.as_shape()
        bits = int.from_bytes(word, "little") & ((1 << layout.size) - 1)
        fields = layout.from_bits(bits)
        return cls(
            rows=fields.rows,
            row_words=fields.row_words,
            window=fields.dram_address.window,
            offset=fields.dram_address.offset,
            stride=fields.dram_stride,
            address=fields.address,
            pitch=fields.pitch,
        )

    def pack(self, opcode: Opcode) -> bytes:
        """Return an instruction word without semaphores."""
        fields = Load.as_shape().const(
            {
                "header": {"opcode": opcode},
                "rows": self.rows,
                "row_words": self.row_words,
                "dram_address": {"offset": self.offset, "window": self.window},
                "dram_stride": self.stride,
                "address": self.address,
                "pitch": self.pitch,
            }
        )
        return fields.as_bits().to_bytes(INSTRUCTION_BYTES, "little")

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.row_words * WORD_BYTES

    @property
    def last_byte(self) -> int:
        """Offset in the window of the last byte."""
        return self.offset + (self.rows - 1) * self.stride + self.row_bytes - 1

    @property
    def last_word(self) -> int:
        """Address in the scratchpad of the last word."""
        return self.address + (self.rows - 1) * self.pitch + self.row_words - 1

    def check(
        self,
        config: AcceleratorConfig,
        windows: Sequence[Window],
        permission: Literal["readable", "writable"],
    ) -> int:
        """Check the transfer as the hardware does and return its first byte address in DRAM.

        Raises
        ------
        Fault
            `ILLEGAL_OPERAND` with the offset, `SCRATCHPAD_RANGE` with the last word, or `WINDOW`
            with the offset of the last byte; the first that applies.
        """
        chosen = windows[self.window] if self.window < len(windows) else Window()
        beat = config.axi_bytes
        misaligned = (self.offset | self.stride | chosen.base) % beat
        if not self.rows or not self.row_words or misaligned:
            raise Fault(ErrorCode.ILLEGAL_OPERAND, self.offset)
        if self.last_word >= config.scratchpad_words:
            raise Fault(ErrorCode.SCRATCHPAD_RANGE, self.last_word)
        if not getattr(chosen, permission) or self.last_byte >= chosen.size:
            raise Fault(ErrorCode.WINDOW, self.last_byte)
        return chosen.base + self.offset

    def bursts(self, config: AcceleratorConfig, first: int) -> Iterator[Burst]:
        """Return the bursts in their order, for a transfer whose first byte address is `first`."""
        beat = config.axi_bytes
        longest = beat * config.axi.burst_beats
        for row in range(self.rows):
            address = first + row * self.stride
            end = address + -(-self.row_bytes // beat) * beat
            while address < end:
                stop = min(end, address - address % longest + longest)
                yield Burst(address, (stop - address) // beat)
                address = stop

    def rows_of(
        self, config: AcceleratorConfig, dram: NDArray[np.uint8], first: int, error: ErrorCode
    ) -> NDArray[np.uint8]:
        """Return a view of the rows in `dram`, uint8 [rows, row_bytes].

        Raises
        ------
        Fault
            `error` with the address of the first burst that `dram` does not hold.
        """
        for burst in self.bursts(config, first) if self._end(config, first) > len(dram) else ():
            if burst.address + burst.beats * config.axi_bytes > len(dram):
                raise Fault(error, burst.address)
        return np.lib.stride_tricks.as_strided(
            dram[first:], (self.rows, self.row_bytes), (self.stride, 1)
        )

    def _end(self, config: AcceleratorConfig, first: int) -> int:
        row_beats = -(-self.row_bytes // config.axi_bytes)
        return first + (self.rows - 1) * self.stride + row_beats * config.axi_bytes
