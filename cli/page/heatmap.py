"""A matrix as a picture: blue below zero, red above, transparent at zero."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

BELOW = (42, 120, 214)
ABOVE = (214, 60, 60)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return `pixels` uint8 [height, width, 4] (RGBA) as a PNG file."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def diverging(values: NDArray[np.floating], limit: float) -> NDArray[np.uint8]:
    """Return RGBA of `values` [height, width]; opacity grows with the magnitude up to `limit`."""
    strength = np.clip(np.abs(values) / max(limit, 1e-30), 0, 1)
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where(values[..., None] < 0, BELOW, ABOVE)
    pixels[..., 3] = np.rint(255 * strength)
    return pixels


def data_uri(values: NDArray[np.floating], limit: float) -> str:
    """Return the picture of `values` for the ``src`` of an image."""
    png = encode_png(diverging(values, limit))
    return "data:image/png;base64," + base64.b64encode(png).decode()
