"""Butterflies in tiles: accumulation, density, import from layers a tile column."""

import numpy as np
import pytest
from butterflies import dense_by_definition, random_linear, random_tensor

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.hierarchical import HierarchicalLinear


def columns_of(tile, in_features, out_features, increasing=True, is_complex=False):
    count = -(-in_features // tile)
    layers = (
        random_linear(seed, tile, out_features, increasing, 1, is_complex) for seed in range(count)
    )
    return [layer.twiddle for layer in layers]


@pytest.mark.parametrize(("tile", "density"), [(16, 0.5), (32, 0.3125), (64, 0.1875)])
@pytest.mark.parametrize(("in_features", "out_features"), [(64, 64), (70, 33), (1, 130)])
@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("is_complex", [True, False])
def test_layer_is_its_dense_weight(
    tile, density, in_features, out_features, increasing, is_complex
):
    generator = np.random.default_rng(tile)
    columns = columns_of(tile, in_features, out_features, increasing, is_complex)
    bias = generator.normal(size=out_features)
    layer = HierarchicalLinear.from_columns(columns, in_features, out_features, bias)
    assert (layer.tile, layer.density) == (tile, density)
    tiles = [dense_by_definition(column).reshape(-1, tile) for column in columns]
    weight = np.concatenate(tiles, axis=1)[:out_features, :in_features]
    scale = np.abs(weight).max()
    np.testing.assert_allclose(layer.dense(), weight, atol=1e-13 * scale)
    x = random_tensor(generator, (2, 3, in_features), is_complex)
    np.testing.assert_allclose(layer(x), x @ weight.T + bias, atol=1e-11 * scale)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 2, 3, 4, 2, 2), "tile must be one of 16, 32, 64, not 8"),
        ((2, 3, 4, 8, 2, 2), r"32 -> 20 in tiles of 16 must have shape \(2, 2, 4, 8, 2, 2\), not"),
        ((2, 4, 8, 2, 2), "must have the 6 axes tile rows, tile columns"),
    ],
)
def test_shape_that_is_refused(shape, message):
    with pytest.raises(ButterflyError, match=message):
        HierarchicalLinear(np.zeros(shape), 32, 20)


def test_columns_that_differ():
    first, second = columns_of(16, 32, 16)
    other = random_linear(0, 16, 16, increasing=False).twiddle
    with pytest.raises(ButterflyError, match="tile column 1 differs from column 0 in its strides"):
        HierarchicalLinear.from_columns([first, other], 32, 16)
    longer = random_linear(0, 16, 16, blocks=2).twiddle
    with pytest.raises(ButterflyError, match=r"tile column 2 must have shape \(1, 1, 4, 8, 2, 2\)"):
        HierarchicalLinear.from_columns([first, second, longer], 48, 16)
    with pytest.raises(ButterflyError, match="at least one twiddle"):
        HierarchicalLinear.from_columns([], 48, 16)


def test_bad_values():
    tensor = np.zeros((1, 1, 4, 8, 2, 2))
    tensor[0, 0, 0, 0, 0, 0] = np.nan
    with pytest.raises(ButterflyError, match="twiddle must be finite: 1 of 128"):
        HierarchicalLinear(tensor, 16, 16)
    with pytest.raises(ButterflyError, match="in_features must be an integer"):
        HierarchicalLinear(np.zeros((1, 1, 4, 8, 2, 2)), 0, 16)
    with pytest.raises(ButterflyError, match="must have 16 elements, not 3"):
        HierarchicalLinear(np.zeros((1, 1, 4, 8, 2, 2)), 16, 16)(np.zeros(3))
