"""Figures of layers against what the hardware's rules say, and fronts of every measure."""

from dataclasses import replace

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.sw.energy import default_table
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.gemm.compiler import compile_gemm
from ageha.sw.gemm.matrices import random_activations
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.tasd import Term, decompose, parse_series
from ageha.sw.tasder.choice import KeptInputs
from ageha.sw.tasder.cost import dense_cost, series_cost
from ageha.sw.tasder.errors import BudgetError
from ageha.sw.tasder.figures import CostModel, Figures, Measure
from ageha.sw.tasder.fronts import figures_of, front_of, table_of, uniform_within
from ageha.sw.tasder.plan import candidates_of, within_budget
from ageha.sw.tasder.sparsify import linear_names

BASE = preset("base")
SERIES = tuple(map(parse_series, ("4:16", "8:16", "2:4+1:8", "12:16")))


@pytest.fixture(scope="module")
def model():
    return synthetic_bert(hidden=128, heads=4, intermediate=320, layers=2, seed=3)


@pytest.fixture(scope="module")
def losses(model):
    generator = np.random.default_rng(5)
    texts = ("4:16", "8:16", "2:4+1:8", "12:16")
    return {
        name: dict(zip(texts, sorted(generator.exponential(0.01, 4))[::-1], strict=True))
        for name in linear_names(model)
    }


def weights(n, k, seed=1):
    return np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)


@pytest.mark.parametrize("text", ["4:16", "8:16", "2:4+1:8"])
def test_a_series_saves_its_share(text):
    costs, series = CostModel(BASE), parse_series(text)
    share = sum(term.share for term in series)
    shares = costs.taken(weights(384, 1536), series).over(costs.dense(384, 1536))
    assert shares["multiply_adds"] == share
    assert shares["cycles"] == pytest.approx(share, abs=1e-3)
    form = series_cost(384, 1536, series, BASE.array)
    assert shares["bytes"] == round(form.bytes / (384 * 1536), 4)
    # Energy is between that of what is multiplied and that of what is moved.
    assert share < shares["energy"] < max(shares["bytes"], 1)
    assert shares["edp"] == pytest.approx(shares["energy"] * shares["cycles"], abs=1e-3)


@pytest.mark.parametrize("text", ["4:16", "2:4+1:8"])
def test_series_cost_no_less_than_their_weights(text):
    costs, series = CostModel(BASE), parse_series(text)
    for n, k in ((48, 64), (37, 83), (1, 16)):
        values = decompose(weights(n, k), series).approximation
        found, most = costs.weights(values), costs.taken(values, series)
        for measure in Measure:
            assert found.of(measure) <= most.of(measure)


def test_cycles_are_those_of_the_compiler():
    """The array's share of a program that the compiler makes of the same product."""
    n, k, tokens = 384, 384, 96
    values = decompose(weights(n, k), parse_series("8:16")).approximation
    costs = CostModel(BASE, tokens)
    flow = [Dataflow.COLUMN_SPARSE_OUTPUT]
    compiled = compile_gemm(values, random_activations(tokens, k, 1), BASE, flows=flow)
    found = costs.weights(values)
    assert found.cycles == pytest.approx(compiled.program.metadata["ideal_cycles"], rel=0.01)
    assert found.bytes == compiled.program.metadata["compressed_bytes"]


def test_what_does_not_save_cycles_stays_dense():
    """33 tokens: three tiles of 16 for csOS, 33 steps in a stationary flow."""
    costs, values = CostModel(BASE, tokens=33), weights(384, 384)
    dense = costs.dense(384, 384)
    full = costs.taken(values, parse_series("12:16"))
    assert (full.cycles, full.bytes, full.energy) == (dense.cycles, dense.bytes, dense.energy)
    assert full.multiply_adds == dense.multiply_adds * 3 // 4
    half = costs.taken(values, parse_series("8:16"))
    assert 0.6 * dense.cycles < half.cycles < dense.cycles and half.bytes < dense.bytes


def test_kept_inputs_save_cycles_and_no_bytes():
    costs, values = CostModel(BASE), weights(384, 1536)
    shares = costs.taken(values, KeptInputs(Term(8, 16))).over(costs.dense(384, 1536))
    assert shares["multiply_adds"] == 0.5 and shares["cycles"] == pytest.approx(0.5, abs=0.01)
    assert shares["bytes"] == 1 and 0.7 < shares["energy"] < 1


def test_energies_are_those_of_the_table():
    table = replace(default_table(), dram_64=0.0, memory_64=0.0, register_32=0.0, add_32=0.0)
    costs = CostModel(BASE, 16, table)
    results = 16 * 384 * table.multiply(BASE.array.accumulator_width, 16)
    assert costs.dense(384, 64).energy == round(16 * 384 * 64 * 0.2 + results)
    assert CostModel(BASE, 16).dense(384, 64).energy > costs.dense(384, 64).energy


def test_machine_without_stationary_flows():
    config = override(BASE, {"array.partial_rows": 0})
    dense = CostModel(config, 33).dense(384, 384)
    assert dense.cycles == pytest.approx(3 * dense_cost(384, 384, BASE.array).slots, rel=0.01)


@pytest.mark.parametrize("tokens", [33, 128])
def test_every_front_is_the_best_in_its_own_measure(model, losses, tokens):
    costs = CostModel(BASE, tokens)
    table = table_of(model, candidates_of(model, SERIES, BASE.array), costs)
    fronts = {measure: front_of(table, losses, measure) for measure in Measure}
    chosen = set()
    for limit in np.linspace(0, fronts[Measure.CYCLES].losses[0], 12):
        points = {measure: front.within_loss(limit) for measure, front in fronts.items()}
        for measure, point in points.items():
            own = figures_of(table, point).of(measure)
            assert own == point.cost
            assert own <= min(figures_of(table, it).of(measure) for it in points.values())
        chosen.add(len({tuple(point.series.items()) for point in points.values()}))
    assert max(chosen) > 1


def test_fronts_are_deterministic(model, losses):
    table = table_of(model, candidates_of(model, SERIES, BASE.array), CostModel(BASE))
    for measure in Measure:
        first, again = (front_of(table, losses, measure).points() for _ in range(2))
        assert first == again


def test_budgets_of_bytes(model, losses):
    """Indices cost bytes, so that no choice takes few: the nearest is said."""
    costs = CostModel(BASE)
    candidates = candidates_of(model, SERIES, BASE.array)
    front = front_of(table_of(model, candidates, costs), losses, Measure.BYTES)
    total = costs.dense_model(model).bytes
    point = within_budget(front, 0.8, total)
    assert point.cost <= 0.8 * total
    with pytest.raises(BudgetError, match=r"budget 0.25 is not reachable; nearest is 0\.[34]"):
        within_budget(front, 0.25, total)


def test_fullest_series_within_a_cost(model):
    costs = CostModel(BASE)
    dense = costs.dense_model(model)
    terms = {
        measure: uniform_within(model, costs, measure, int(0.75 * dense.of(measure)))
        for measure in (Measure.MULTIPLY_ADDS, Measure.BYTES)
    }
    assert terms[Measure.MULTIPLY_ADDS] == (Term(12, 16),)
    assert terms[Measure.BYTES] == (Term(7, 16),)
    assert uniform_within(model, costs, Measure.BYTES, 1) is None
    assert Figures(1, 2, 3, 4) + Figures(1, 1, 1, 1) == Figures(2, 3, 4, 5)
