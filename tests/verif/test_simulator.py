"""The simulators run what they are given, and fail when it fails."""

import ctypes

import pytest
from toys import Adder

from ageha.verif.simulator import BenchFailure, build_library, elaborate, run_bench
from ageha.verif.verilator import VerilatorError

HARNESS = """
#include "Vtop.h"
extern "C" unsigned add(unsigned a, unsigned b) {
    VerilatedContext context;
    Vtop model{&context};
    model.a = a;
    model.b = b;
    for (int edge = 0; edge < 4; ++edge) {
        model.clk = edge & 1;
        model.eval();
    }
    return model.sum;
}
"""


@pytest.mark.parametrize("width", [4, 9])
def test_bench_passes(width):
    assert run_bench(Adder(width), "selftest", parameters={"width": width}, testcase="adds") == 1


def test_planted_error_fails():
    with pytest.raises(BenchFailure, match="AGEHA_SEED=5"):
        run_bench(Adder(4, offset=1), "selftest", parameters={"width": 4}, seed=5, testcase="adds")


def test_no_test_run_fails():
    with pytest.raises(BenchFailure, match="no test ran"):
        run_bench(Adder(4), "selftest", parameters={"width": 4}, testcase="absent")


def test_unknown_bench_fails():
    with pytest.raises(BenchFailure, match="no module"):
        run_bench(elaborate(Adder(4)), "no_such_bench")


def test_seed_is_replayed_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("AGEHA_SEED", "77")
    run_bench(Adder(4), "selftest", parameters={"width": 4}, testcase="adds")
    assert "seed 77" in capsys.readouterr().out


def test_library_runs(tmp_path):
    harness = tmp_path / "harness.cpp"
    harness.write_text(HARNESS)
    path = build_library(elaborate(Adder(9)), "top", [harness])
    assert ctypes.CDLL(str(path)).add(500, 17) == 517
    assert build_library(elaborate(Adder(9)), "top", [harness]) == path


def test_harness_is_part_of_the_key(tmp_path):
    harness = tmp_path / "harness.cpp"
    harness.write_text(HARNESS)
    first = build_library(elaborate(Adder(9)), "top", [harness])
    harness.write_text(HARNESS.replace("model.sum", "model.sum + 1"))
    assert ctypes.CDLL(str(build_library(elaborate(Adder(9)), "top", [harness]))).add(1, 1) == 3
    assert ctypes.CDLL(str(first)).add(1, 1) == 2


def test_bad_harness_names_the_error(tmp_path):
    harness = tmp_path / "harness.cpp"
    harness.write_text("int broken")
    with pytest.raises(VerilatorError, match="expected"):
        build_library(elaborate(Adder(9)), "top", [harness])
