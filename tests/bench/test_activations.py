"""Products of compressed activations on the Verilog of `tiny`: right results, no lost slots."""

import numpy as np
import pytest

from ageha.bench.activations import ActivationBench, ActivationCase
from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.hw.config import preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw.compiler import compile_encoder
from ageha.sw.errors import CompileError
from ageha.sw.frontend.bert import keep_activations
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.verif.devices.library import MemorySettings

TINY = preset("tiny")


@pytest.fixture(scope="module")
def bench():
    return ActivationBench(TINY, build_library(TINY), ActivationCase(16, 32, 128))


@pytest.mark.parametrize("series", ["1:4", "1:2", "3:4", "1:4+1:4", "4:4"])
def test_slots_are_all_that_a_product_takes(bench, series):
    record = bench.measure(series)
    assert record["mismatches"] == 0
    assert record["utilization"] > 0.93
    assert record["speedup"] > 0.93 * record["ideal_speedup"]
    # What is kept of the last tile is written when all of it is there.
    assert record["vector_cycles"] < record["dense_vector_cycles"] + 2 * record["slots"] + 20


def test_keeping_all_is_dense(bench):
    assert bench.measure("4:4")["relative_error"] == 0


@pytest.mark.parametrize("series", ["1:2", "3:4"])
def test_layers_that_keep_some_run_on_the_verilog(bench, series):
    model = keep_activations(synthetic_bert(layers=2), [series])
    program = compile_encoder(model, TINY, 7, (0, 1))
    x = np.random.default_rng(5).integers(-4000, 4000, (7, 32)).astype(np.int16)
    rtl = run_rtl(program, {"input": x}, MemorySettings(stall_percent=20), bench.library)
    golden = run_golden(program, {"input": x})
    assert np.array_equal(rtl.outputs["output"], golden.outputs["output"])
    swapped = [
        item["residual_enable"]
        for item in decode_all(program.code)
        if item.opcode == Opcode.MATMUL
        and item["y_transposed"]
        and item["flow"] == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY
    ]
    assert swapped and all(swapped)


@pytest.mark.parametrize(
    ("series", "message"),
    [("1:8", "M must be at most 4"), ("5:4", "N must be from 1 to 4"), ("", "a series is N:M")],
)
def test_what_cannot_be_kept_is_refused(bench, series, message):
    with pytest.raises(CompileError, match=message):
        bench.measure(series)


def test_a_case_that_does_not_fit_is_refused(bench):
    with pytest.raises(CompileError, match="the limit is 2048"):
        ActivationBench(TINY, bench.library, ActivationCase(128, 128, 128))


@pytest.mark.slow
@pytest.mark.parametrize("series", ["1:8", "1:4", "2:4", "4:8+1:8", "12:16"])
def test_kept_activations_take_their_slots_on_base(series):
    """Decomposed by the vector unit, multiplied by the array: 95 % of what their slots allow."""
    base = preset("base")
    record = ActivationBench(base, build_library(base), ActivationCase()).measure(series)
    assert record["mismatches"] == 0
    assert record["speedup"] >= 0.95 * record["ideal_speedup"]
    assert record["utilization"] >= 0.95
