"""Distillation: slopes are those of the loss, zeros stay, and models come nearer."""

from dataclasses import replace

import numpy as np
import pytest

from ageha.sw.calibrate import random_tokens
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.tasd import parse_series
from ageha.sw.tasder.backward import LayerTrace, layer_of, parameters
from ageha.sw.tasder.distil import Distillation, distil, loss, loss_slope
from ageha.sw.tasder.forward import LINEARS, Batch, run_layers
from ageha.sw.tasder.plan import Calibration, uniform_choice
from ageha.sw.tasder.sentences import RandomTexts
from ageha.sw.tasder.sparsify import linear_names, linear_of, sparsify

MODEL = synthetic_bert(layers=2, seed=3)
TOKENS = random_tokens(MODEL, 10)
LENGTHS = (5, 1, 8)
NAMES = list(parameters(MODEL.layers[0]))


def rows(seed, scale=1.0):
    generator = np.random.default_rng(seed)
    shape = sum(LENGTHS), MODEL.config.hidden
    return (scale * generator.standard_normal(shape)).astype(np.float32)


def slope_along(function, way):
    """Return the slope of `function` at 0 along `way`, from both sides."""
    step = np.float32(1e-2)
    return (function(step * way) - function(-step * way)) / (2 * step)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_trace_is_the_forward_pass(activation):
    model = replace(MODEL, config=replace(MODEL.config, activation=activation))
    one = replace(model, layers=model.layers[:1])
    x = rows(0)
    expected = run_layers(one, Batch(x, LENGTHS))
    found = LayerTrace(model.config, model.layers[0], x, LENGTHS).output
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["x", *NAMES])
def test_slopes_of_a_layer(name):
    x, weight, values = rows(1), rows(2), parameters(MODEL.layers[0])

    def output(change):
        given = x + change if name == "x" else x
        layer = layer_of(values if name == "x" else {**values, name: values[name] + change})
        return float(np.sum(weight * LayerTrace(MODEL.config, layer, given, LENGTHS).output))

    along_x, slopes = LayerTrace(MODEL.config, MODEL.layers[0], x, LENGTHS).back(weight)
    slope = along_x if name == "x" else slopes[name]
    way = slope / np.linalg.norm(slope) if np.any(slope) else slope
    if name == "key.bias":
        # A constant in all scores of a query changes no probability.
        np.testing.assert_allclose(slope, 0, atol=1e-4)
        return
    assert slope_along(output, way) == pytest.approx(float(np.sum(slope * way)), rel=0.02)


def test_slope_of_the_loss():
    found, expected = rows(3), rows(4)
    slope = loss_slope(found, expected, LENGTHS)
    way = slope / np.linalg.norm(slope)
    measured = slope_along(lambda change: loss(found + change, expected, LENGTHS), way)
    assert measured == pytest.approx(float(np.sum(slope * way)), rel=0.02)


def test_sparse_model_comes_nearer_and_keeps_its_zeros():
    texts = Calibration.of(MODEL, TOKENS, 1)
    sparse = sparsify(MODEL, uniform_choice(MODEL, parse_series("2:8")), texts.batch)
    how = Distillation(30, rate=3e-3, texts=8)
    done = []
    learnt = distil(sparse, MODEL, texts.tokens, texts.words, how, done.append)
    assert done == list(range(1, 31))
    unseen = Batch.of(MODEL, random_tokens(MODEL, 10, seed=9))
    expected = run_layers(MODEL, unseen)
    before, after = (
        loss(run_layers(model, unseen), expected, unseen.lengths) for model in (sparse, learnt)
    )
    assert after < 0.8 * before
    for name in linear_names(MODEL):
        zeros = linear_of(sparse, name).weight == 0
        assert np.all(linear_of(learnt, name).weight[zeros] == 0)
    again = distil(sparse, MODEL, texts.tokens, texts.words, how)
    for one, other in zip(learnt.layers, again.layers, strict=True):
        for name in LINEARS:
            np.testing.assert_array_equal(getattr(one, name).weight, getattr(other, name).weight)


def test_no_steps_change_nothing():
    learnt = distil(MODEL, MODEL, TOKENS, np.arange(5, 9), Distillation(0))
    for name in linear_names(MODEL):
        np.testing.assert_array_equal(linear_of(learnt, name).weight, linear_of(MODEL, name).weight)


def test_texts_are_made_of_sentences_and_words():
    words = np.array([900, 901])
    texts, again = (RandomTexts(TOKENS, words, 12, seed=5) for _ in range(2))
    known = {int(token) for ids in TOKENS for token in ids} | {900, 901}
    drawn = [texts.draw() for _ in range(50)]
    assert {int(token) for text in drawn for token in text} <= known
    assert any(900 in text for text in drawn)
    assert all(3 <= len(text) <= 12 for text in drawn)
    ends = {(int(ids[0]), int(ids[-1])) for ids in TOKENS}
    assert all(text[0] in {first for first, _ in ends} for text in drawn)
    assert all(np.array_equal(text, again.draw()) for text in drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps must be at least 0, not -1"),
        ({"steps": 1, "rate": 0}, "rate must be above 0, not 0"),
        ({"steps": 1, "texts": 0}, "texts must be above 0, not 0"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(SparsityError, match=f"^{message}$"):
        Distillation(**arguments)
