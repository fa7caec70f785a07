"""Order of outputs: a permutation, deterministic, that tiles take fewer slots in."""

import numpy as np
import pytest

from ageha.sw.sparsity import slots
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.order import fullest_first


def test_fullest_first():
    weights = np.array([[0, 1, 0], [2, 3, 0], [0, 0, 0], [1, 0, 4]], np.int8)
    assert fullest_first(weights).tolist() == [1, 3, 0, 2]


def test_uneven_outputs_take_fewer_slots():
    generator = np.random.default_rng(4)
    density = generator.permutation(np.linspace(0, 0.4, 64))[:, None]
    weights = (generator.random((64, 160)) < density).astype(np.int8)
    order = fullest_first(weights)
    assert sorted(order) == list(range(64))
    before, after = (slots.encode(w, 8, 8) for w in (weights, weights[order]))
    assert after.slots < 0.9 * before.slots
    np.testing.assert_array_equal(after.to_dense(), weights[order])


def test_no_matrix():
    with pytest.raises(SparsityError, match="2 axes, not 1"):
        fullest_first(np.zeros(3))
