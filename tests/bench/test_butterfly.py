"""Measurement of butterflies: programs, accuracy, what fits."""

import numpy as np
import pytest

from ageha.bench.butterfly import (
    MODES,
    ButterflyCase,
    ButterflyProgram,
    decibels,
    fits,
    measure_butterfly,
)
from ageha.bench.execute import build_library, run_golden
from ageha.bench.half_precision import half_fourier
from ageha.hw.config import override, preset
from ageha.hw.isa import Axis

BASE = override(preset("base"), {"scratchpad.bytes": 2 << 20})


@pytest.mark.parametrize("axis", Axis)
@pytest.mark.parametrize(
    "mode, n", [("fft", 8), ("fft", 512), ("ifft", 128), ("bpmm", 256), ("hierarchical", 32)]
)
def test_results_are_more_accurate_than_half_precision(mode, n, axis):
    built = ButterflyProgram(ButterflyCase(mode, n, 5, axis), BASE)
    found = run_golden(built.program, built.builder.inputs)
    exact, half = built.references()
    assert decibels(exact, built.result(found.outputs)) >= decibels(exact, half) + 6
    assert found.counters["butterfly_multiplies"] > 0


def test_cycles_of_passes():
    built = ButterflyProgram(ButterflyCase("fft", 64, 64, Axis.HIDDEN), BASE)
    assert built.pass_cycles() == 4 * 3 * 32
    built = ButterflyProgram(ButterflyCase("fft", 64, 64, Axis.TOKENS), BASE)
    assert built.pass_cycles() == 3 * 128


def test_instructions_after_each_other():
    """Each costs its beats; what fills and empties the unit is paid once."""
    config = preset("tiny")
    library = build_library(config)
    for mode in ("fft", "bpmm"):
        lone, four = (
            measure_butterfly(ButterflyCase(mode, 64, 16, Axis.HIDDEN, count), config, library)
            for count in (1, 4)
        )
        assert four["instructions"] == 4
        assert four["ideal_cycles"] == 4 * lone["ideal_cycles"]
        assert four["cycles"] - lone["cycles"] <= 3 * (lone["ideal_cycles"] + 8)
        assert four["snr_db"] == lone["snr_db"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "large"])
@pytest.mark.parametrize("axis", Axis)
@pytest.mark.parametrize("mode", MODES)
def test_whole_machines_equal_the_golden_model(name, axis, mode):
    """`measure_butterfly` refuses a result that differs in a bit; lanes are full and part full."""
    config = preset(name)
    library = build_library(config)
    for n, tokens in ((16, 3), (32, 64), (64, 131)):
        case = ButterflyCase(mode, n, tokens, axis)
        assert fits(case, config) or (mode, n) == ("hierarchical", 64)
        if fits(case, config):
            measure_butterfly(case, config, library)


def test_what_does_not_fit():
    assert fits(ButterflyCase("fft", 64, 64, Axis.HIDDEN), BASE)
    for mode in ("fft", "bpmm"):
        case = ButterflyCase(mode, 8192, 512, Axis.HIDDEN)
        assert not fits(case, BASE)
        with pytest.raises(ValueError, match="operands take"):
            ButterflyProgram(case, preset("tiny"))


def test_decibels():
    assert decibels(np.array([1.0]), np.array([1.0])) == 300
    assert round(decibels(np.array([1.0]), np.array([0.9])), 6) == 20
    x = np.ones((1, 8), dtype=complex)
    assert np.allclose(half_fourier(half_fourier(x), inverse=True), x)
