"""Matrices and scale vectors in the scratchpad, as instructions name them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES
from ...sw.scale import ScaleVector
from .scratchpad import Scratchpad


@dataclass(frozen=True)
class Matrix:
    """A matrix in the scratchpad.

    Parameters
    ----------
    rows, columns : int
        At least 1.
    dtype : str
        A NumPy name.
    address : int
        Word of the first element.
    pitch : int
        Words from one row to the next.
    """

    rows: int
    columns: int
    dtype: str
    address: int
    pitch: int

    @property
    def words(self) -> int:
        """Words of a row; the last may be used in part."""
        return -(-self.columns * np.dtype(self.dtype).itemsize // WORD_BYTES)

    def check(self, scratchpad: Scratchpad) -> None:
        """Raise a `Fault` with the matrix's last word if that is outside the scratchpad."""
        scratchpad.check(self.address, self.pitch, self.rows, self.words)

    def read(self, scratchpad: Scratchpad) -> NDArray:
        """Return the elements, [rows, columns]."""
        data = scratchpad.read(self.address, self.pitch, self.rows, self.words)
        return data.view(np.dtype(self.dtype).newbyteorder("<"))[:, : self.columns]

    def write(self, scratchpad: Scratchpad, values: NDArray) -> None:
        """Write the elements; the rest of the last word of a row becomes zero."""
        size = self.words * WORD_BYTES // np.dtype(self.dtype).itemsize
        padded = np.zeros((self.rows, size), dtype=np.dtype(self.dtype).newbyteorder("<"))
        padded[:, : self.columns] = values
        scratchpad.write(self.address, self.pitch, padded.view(np.uint8))


def scales(length: int, address: int) -> Matrix:
    """Return the place of `length` scale words, one after the other."""
    return Matrix(length, 1, "uint64", address, 1)


def read_scales(place: Matrix, scratchpad: Scratchpad) -> ScaleVector:
    """Return the scales at `place`."""
    return ScaleVector.unpack(place.read(scratchpad)[:, 0])


def write_scales(place: Matrix, scratchpad: Scratchpad, values: ScaleVector) -> None:
    """Write `values` to `place`."""
    place.write(scratchpad, values.pack()[:, np.newaxis])


def check_all(places: Iterable[Matrix], scratchpad: Scratchpad) -> None:
    """Raise a `Fault` for the first of `places` that leaves the scratchpad."""
    for place in places:
        place.check(scratchpad)
