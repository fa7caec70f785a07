"""Records of single products on the Verilog of `tiny`: keys, right results, no lost cycles."""

import numpy as np
import pytest

from ageha.bench.execute import build_library
from ageha.bench.gemm import GemmCase, measure_gemm
from ageha.bench.remembered import remembered_run
from ageha.bench.scale_sim import FORMULA, formula
from ageha.bench.sparse import Scheme, SparseBench, SparseCase
from ageha.hw.config import preset
from ageha.sw.energy import default_table, measure_energy
from ageha.sw.gemm.compiler import compile_gemm
from ageha.sw.gemm.flows import DENSE_FLOWS, SPARSE_FLOWS
from ageha.sw.gemm.matrices import random_activations
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.tasd import decompose, multiply_add_share, parse_series
from ageha.sw.tasder.figures import CostModel

TINY, BASE = preset("tiny"), preset("base")
COLUMN_SPARSE = Dataflow.COLUMN_SPARSE_OUTPUT

GEMM_KEYS = {
    "bench",
    "preset",
    "case",
    "flow",
    "cycles",
    "ideal_cycles",
    "utilization",
    "folds",
    "reference",
    "reference_cycles",
    "speedup",
    "mismatches",
}
RESIDENT_KEYS = {
    "bench",
    "preset",
    "case",
    "flow",
    "scheme",
    "density",
    "cycles",
    "ideal_cycles",
    "utilization",
    "dense_cycles",
    "speedup",
    "ideal_speedup",
    "compressed_bytes",
    "dense_bytes",
    "relative_error",
    "mismatches",
}
SPARSE_KEYS = RESIDENT_KEYS | {
    "layer_cycles",
    "predicted_cycles",
    "dense_layer_cycles",
    "layer_speedup",
    "energy_pj",
    "edp",
    "energy_parts",
    "dense_energy_pj",
    "dense_edp",
    "edp_improvement",
}


@pytest.fixture(scope="module")
def library():
    return build_library(TINY)


@pytest.mark.parametrize("flow", DENSE_FLOWS)
def test_dense_products(flow, library):
    case = GemmCase("square", 32, 64, 64)
    reference = formula(flow, case.shape, TINY.array)
    record = measure_gemm(case, flow, TINY, library, (reference, FORMULA))
    assert set(record) == GEMM_KEYS
    assert record["mismatches"] == 0
    assert record["utilization"] > 0.98
    assert record["speedup"] > 1


@pytest.mark.parametrize("flow", DENSE_FLOWS)
def test_heads_follow_each_other(flow, library):
    heads, one = (GemmCase("heads", 16, 16, 16, count) for count in (6, 1))
    cycles, alone = (
        measure_gemm(case, flow, TINY, library, (1, FORMULA))["cycles"] for case in (heads, one)
    )
    assert cycles - alone < 1.05 * 5 * 16**3 / 16


@pytest.mark.parametrize("flow", [Dataflow.DENSE_WEIGHT, Dataflow.DENSE_INPUT])
def test_results_follow_the_last_pass(flow, library):
    case = GemmCase("many rows", 64, 64, 16)
    flows = (flow, Dataflow.DENSE_OUTPUT)
    cycles, usual = (
        measure_gemm(case, each, TINY, library, (1, FORMULA))["cycles"] for each in flows
    )
    assert cycles - usual < TINY.array.partial_rows // 4


@pytest.mark.parametrize("flow", SPARSE_FLOWS)
def test_sparse_products(flow, library):
    weights = np.random.default_rng(2).normal(size=(64, 64))
    bench = SparseBench(TINY, library, tokens=48)
    record = bench.measure(SparseCase("random", weights), Scheme(flow, "magnitude", 0.5))
    assert set(record) == SPARSE_KEYS
    assert record["mismatches"] == 0
    assert record["density"] == pytest.approx(0.5, abs=0.02)
    assert record["ideal_speedup"] == pytest.approx(2, rel=0.02)
    assert record["speedup"] > 0.9 * record["ideal_speedup"]
    assert record["predicted_cycles"] == pytest.approx(record["layer_cycles"], rel=0.15)


def test_patterns_with_resident_operands(library):
    weights = np.random.default_rng(3).normal(size=(64, 64))
    bench = SparseBench(TINY, library, tokens=48, resident=True)
    scheme = Scheme(Dataflow.COLUMN_SPARSE_OUTPUT, "1:4")
    record = bench.measure(SparseCase("random", weights), scheme)
    assert set(record) == RESIDENT_KEYS
    assert record["mismatches"] == 0
    assert record["speedup"] > 0.85 * 4
    assert record["compressed_bytes"] < record["dense_bytes"]


@pytest.mark.parametrize("pattern", ["1:4", "2:4", "3:4", "4:4"])
def test_energy_that_a_search_expects(pattern, library):
    """Events of the array as the Verilog counts them, beside weights that come from DRAM once."""
    weights = decompose(
        np.random.default_rng(3).normal(size=(64, 96)), parse_series(pattern)
    ).approximation
    flow = COLUMN_SPARSE if np.any(weights == 0) else Dataflow.DENSE_OUTPUT
    compiled = compile_gemm(weights, random_activations(48, 96, 1), TINY, flows=[flow])
    counters = remembered_run(compiled.program, compiled.inputs, library).counters
    expected = CostModel(TINY, 48).weights(weights)
    assert counters["array_multiplies"] == 48 * np.count_nonzero(weights)
    weight_events = {
        "load_written_words": expected.bytes // 8,
        "dram_read_bytes": expected.bytes,
        "dram_written_bytes": 0,
    }
    found = measure_energy({**counters, **weight_events}, TINY, default_table())
    assert expected.energy == pytest.approx(found.total, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("series", ["1:4", "2:4", "2:4+1:8", "4:8+1:8", "2:4+2:8"])
def test_series_take_the_slots_of_their_terms(series):
    weights = np.random.default_rng(3).normal(size=(128, 256))
    bench = SparseBench(BASE, build_library(BASE), tokens=64, resident=True)
    record = bench.measure(SparseCase("random", weights), Scheme(COLUMN_SPARSE, series))
    assert record["mismatches"] == 0
    share = multiply_add_share(parse_series(series))
    assert record["ideal_speedup"] >= 0.999 / share
    assert record["speedup"] >= 0.95 / share
    assert record["utilization"] >= 0.95
