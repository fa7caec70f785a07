"""Random butterfly layers, and the definition of a factor written out element by element."""

import numpy as np

from ageha.sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ageha.sw.butterfly.twiddle import Twiddle


def random_tensor(generator, shape, is_complex=False):
    values = generator.normal(size=shape)
    return values + 1j * generator.normal(size=shape) if is_complex else values


def random_linear(seed, in_features, out_features, increasing=True, blocks=1, is_complex=False):
    shape = twiddle_shape(in_features, out_features, blocks)
    tensor = random_tensor(np.random.default_rng(seed), shape, is_complex)
    return ButterflyLinear(Twiddle(tensor, increasing), in_features, out_features)


def dense_by_definition(twiddle):
    """Return the matrix [n, n] of each stack as a product of factors that loops fill."""
    size, log_size = twiddle.size, twiddle.log_size
    matrices = []
    for stack in twiddle.coefficients:
        product = np.eye(size)
        for block, factors in enumerate(stack):
            increases = twiddle.increasing_stride ^ (block % 2 == 1)
            for index, factor in enumerate(factors):
                stride = 1 << (index if increases else log_size - 1 - index)
                matrix = np.zeros((size, size), dtype=factor.dtype)
                for i, t in enumerate(factor):
                    lo = i % stride
                    p = 2 * (i - lo) + lo
                    matrix[np.ix_([p, p + stride], [p, p + stride])] = t
                product = matrix @ product
        matrices.append(product)
    return np.array(matrices)
