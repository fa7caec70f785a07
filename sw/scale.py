"""Vectors of scale words: run-time and weight scales as the hardware reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MANTISSA_BITS = 16


@dataclass(frozen=True)
class ScaleVector:
    """Scale words of `n` rows or columns; each scale is ``mantissa · 2^-exponent``.

    Parameters
    ----------
    mantissa : uint16 [n]
    exponent : int8 [n]
    bias : int16 [n]
        In units of the output of the product that uses the vector.
    """

    mantissa: NDArray[np.uint16]
    exponent: NDArray[np.int8]
    bias: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.mantissa)

    @classmethod
    def from_float(
        cls, scales: NDArray[np.floating], bias: NDArray[np.integer] | None = None
    ) -> ScaleVector:
        """Round positive float scales to 16-bit mantissas.

        Raises
        ------
        ValueError
            If a scale is negative or not finite, or leaves the range of the exponent.
        """
        scales = np.asarray(scales, dtype=np.float64)
        if not np.all(np.isfinite(scales)) or np.any(scales < 0):
            raise ValueError("scales must be finite and not negative")
        fraction, power = np.frexp(scales)
        mantissa = np.rint(fraction * (1 << MANTISSA_BITS)).astype(np.int64)
        carry = mantissa == 1 << MANTISSA_BITS
        mantissa = np.where(carry, mantissa >> 1, mantissa)
        exponent = np.where(mantissa == 0, 0, MANTISSA_BITS - power - carry)
        if np.any((exponent < -128) | (exponent > 127)):
            raise ValueError("scales must lie between 2^-112 and 2^143")
        if bias is None:
            bias = np.zeros(len(scales), dtype=np.int16)
        return cls(
            mantissa.astype(np.uint16), exponent.astype(np.int8), np.asarray(bias).astype(np.int16)
        )

    def to_float(self) -> NDArray[np.float64]:
        """Return the scales as floats."""
        return np.ldexp(self.mantissa.astype(np.float64), -self.exponent.astype(np.int64))

    def pack(self) -> NDArray[np.uint64]:
        """Return one `hw.isa.ScaleWord` a scale."""
        words = self.mantissa.astype(np.uint64)
        words |= self.exponent.astype(np.uint8).astype(np.uint64) << np.uint64(16)
        words |= self.bias.astype(np.uint16).astype(np.uint64) << np.uint64(32)
        return words

    @classmethod
    def unpack(cls, words: NDArray[np.uint64]) -> ScaleVector:
        """Return the scales that `words` hold."""
        words = np.asarray(words, dtype=np.uint64)
        return cls(
            (words & np.uint64(0xFFFF)).astype(np.uint16),
            ((words >> np.uint64(16)) & np.uint64(0xFF)).astype(np.uint8).view(np.int8),
            ((words >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.uint16).view(np.int16),
        )
