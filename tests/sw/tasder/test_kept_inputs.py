"""Inputs that are kept as a choice beside series of weights: fit, losses, search, and forward."""

from dataclasses import replace

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.sw.calibrate import random_tokens
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.tasd import Term, decompose, parse_series
from ageha.sw.tasder.backward import LayerTrace
from ageha.sw.tasder.choice import KeptInputs, format_sparsity, kept_term, parse_sparsity
from ageha.sw.tasder.compensate import refit_to_kept
from ageha.sw.tasder.cost import dense_cost, kept_cost
from ageha.sw.tasder.figures import CostModel
from ageha.sw.tasder.forward import LayerRun, keep_largest, run_layers
from ageha.sw.tasder.fronts import choice_of, front_of, table_of
from ageha.sw.tasder.partial import Partial
from ageha.sw.tasder.plan import (
    Calibration,
    candidates_of,
    default_kept,
    quality_of,
)
from ageha.sw.tasder.search import DENSE
from ageha.sw.tasder.sensitivity import measure
from ageha.sw.tasder.sparsify import GREEDY, LayerInputs, Method, linear_names, sparsify

MACHINE = override(preset("tiny"), {"array.block": 8})
ARRAY = MACHINE.array
COSTS = CostModel(MACHINE)
SERIES = (parse_series("2:8"), parse_series("6:8"))
KEPT = (KeptInputs(Term(1, 4)), KeptInputs(Term(3, 4)))


@pytest.fixture(scope="module")
def model():
    return synthetic_bert(layers=2, seed=4)


@pytest.fixture(scope="module")
def texts(model):
    return Calibration.of(model, random_tokens(model, 12), seed=1)


@pytest.fixture(scope="module")
def losses(model, texts):
    candidates = candidates_of(model, SERIES, ARRAY, kept=KEPT)
    return measure(model, candidates, texts.batch, texts.sentences, Method())


def test_texts():
    for text in ("4:8+1:8", "activations 2:4"):
        assert format_sparsity(parse_sparsity(text)) == text
    assert parse_sparsity("activations 1:4+1:4") == KeptInputs(Term(2, 4))
    with pytest.raises(SparsityError, match="terms must have one M"):
        parse_sparsity("activations 1:4+1:8")


def test_weights_are_fitted_to_what_is_kept():
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(200, 16)) @ generator.normal(size=(16, 16))
    kept = keep_largest(inputs.astype(np.float32), Term(2, 4))
    weights = generator.normal(size=(5, 16))
    found = refit_to_kept(weights, inputs, kept, 1e-7)
    wanted = (inputs - inputs.mean(axis=0)) @ weights.T
    best, *_ = np.linalg.lstsq(kept - kept.mean(axis=0), wanted, rcond=None)
    np.testing.assert_allclose(found, best.T, atol=1e-3)
    np.testing.assert_allclose(refit_to_kept(weights, inputs, inputs), weights, rtol=1e-6)
    # The stronger they are held, the nearer the weights stay.
    moved = [
        np.linalg.norm(refit_to_kept(weights, inputs, kept, damping) - weights)
        for damping in (0.01, 1, 100)
    ]
    assert moved == sorted(moved, reverse=True)


def test_forward_pass_keeps_what_the_model_says(model, texts):
    kept = replace(model, activations={"1.contract": "1:4"})
    assert kept_term(kept, 0) is None and kept_term(kept, 1) == Term(1, 4)
    first = run_layers(replace(model, layers=model.layers[:1]), texts.batch)
    run = LayerRun(model.config, model.layers[1], first, texts.batch.lengths)
    for step in ("context", "hidden", "activated"):
        run.step(step)
    run.rows = decompose(run.rows, [Term(1, 4)]).approximation
    run.output()
    np.testing.assert_array_equal(run_layers(kept, texts.batch), run.rows)


