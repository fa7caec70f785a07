"""Counts of parameters and multiply-adds."""

import numpy as np
import pytest
from butterflies import random_linear

from ageha.sw.butterfly.cost import Cost, cost, dense_cost, fourier_cost
from ageha.sw.butterfly.hierarchical import HierarchicalLinear
from ageha.sw.butterfly.linear import ButterflyLinear
from ageha.sw.butterfly.monarch import MonarchLinear


def test_dense():
    assert dense_cost(384, 1536) == Cost(384 * 1536, 384 * 1536)
    assert dense_cost(8, 4, bias=True) == Cost(36, 32)
    assert dense_cost(8, 4, bias=True, is_complex=True) == Cost(72, 128)


def test_butterfly():
    layer = random_linear(0, 384, 1536)
    assert cost(layer) == Cost(3 * 2 * 512 * 9, 3 * 2 * 512 * 9)
    biased = ButterflyLinear(layer.twiddle, 384, 1536, np.zeros(1536))
    assert cost(biased) == Cost(3 * 2 * 512 * 9 + 1536, 3 * 2 * 512 * 9)


def test_complex_butterfly():
    layer = random_linear(0, 16, 16, blocks=2, is_complex=True)
    assert cost(layer) == Cost(2 * 2 * 2 * 16 * 4, 4 * 2 * 2 * 16 * 4)


@pytest.mark.parametrize("tile", [16, 32, 64])
def test_tiles_have_their_density(tile):
    log_tile = tile.bit_length() - 1
    tensor = np.ones((128 // tile, 256 // tile, log_tile, tile // 2, 2, 2))
    layer = HierarchicalLinear(tensor, 256, 128)
    assert cost(layer).multiply_adds == layer.density * dense_cost(256, 128).multiply_adds


def test_monarch():
    layer = MonarchLinear(np.ones((4, 4, 4)), np.ones((4, 4, 4)), 16, 16)
    assert cost(layer) == Cost(128, 128)


def test_fourier():
    assert fourier_cost(8) == Cost(0, 4 * 3 * 4)


def test_what_has_no_cost():
    with pytest.raises(TypeError, match="no cost is known of int"):
        cost(3)
