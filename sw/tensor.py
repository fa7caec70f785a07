"""Arrays in DRAM as a program sees them: where they lie and what their numbers mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DTYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")


class TensorError(ValueError):
    """A tensor's description is wrong, or an array does not fit it."""


@dataclass(frozen=True)
class Tensor:
    """A named array in a window.

    Parameters
    ----------
    name : str
    window : int
        Index of the window.
    offset : int
        Byte of the first element.
    shape : tuple of int
        Sizes; the last axis is contiguous.
    dtype : str
        One of `DTYPES`, little endian.
    stride : int
        Bytes from one row (all axes but the last, flattened) to the next.
    fraction : int
        A number stands for ``number · 2^-fraction``.
    scale : str
        Name of the tensor with a scale word for each row, or empty.

    Raises
    ------
    TensorError
        If a value is out of range.
    """

    name: str
    window: int
    offset: int
    shape: tuple[int, ...]
    dtype: str
    stride: int
    fraction: int = 0
    scale: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if not self.shape or min(self.shape) < 1:
            raise TensorError(f"{self.name}: shape must be at least 1 each way, not {self.shape}")
        if self.dtype not in DTYPES:
            raise TensorError(
                f"{self.name}: dtype must be one of {', '.join(DTYPES)}, not {self.dtype}"
            )
        if self.stride < self.row_bytes:
            raise TensorError(
                f"{self.name}: stride must be at least a row, {self.row_bytes} bytes, "
                f"not {self.stride}"
            )

    @property
    def rows(self) -> int:
        """Number of rows."""
        rows = 1
        for size in self.shape[:-1]:
            rows *= size
        return rows

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without what lies between rows."""
        return self.shape[-1] * np.dtype(self.dtype).itemsize

    @property
    def size(self) -> int:
        """Bytes from the first element to the last."""
        return (self.rows - 1) * self.stride + self.row_bytes

    def pack(self, array: NDArray) -> Iterator[tuple[int, bytes]]:
        """Yield the offset in the window and the bytes of each stretch of `array`.

        Raises
        ------
        TensorError
            If shape or dtype of `array` are others.
        """
        array = np.asarray(array)
        if array.shape != self.shape or array.dtype != np.dtype(self.dtype):
            raise TensorError(
                f"{self.name} must be {self.dtype} {list(self.shape)}, "
                f"not {array.dtype} {list(array.shape)}"
            )
        values = np.ascontiguousarray(array, dtype=np.dtype(self.dtype).newbyteorder("<"))
        if self.stride == self.row_bytes:
            yield self.offset, values.tobytes()
            return
        for row, line in enumerate(values.reshape(self.rows, -1)):
            yield self.offset + row * self.stride, line.tobytes()

    def unpack(self, data: bytes) -> NDArray:
        """Return the array in the `size` bytes of the window from `offset` on.

        Raises
        ------
        TensorError
            If `data` has another length.
        """
        if len(data) != self.size:
            raise TensorError(f"{self.name} has {self.size} bytes, not {len(data)}")
        padded = np.zeros(self.rows * self.stride, dtype=np.uint8)
        padded[: self.size] = np.frombuffer(data, dtype=np.uint8)
        rows = padded.reshape(self.rows, self.stride)[:, : self.row_bytes]
        little = np.ascontiguousarray(rows).view(np.dtype(self.dtype).newbyteorder("<"))
        return little.astype(self.dtype).reshape(self.shape)

    def to_float(self, array: NDArray) -> NDArray[np.float64]:
        """Return the numbers that `array` stands for, without scale words."""
        return np.ldexp(np.asarray(array, dtype=np.float64), -self.fraction)

    def from_float(self, values: NDArray[np.floating]) -> NDArray:
        """Return integers that stand for `values`, rounded to nearest and saturated."""
        limits = np.iinfo(self.dtype)
        scaled = np.rint(np.ldexp(np.asarray(values, dtype=np.float64), self.fraction))
        return np.clip(scaled, limits.min, limits.max).astype(self.dtype)