def test_slopes_leave_out_what_is_dropped(model):
    """Of one token, dropping inputs is the same as weights that are zero."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(1, model.config.hidden)).astype(np.float32)
    layer = model.layers[0]
    kept = LayerTrace(model.config, layer, x, [1], Term(1, 4))
    run = LayerRun(model.config, layer, x, [1])
    for step in ("context", "hidden", "activated"):
        run.step(step)
    used = keep_largest(run.rows, Term(1, 4)) != 0
    contract = replace(layer.contract, weight=layer.contract.weight * used)
    masked = LayerTrace(model.config, replace(layer, contract=contract), x, [1])
    np.testing.assert_allclose(kept.output, masked.output, atol=1e-6)
    slope = generator.normal(size=x.shape).astype(np.float32)
    (found, slopes), (expected, others) = kept.back(slope), masked.back(slope)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(slopes["expand.weight"], others["expand.weight"], atol=1e-5)
    assert not np.any(slopes["contract.weight"][:, ~used[0]])
    assert not np.any(slopes["expand.bias"][~used[0]])


def test_only_contractions_keep_inputs(model):
    candidates = candidates_of(model, SERIES, ARRAY, kept=KEPT, dense=["1.contract"])
    assert candidates["0.contract"] == [*SERIES, *KEPT]
    assert candidates["1.contract"] == [] and candidates["0.expand"] == [*SERIES]
    fixed = candidates_of(replace(model, activations={"0.contract": "1:4"}), SERIES, ARRAY)
    assert fixed["0.contract"] == [KEPT[0]]
    with pytest.raises(SparsityError, match="layer '0.query': inputs are kept in front of contrac"):
        sparsify(model, {"0.query": KEPT[0]}, None, GREEDY)


def test_losses_of_kept_inputs_fall(losses):
    for name in ("0.contract", "1.contract"):
        assert losses[name]["activations 1:4"] > losses[name]["activations 3:4"] > 0


def test_fitted_weights_are_nearer(model, texts):
    choice = {"0.contract": KEPT[0], "1.contract": KEPT[0]}
    plain = quality_of(sparsify(model, choice, None, GREEDY), model, texts.sentences)
    fitted = quality_of(sparsify(model, choice, texts.batch), model, texts.sentences)
    assert plain.cosine < fitted.cosine < 1


def test_front_with_kept_inputs_is_never_behind(model, losses):
    """More to choose from: at every cost the loss is that of weights alone, or less."""
    fronts = {
        name: front_of(
            table_of(model, candidates_of(model, SERIES, ARRAY, kept=kept), COSTS), losses
        )
        for name, kept in (("weights", ()), ("both", KEPT))
    }
    for point in fronts["weights"].points():
        assert fronts["both"].within_cost(point.cost).loss <= point.loss


def test_search_takes_inputs_where_they_cost_less(model, texts):
    candidates = candidates_of(model, SERIES, ARRAY, kept=KEPT)
    cheap = {
        name: {format_sparsity(item): 0.01 for item in items} for name, items in candidates.items()
    }
    cheap["0.contract"] |= {"activations 1:4": 0.001}
    front = front_of(table_of(model, candidates, COSTS), cheap)
    total = sum(front.costs[-1:])
    point = front.within_loss(0.001)
    assert point.series == {"0.contract": "activations 1:4"}
    n, k = model.layers[0].contract.weight.shape
    saved = dense_cost(n, k, ARRAY).slots - kept_cost(n, k, Term(1, 4), ARRAY).slots
    assert total - point.cost == saved
    sparse = sparsify(model, choice_of(point), texts.batch)
    assert sparse.activations == {"0.contract": "1:4"}
    assert COSTS.model(sparse).multiply_adds == point.cost


def test_inputs_that_are_kept_in_any_case(model, losses):
    given = replace(model, activations={"1.contract": "3:4"})
    candidates = candidates_of(given, SERIES, ARRAY)
    front = front_of(table_of(given, candidates, COSTS), losses)
    assert all(point.series["1.contract"] == "activations 3:4" for point in front.points())
    assert DENSE not in front.points()[-1].series.values()
    assert set(candidates) == set(linear_names(model))


def test_default_terms_fit_the_machine():
    assert [str(item.term) for item in default_kept(MACHINE)] == ["1:4", "2:4", "3:4"]
    assert {item.term.m for item in default_kept(preset("base"))} == {16}
    with pytest.raises(SparsityError, match="the machine compresses no activations"):
        default_kept(override(MACHINE, {"vector.kept_slots": 0}))


def test_losses_do_not_depend_on_the_way_there(model, texts, losses, tmp_path):
    """Measured with weights first and inputs later, from a file: the same figures."""
    path = tmp_path / "partial.json"
    arguments = texts.batch, texts.sentences, Method()
    measure(model, candidates_of(model, SERIES, ARRAY), *arguments, partial=Partial(path, "key"))
    both = candidates_of(model, SERIES, ARRAY, kept=KEPT)
    assert measure(model, both, *arguments, partial=Partial(path, "key")) == losses


def test_layer_inputs_share_one_curvature(model, texts):
    inputs = LayerInputs(texts.batch.x, 0.03)
    assert inputs.curvature is inputs.curvature
