"""Random weights with zeros, and one wrong bit in compressed data."""

import numpy as np

DENSITIES = (0, 0.01, 0.1, 0.5, 1)


def random_weights(seed, n, k, density):
    """Return int8 [n, k]; each element is kept with probability `density`."""
    generator = np.random.default_rng(seed)
    weights = generator.integers(-128, 128, (n, k))
    return (weights * (generator.random((n, k)) < density)).astype(np.int8)


def flip_random_bit(words, seed):
    """Return a copy of uint64 `words` with one bit changed."""
    generator = np.random.default_rng(seed)
    flipped = words.copy()
    flipped[generator.integers(len(words))] ^= np.uint64(1) << np.uint64(generator.integers(64))
    return flipped
