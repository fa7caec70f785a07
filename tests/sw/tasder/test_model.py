"""Sparse models: forward pass, losses of layers, resuming, and what a checkpoint keeps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from ageha.hw.config import ArrayConfig, override, preset
from ageha.sw import reference
from ageha.sw.calibrate import random_tokens
from ageha.sw.embedding import sentence_embedding
from ageha.sw.errors import FrontendError
from ageha.sw.frontend import bert
from ageha.sw.frontend.bert_save import save
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.reference import embed, encoder
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.tasd import parse_series
from ageha.sw.tasder import sentences
from ageha.sw.tasder.errors import BudgetError
from ageha.sw.tasder.figures import CostModel
from ageha.sw.tasder.forward import Batch, gelu, run_layers, sentence_embeddings
from ageha.sw.tasder.fronts import choice_of, front_of, table_of
from ageha.sw.tasder.partial import Partial
from ageha.sw.tasder.plan import (
    SERIES_KEY,
    Calibration,
    candidates_of,
    cheapest,
    counts_by_series,
    default_series,
    padded_layers,
    quality_of,
    save_sparse,
    uniform_choice,
    within_budget,
)
from ageha.sw.tasder.quality import spearman
from ageha.sw.tasder.search import Option, search
from ageha.sw.tasder.sensitivity import fingerprint, measure
from ageha.sw.tasder.sparsify import GREEDY, Method, linear_names, linear_of, sparsify

MACHINE = override(preset("tiny"), {"array.block": 8})
ARRAY = MACHINE.array
COSTS = CostModel(MACHINE)
SERIES = (parse_series("2:8"), parse_series("5:8"))


@pytest.fixture(scope="module")
def model():
    return synthetic_bert(layers=2, seed=4)


@pytest.fixture(scope="module")
def candidates(model):
    return candidates_of(model, SERIES, ARRAY)


@pytest.fixture(scope="module")
def texts(model):
    lengths = np.random.default_rng(1).integers(1, 30, 24)
    tokens = random_tokens(model, 24)
    cut = [item[:length] for item, length in zip(tokens, lengths, strict=True)]
    return Calibration.of(model, cut, seed=1)


@pytest.fixture(scope="module")
def losses(model, texts, candidates):
    return measure(model, candidates, texts.batch, texts.sentences, Method())


def test_forward_pass_is_the_reference(model):
    tokens = [
        item[:length] for item, length in zip(random_tokens(model, 3), (1, 9, 30), strict=True)
    ]
    batch = Batch.of(model, tokens)
    rows = run_layers(model, batch)
    expected = [encoder(model, embed(model, item)) for item in tokens]
    np.testing.assert_allclose(rows, np.concatenate(expected), atol=2e-5)
    np.testing.assert_allclose(
        sentence_embeddings(rows, batch.lengths),
        np.stack([sentence_embedding(item) for item in expected]),
        atol=1e-5,
    )


def test_gelu():
    x = np.linspace(-8, 8, 1001, dtype=np.float32)
    assert np.max(np.abs(gelu(x) - reference.gelu(x))) < 2e-6


def test_spearman():
    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 20, 90])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 beside 1, 2, 3, 4.
    assert spearman(np.array([0.0, 1, 1, 2]), np.array([1.0, 2, 3, 4])) == pytest.approx(0.9486833)


def test_each_layer_takes_its_series(model, texts):
    choice = {"0.expand": SERIES[0], "1.query": SERIES[1]}
    for method in (Method(), GREEDY):
        sparse = sparsify(model, choice, texts.batch, method)
        for name in linear_names(model):
            weight = linear_of(sparse, name).weight
            if name not in choice:
                np.testing.assert_array_equal(weight, linear_of(model, name).weight)
                continue
            groups = weight.reshape(-1, 8)
            assert np.count_nonzero(groups, axis=1).max() == choice[name][0].n


def test_compensated_model_is_nearer(model, texts):
    choice = uniform_choice(model, SERIES[1])
    greedy = quality_of(sparsify(model, choice, None, GREEDY), model, texts.sentences)
    better = quality_of(sparsify(model, choice, texts.batch), model, texts.sentences)
    assert greedy.cosine < better.cosine < 1


def test_losses_fall_with_slots(losses, model):
    assert list(losses) == linear_names(model)
    for found in losses.values():
        assert found["2:8"] > found["5:8"] > 0


def test_search_meets_its_budget(model, losses, texts):
    total = dense_slots(model)
    candidates = candidates_of(model, SERIES, ARRAY, dense=["0.query"])
    front = front_of(table_of(model, candidates, COSTS), losses)
    point = within_budget(front, 0.7, total)
    choice = choice_of(point)
    assert "0.query" not in choice and point.cost <= 0.7 * total
    sparse = sparsify(model, choice, texts.batch)
    assert COSTS.model(sparse).multiply_adds <= point.cost
    assert sum(counts_by_series(choice, model).values()) == len(linear_names(model))


def test_model_that_is_sparse_already(model, texts):
    sparse = sparsify(model, uniform_choice(model, SERIES[0]), None, GREEDY)
    candidates = candidates_of(sparse, SERIES, ARRAY)
    arguments = (sparse, candidates, texts.batch, texts.sentences, Method(refit_steps=0))
    found = measure(*arguments)
    assert all(loss < 1e-9 for values in found.values() for loss in values.values())
    front = front_of(table_of(sparse, candidates, COSTS), found)
    total = dense_slots(model)
    cheapest_slots = within_budget(front, 1.0, total).cost
    assert cheapest_slots == COSTS.model(sparse).multiply_adds == total // 4


def test_cheapest_model_of_a_quality(model, losses, texts, candidates):
    front = front_of(table_of(model, candidates, COSTS), losses)
    total = dense_slots(model)
    point, sparse = cheapest(model, front, 0.9, texts, total, Method())
    assert point.cost < total
    assert quality_of(sparse, model, texts.sentences).spearman >= 0.9
    limited = coarse_front(model, losses)
    with pytest.raises(BudgetError, match=r"quality 0.9999 is not reachable; nearest is 0\.\d{4}"):
        cheapest(model, limited, 0.9999, texts, total, Method())


def coarse_front(model, losses):
    """Return a front on which no layer may stay dense."""
    options = {}
    for name in linear_names(model):
        cost = COSTS.taken(linear_of(model, name).weight, SERIES[0]).multiply_adds
        options[name] = [Option("2:8", cost, losses[name]["2:8"])]
    return search(options)


def dense_slots(model):
    return COSTS.dense_model(model).multiply_adds


def test_resumes_and_is_deterministic(model, texts, losses, candidates, tmp_path):
    path = tmp_path / "partial.json"

    class Stop(Exception):
        pass

    def stop(done):
        if done == 5:
            raise Stop

    arguments = (model, candidates, texts.batch, texts.sentences, Method())
    with pytest.raises(Stop):
        measure(*arguments, partial=Partial(path, "key"), on_progress=stop)
    saved = json.loads(path.read_text())["losses"]
    assert sum(map(len, saved.values())) == 5
    saved_marked = json.loads(path.read_text())
    saved_marked["losses"]["0.query"]["2:8"] = 123.0
    path.write_text(json.dumps(saved_marked))
    resumed = measure(*arguments, partial=Partial(path, "key"))
    assert resumed["0.query"]["2:8"] == 123.0
    assert {name: found["5:8"] for name, found in resumed.items()} == {
        name: found["5:8"] for name, found in losses.items()
    }


def test_partial_results_of_something_else(model, texts, tmp_path):
    path = tmp_path / "absent" / "partial.json"
    keys = [
        fingerprint(model, texts.batch, texts.sentences, method)
        for method in (Method(compensate=False), Method())
    ]
    Partial(path, keys[0]).add_loss("0.query", "2:8", 0.5)
    assert Partial(path, keys[0]).losses == {"0.query": {"2:8": 0.5}}
    with pytest.raises(SparsityError, match="results of another model, method or text"):
        Partial(path, keys[1])
    for text in ("[]", "{", '{"key": "", "losses": [1]}'):
        path.write_text(text)
        with pytest.raises(SparsityError, match="no partial results of a search"):
            Partial(path, keys[0])


def test_checkpoint_is_read_back(model, texts, tmp_path):
    choice = {"1.contract": SERIES[0]}
    sparse = sparsify(model, choice, texts.batch)
    folder = tmp_path / "model"
    write_folder(folder, model)
    path = tmp_path / "sparse.safetensors"
    save_sparse(sparse, choice, path)
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()[SERIES_KEY]) == {"1.contract": "2:8"}
    for source, weights in ((model, None), (sparse, path)):
        read = bert.load(folder, weights)
        for name in linear_names(model):
            np.testing.assert_array_equal(
                linear_of(read, name).weight, linear_of(source, name).weight
            )
            np.testing.assert_array_equal(linear_of(read, name).bias, linear_of(source, name).bias)
        np.testing.assert_array_equal(
            read.layers[1].output_norm.gain, source.layers[1].output_norm.gain
        )
    with pytest.raises(FrontendError, match="no such file"):
        bert.load(folder, tmp_path / "missing")


def write_folder(folder: Path, model):
    folder.mkdir()
    config = model.config
    values = {
        "model_type": "bert",
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions,
        "type_vocab_size": config.types,
        "hidden_act": config.activation,
    }
    (folder / "config.json").write_text(json.dumps(values))
    save(model, folder / "model.safetensors", {})


def test_what_is_refused(model, texts):
    with pytest.raises(SparsityError, match="layer '7.query': the model has no such linear layer"):
        sparsify(model, {"7.query": SERIES[0]}, texts.batch)
    with pytest.raises(SparsityError, match="compensation needs calibration sentences"):
        sparsify(model, {}, None)
    with pytest.raises(SparsityError, match="M must divide the block of 4, not 8"):
        candidates_of(model, SERIES, replace(ARRAY, block=4))


def test_shapes_that_groups_do_not_divide_are_noted(model):
    assert padded_layers(model, candidates_of(model, SERIES, ARRAY)) == {}
    odd = synthetic_bert(hidden=40, heads=1, intermediate=64)
    array = replace(ARRAY, block=16)
    notes = padded_layers(odd, candidates_of(odd, (parse_series("2:8+3:16"),), array))
    assert list(notes) == ["0.query", "0.key", "0.value", "0.projection", "0.expand"]
    assert notes["0.query"] == "40 inputs are filled up with zeros to groups of 16"


def test_empty_layer(model, texts):
    layer = model.layers[0]
    empty = replace(layer, query=replace(layer.query, weight=np.zeros_like(layer.query.weight)))
    hollow = replace(model, layers=(empty, *model.layers[1:]))
    for method in (Method(), GREEDY):
        sparse = sparsify(hollow, {"0.query": SERIES[0]}, texts.batch, method)
        assert not np.any(sparse.layers[0].query.weight)
        assert np.all(np.isfinite(sparse.layers[0].query.bias))
    assert COSTS.model(hollow).multiply_adds < dense_slots(model)


def test_candidates_fit_the_block():
    assert [str(series[0]) for series in default_series(ARRAY)] == [
        f"{count}:8" for count in range(2, 8)
    ]
    assert [series[0].n for series in default_series(ArrayConfig(block=4))] == [1, 2, 3]


def test_sentences():
    calibration, evaluation = sentences.calibration_sentences(), sentences.evaluation_sentences()
    assert len(calibration) >= 60 and len(evaluation) == 100
    assert not set(calibration) & set(evaluation)
