"""Schemes and matrices of the sparse measurement."""

import numpy as np
import pytest

from ageha.bench.sparse import (
    PRUNED,
    Scheme,
    cases,
    pruned_cases,
    pruned_schemes,
    schemes,
    summary,
)
from ageha.hw.config import preset
from ageha.sw.frontend.bert import load
from ageha.sw.gemm.flows import SPARSE_FLOWS
from ageha.sw.sparsity.dataflow import Dataflow

BASE = preset("base")
COLUMN_SPARSE = Dataflow.COLUMN_SPARSE_OUTPUT


def test_everything_is_measured():
    chosen = list(schemes(complete=True, block=16))
    for flow in SPARSE_FLOWS:
        densities = [item.density for item in chosen if item.flow == flow]
        assert [round(0.1 * step, 1) for step in range(1, 10)] == densities[:9]
    names = {item.text for item in chosen}
    assert {"1:4", "2:4", "1:8", "4:8", "4:8+1:8", "2:4+1:8", "2:4+2:8"} <= names
    assert {"unstructured 0.1", "unstructured 0.05"} <= names
    assert {item.flow for item in chosen if item.name != "magnitude"} == {COLUMN_SPARSE}


def test_the_choice_is_part_of_everything():
    chosen = set(schemes(complete=False, block=16))
    assert chosen < set(schemes(complete=True, block=16))
    assert {item.flow for item in chosen} == set(SPARSE_FLOWS)


def test_terms_fit_the_block():
    names = {item.name for item in schemes(complete=True, block=4)}
    assert "2:4" in names
    assert "4:8" not in names


def test_matrices():
    model = load()
    (one,) = cases(model)
    assert one.weights.shape == (1536, 384)
    chosen = cases(model, [0, 3])
    names = ["minilm 0.expand", "minilm 0.contract", "minilm 3.expand", "minilm 3.contract"]
    assert [item.name for item in chosen] == names
    assert [item.weights.shape for item in chosen] == [(1536, 384), (384, 1536)] * 2


@pytest.mark.parametrize(
    ("scheme", "share"),
    [
        (Scheme(Dataflow.SPARSE_OUTPUT, "magnitude", 0.3), 0.3),
        (Scheme(COLUMN_SPARSE, "1:4"), 0.25),
        (Scheme(COLUMN_SPARSE, "unstructured", 0.1), 0.1),
    ],
)
def test_schemes_prune(scheme, share):
    weights = np.random.default_rng(1).normal(size=(48, 64))
    pruned = scheme.apply(weights, BASE)
    assert np.count_nonzero(pruned) == pytest.approx(share * weights.size, rel=0.05)
    reference = scheme.reference(weights, BASE)
    np.testing.assert_array_equal(pruned, np.where(pruned != 0, reference, 0))


def test_pruned_weights():
    chosen = pruned_cases(complete=True)
    assert [item.weights.shape for item in chosen] == [(768, 768), (3072, 768), (768, 3072)]
    for item in chosen:
        assert np.count_nonzero(item.weights) == round(PRUNED * item.weights.size)
    assert len(pruned_cases(complete=False)) == 2


def test_schemes_of_pruned_weights():
    (matrix, *_) = pruned_cases(complete=False)
    first, *others = pruned_schemes(block=16)
    kept = first.apply(matrix.weights, BASE)
    assert np.count_nonzero(kept) == np.count_nonzero(matrix.weights)
    for scheme in others:
        kept = scheme.apply(matrix.weights, BASE)
        np.testing.assert_array_equal(kept, np.where(kept != 0, matrix.weights, 0))
    assert "1:8" in {scheme.name for scheme in others}
    assert "2:16" not in {scheme.name for scheme in pruned_schemes(block=8)}


def test_summary_tells_the_least_and_the_mean():
    figures = [("sOS", 0.98, 9.8), ("sWS", 0.97, 9.7), ("sOS", 0.96, 9.9)]
    records = [
        {"flow": flow, "scheme": "magnitude 0.1", "utilization": share, "speedup": speedup}
        for flow, share, speedup in figures
    ]
    first, second = summary(records)
    assert first == {
        "flow": "sOS",
        "scheme": "magnitude 0.1",
        "cases": 2,
        "least_utilization": 0.96,
        "mean_utilization": 0.97,
        "least_speedup": 9.8,
        "mean_speedup": 9.85,
    }
    assert (second["flow"], second["cases"]) == ("sWS", 1)
