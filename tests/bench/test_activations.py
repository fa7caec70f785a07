"""Products of compressed activations on the Verilog of `tiny`: right results, no lost slots."""

import pytest

from ageha.bench.activations import ActivationBench, ActivationCase
from ageha.bench.execute import build_library
from ageha.hw.config import preset
from ageha.sw.errors import CompileError

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
