"""The random products of the benches: every density, side and option occurs."""

import random

import pytest

from ageha.hw.config import preset
from ageha.hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, STATIONARY_FLOWS, Flow
from ageha.verif.benches.products import (
    DENSITIES,
    LONGEST,
    PRIMES,
    Allocator,
    Product,
    random_products,
)
from ageha.verif.golden.scratchpad import Scratchpad

CASES = 50
"""Products of each flow and preset in the slow tests of the array."""


def drawn(name: str, flow: Flow, seed: int) -> list[Product]:
    """Return the products of a run of `CASES` cases, as the bench of the array places them."""
    generator = random.Random(seed)
    scratchpad = Scratchpad(preset(name))
    products: list[Product] = []
    while len(products) < CASES:
        count = min(12, CASES - len(products))
        placed = random_products(generator, scratchpad, [flow], count)
        products += [product for product, _ in placed]
    return products


@pytest.mark.parametrize("name", ["tiny", "ecp5", "base"])
def test_shapes_and_options(name: str) -> None:
    products = [
        product for flow in Flow for seed in range(4) for product in drawn(name, flow, seed)
    ]
    for side in "mnk":
        lengths = {getattr(product, side) for product in products}
        assert min(lengths) == 1
        assert max(lengths) >= 0.9 * LONGEST
        assert set(PRIMES) <= lengths
    for flag in ("a_transposed", "b_transposed", "y_transposed", "residual", "in_place"):
        assert {getattr(product, flag) for product in products} == {False, True}, flag
    array = preset(name).array
    longest = max(product.m for product in products if product.flow in STATIONARY_FLOWS)
    assert longest == min(LONGEST, array.partial_rows)
    assert {product.reach for product in products} == {0.1, 1}


@pytest.mark.parametrize("name", ["tiny", "ecp5", "base"])
def test_densities(name: str) -> None:
    for flow in (*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS):
        densities = {product.density for seed in range(2) for product in drawn(name, flow, seed)}
        assert densities == set(DENSITIES), flow
    assert {0, 0.01, 1} <= set(DENSITIES)


@pytest.mark.parametrize("density", [0, 0.25, 1])
@pytest.mark.parametrize("flow", [*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS])
def test_a_compressed_operand_has_its_density(flow: Flow, density: float) -> None:
    """A dense operand of 8-bit numbers has few zeros, so words tell the density."""
    config = preset("base")
    words = {}
    for share in (0, density, 1):
        allocator = Allocator(config, random.Random(1))
        made = Product(64, 64, 64, flow=flow, density=share)
        words[share] = made.place(allocator, Scratchpad(config))["compressed_words"]
    assert words[0] <= words[density] <= words[1]
    # At least a byte for each non-zero; an empty one has headers and the bits of the vectors.
    assert 8 * words[density] >= 0.9 * density * 64 * 64
    assert words[0] <= 8
