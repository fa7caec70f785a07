"""Sequence compression: fewer tokens, by leaving out the high frequencies along them.

Each chunk of L tokens is transformed along the tokens, its K = s·L lowest frequencies are kept and
transformed back with K points; attention then runs on s·N tokens (MLX, ISCA 2026).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ButterflyError
from .validate import finite_tensor, require_size


def compress_sequence(x: ArrayLike, chunk: int, kept: int) -> NDArray[np.float64]:
    """Return the sequence with `kept` tokens for each `chunk`.

    The frequencies kept are ``-(kept div 2)`` to ``(kept - 1) div 2``; the real part of the inverse
    transform is the result, scaled by ``kept / chunk`` so that a constant stays what it is.

    Parameters
    ----------
    x : [..., tokens, width]
        Real; a multiple of `chunk` tokens.
    chunk : int
        Tokens L of a chunk, a power of two from 2 to 8192.
    kept : int
        Tokens K that it becomes, a power of two from 1 to `chunk`.

    Returns
    -------
    float64 [..., tokens · kept / chunk, width]

    Raises
    ------
    ButterflyError
        If a parameter is none of these.
    """
    values = finite_tensor("sequence", x)
    if np.iscomplexobj(values) or values.ndim < 2:
        raise ButterflyError("sequence must be real and have the axes tokens and width")
    length = require_size("chunk", chunk)
    if kept != 1:
        require_size("kept", kept, length)
    tokens = values.shape[-2]
    if not tokens or tokens % length:
        raise ButterflyError(f"tokens must be a multiple of the chunk {length}, not {tokens}")
    chunks = values.reshape(*values.shape[:-2], -1, length, values.shape[-1])
    spectrum = np.fft.fft(chunks, axis=-2)
    frequencies = np.fft.ifftshift(np.arange(kept) - kept // 2)
    short = np.fft.ifft(spectrum[..., frequencies, :], axis=-2).real * (kept / length)
    return short.reshape(*values.shape[:-2], -1, values.shape[-1])
