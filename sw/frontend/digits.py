"""The `digits` images: 1797 handwritten digits of 8 x 8 pixels, 0 to 16.

Test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, doi:10.24432/C50P49, licence CC BY 4.0; the copy that scikit-learn carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TOKENS = 64
"""Pixels of an image."""

CLASSES = 10
PIXEL_MAXIMUM = 16
TEST_IMAGES = 360
SPLIT_SEED = 0
FILE = Path(__file__).with_name("models") / "digits.npz"


@dataclass(frozen=True)
class Digits:
    """The data set in two parts.

    Parameters
    ----------
    train_pixels, test_pixels : uint8 [images, 64]
        0 to 16, row by row.
    train_labels, test_labels : uint8 [images]
    """

    train_pixels: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_pixels: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def load_digits() -> Digits:
    """Return the images, of which a fixed random fifth is the test."""
    with np.load(FILE) as stored:
        pixels, labels = stored["pixels"], stored["labels"]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return Digits(pixels[train], labels[train], pixels[test], labels[test])
