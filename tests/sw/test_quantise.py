"""Quantisation: fractions with room, weights a channel, parameters that must fit."""

from dataclasses import replace

import numpy as np
import pytest

from ageha.sw.calibrate import LayerRanges, calibrate, calibration_tokens, random_tokens
from ageha.sw.errors import CompileError
from ageha.sw.frontend.bert import LayerNorm, Linear
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.quantise import (
    fraction_bits,
    join_ranges,
    quantise_layer,
    quantise_linear,
    quantise_norm,
)
from ageha.sw.reference import embed, encoder_layer


@pytest.fixture(scope="module")
def model():
    return synthetic_bert(layers=2)


@pytest.fixture(scope="module")
def ranges(model):
    return calibrate(model, (0, 1), random_tokens(model))


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 15), (0.5, 15), (1.0, 14), (16.0, 10), (218.0, 6), (1e9, 0)]
)
def test_fraction_leaves_room(largest, bits):
    assert fraction_bits(largest) == bits
    if 0 < bits < 15:
        assert largest * 1.5 * 2**bits <= 32767 < largest * 1.5 * 2 ** (bits + 1)


def test_weights_a_channel():
    generator = np.random.default_rng(3)
    weight = generator.normal(0, 1, (10, 33)).astype(np.float32) * np.logspace(-3, 2, 10)[:, None]
    weight[4] = 0
    linear = quantise_linear(Linear(weight, np.linspace(-1, 1, 10)), 12, "x")
    assert np.abs(linear.weight).max(axis=1).tolist() == [127] * 4 + [0] + [127] * 5
    restored = linear.weight * linear.scales.to_float()[:, None]
    assert np.all(np.abs(restored - weight) <= np.abs(weight).max(axis=1)[:, None] / 250)
    np.testing.assert_array_equal(linear.scales.bias, np.rint(np.linspace(-1, 1, 10) * 4096))


def test_bias_that_does_not_fit():
    linear = Linear(np.ones((2, 2), np.float32), np.array([0, 9.0], np.float32))
    with pytest.raises(CompileError, match="key bias: magnitude 9 exceeds 8, .* 12 fraction bits"):
        quantise_linear(linear, 12, "key")


def test_gain_that_does_not_fit():
    norm = LayerNorm(np.array([1.0, -8.5]), np.zeros(2))
    with pytest.raises(CompileError, match="output norm gain: magnitude 8.5 exceeds 8"):
        quantise_norm(norm, 11, "output norm")


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alpha_out_of_range(model, ranges, alpha):
    with pytest.raises(CompileError, match="alpha must be from 0 to 1"):
        quantise_layer(model.config, model.layers[0], ranges[0], alpha)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.5, 1.0])
def test_equalisation_changes_no_product(model, ranges, alpha):
    """Queries by keys, and values by output projection, are what they were without it."""

    def dense(linear):
        return linear.weight * linear.scales.to_float()[:, None]

    layer = quantise_layer(model.config, model.layers[0], ranges[0], alpha)
    plain = quantise_layer(model.config, model.layers[0], ranges[0], None)
    for first, second in (("query", "key"), ("projection", "value")):
        expected = [dense(getattr(plain, name)) for name in (first, second)]
        found = [dense(getattr(layer, name)) for name in (first, second)]
        if first == "query":
            expected[0], found[0] = expected[0].T, found[0].T
        scale = np.abs(expected[0] @ expected[1]).max()
        np.testing.assert_allclose(found[0] @ found[1], expected[0] @ expected[1], atol=scale / 20)


def test_ranges_are_those_of_the_reference(model, ranges):
    tokens = random_tokens(model)
    assert all(sequence.min() >= 0 and sequence.max() < 100 for sequence in tokens)
    values = [encoder_layer(model, 0, embed(model, sequence)) for sequence in tokens]
    expected = np.max([np.abs(value["expanded"]).max(axis=0) for value in values], axis=0)
    np.testing.assert_array_equal(ranges[0].channels["expanded"], expected)
    assert ranges[0].scores == max(np.abs(value["scores"]).max() for value in values)


def test_neighbours_agree_on_a_fraction(model, ranges):
    wide = replace(ranges[1], channels=ranges[1].channels | {"attention_sum": np.array([100.0])})
    joined = join_ranges(model.config, {0: ranges[0], 1: wide}, (0, 1))
    first, second = (
        quantise_layer(model.config, model.layers[index], joined[index]) for index in (0, 1)
    )
    assert first.fractions.output == second.fractions.input == fraction_bits(100.0)


def test_largest_of_several():
    ranges = LayerRanges({"a": np.array([1.0, 3.0]), "b": np.array([2.0])}, 5.0)
    assert ranges.largest("a", "b") == 3.0


def test_tokens_of_a_model_without_tokenizer(model):
    first, second = calibration_tokens(model), calibration_tokens(model)
    assert len(first) > 1
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
