"""The scratchpad as software sees it: flat words, blocks with a pitch."""

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES, AcceleratorConfig
from ...hw.isa import ErrorCode
from .fault import Fault


class Scratchpad:
    """A memory of words of eight bytes.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the capacity and the lanes of a line.

    Attributes
    ----------
    bytes : uint8 [config.scratchpad.bytes]
        The whole memory; word `w` is bytes ``8·w`` to ``8·w + 7``. May be changed in place.
    written_words : int
        Words that `write` has written, since the owner last set it to zero.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.bytes = np.zeros(config.scratchpad.bytes, dtype=np.uint8)
        self.written_words = 0

    @property
    def words(self) -> NDArray[np.uint64]:
        """The memory as words: a view, not a copy."""
        return self.bytes.view("<u8")

    def check(self, address: int, pitch: int, rows: int, words: int) -> None:
        """Check that a block lies in the memory.

        Parameters
        ----------
        address : int
            First word of the first row.
        pitch : int
            Words from one row to the next, at least 0.
        rows, words : int
            Size of the block, at least 1.

        Raises
        ------
        Fault
            `SCRATCHPAD_RANGE` with the last word that the block touches, if that is outside.
        ValueError
            If an argument is out of its range.
        """
        if address < 0 or pitch < 0 or rows < 1 or words < 1:
            raise ValueError(
                "address and pitch must be at least 0, rows and words at least 1, "
                f"not {address}, {pitch}, {rows} and {words}"
            )
        last = address + (rows - 1) * pitch + words - 1
        if last >= self.config.scratchpad_words:
            raise Fault(ErrorCode.SCRATCHPAD_RANGE, last)

    def read(self, address: int, pitch: int, rows: int, words: int) -> NDArray[np.uint8]:
        """Return a copy of a block, uint8 [rows, 8·words]; arguments and errors as `check`."""
        self.check(address, pitch, rows, words)
        return self._block(address, pitch, rows, words).copy().view(np.uint8)

    def write(self, address: int, pitch: int, data: NDArray[np.uint8]) -> None:
        """Write uint8 `data` [rows, 8·words], row by row; arguments and errors as `check`."""
        data = np.ascontiguousarray(data)
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] % WORD_BYTES:
            raise ValueError(
                f"data must be uint8 [rows, {WORD_BYTES}·words], not {data.dtype} {data.shape}"
            )
        rows, words = data.shape[0], data.shape[1] // WORD_BYTES
        self.check(address, pitch, rows, words)
        self.written_words += rows * words
        values = data.view("<u8")
        if pitch >= words or rows == 1:
            self._block(address, pitch, rows, words)[:] = values
            return
        # Rows overlap, so that the order of writing shows.
        for row in range(rows):
            first = address + row * pitch
            self.words[first : first + words] = values[row]

    def read_line(self, address: int, pitch: int) -> NDArray[np.uint64]:
        """Return what one hardware access reads, a word a lane.

        Lanes may lie beyond the end of the memory; their word is that of the address modulo the
        capacity, as in the hardware.
        """
        return self.words[self._lanes(address, pitch)]

    def write_line(self, address: int, pitch: int, mask: int, line: NDArray[np.uint64]) -> None:
        """Write lane l of `line` where bit l of `mask` is set, as one hardware access does.

        Raises
        ------
        Fault
            `SCRATCHPAD_RANGE` with the word, if a lane that is written lies outside the memory.
        """
        for lane, value in enumerate(line):
            if mask >> lane & 1:
                word = address + lane * pitch
                if word >= self.config.scratchpad_words:
                    raise Fault(ErrorCode.SCRATCHPAD_RANGE, word)
                self.words[word] = value

    def _lanes(self, address: int, pitch: int) -> NDArray[np.int64]:
        return (address + np.arange(self.config.lanes) * pitch) % self.config.scratchpad_words

    def _block(self, address: int, pitch: int, rows: int, words: int) -> NDArray[np.uint64]:
        return np.lib.stride_tricks.as_strided(
            self.words[address:], (rows, words), (pitch * WORD_BYTES, WORD_BYTES)
        )
