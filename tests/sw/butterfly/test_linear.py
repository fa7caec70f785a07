"""Layers of any width: padding, stacks, trimming, bias."""

import numpy as np
import pytest
from butterflies import dense_by_definition, random_linear, random_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.linear import ButterflyLinear, butterfly_size, twiddle_shape


@given(
    seed=st.integers(0, 2**32 - 1),
    in_features=st.integers(1, 33),
    out_features=st.integers(1, 70),
    blocks=st.integers(1, 2),
    increasing=st.booleans(),
    is_complex=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_layer_is_its_dense_weight(seed, in_features, out_features, blocks, increasing, is_complex):
    generator = np.random.default_rng(seed)
    layer = random_linear(seed, in_features, out_features, increasing, blocks, is_complex)
    bias = random_tensor(generator, out_features, is_complex)
    layer = ButterflyLinear(layer.twiddle, in_features, out_features, bias)
    rows = dense_by_definition(layer.twiddle).reshape(-1, layer.twiddle.size)
    weight = rows[:out_features, :in_features]
    scale = np.abs(weight).max()
    np.testing.assert_allclose(layer.dense(), weight, atol=1e-13 * scale)
    x = generator.normal(size=(2, 3, in_features))
    np.testing.assert_allclose(layer(x), x @ weight.T + bias, atol=1e-12 * max(scale, 1))


@pytest.mark.parametrize(
    ("in_features", "out_features", "shape"),
    [
        (1, 1, (1, 1, 1, 1, 2, 2)),
        (384, 384, (1, 1, 9, 256, 2, 2)),
        (384, 1536, (3, 1, 9, 256, 2, 2)),
        (8192, 8193, (2, 1, 13, 4096, 2, 2)),
    ],
)
def test_shape_of_the_twiddle(in_features, out_features, shape):
    assert twiddle_shape(in_features, out_features) == shape


def test_twiddle_of_another_layer():
    twiddle = random_linear(0, 16, 16).twiddle
    message = (
        r"twiddle of a layer 16 -> 17 must have shape \(2, 1, 4, 8, 2, 2\), "
        r"not \(1, 1, 4, 8, 2, 2\)"
    )
    with pytest.raises(ButterflyError, match=message):
        ButterflyLinear(twiddle, 16, 17)


def test_bias_of_another_layer():
    twiddle = random_linear(0, 16, 16).twiddle
    with pytest.raises(ButterflyError, match=r"bias must have shape \(16,\), not \(15,\)"):
        ButterflyLinear(twiddle, 16, 16, np.zeros(15))


@pytest.mark.parametrize("features", [0, -1, 2.0, True, 1 << 17])
def test_number_of_features_out_of_range(features):
    with pytest.raises(ButterflyError, match="in_features must be an integer from 1 to 65536"):
        butterfly_size(features)


def test_layer_beyond_the_limit():
    with pytest.raises(ButterflyError, match="size n must be at most 8192, not 16384"):
        butterfly_size(8193)


def test_input_of_another_width():
    with pytest.raises(ButterflyError, match="must have 5 elements, not 8"):
        random_linear(0, 5, 5)(np.zeros(8))
