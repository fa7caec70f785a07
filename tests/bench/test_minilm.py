"""Encoder layer 0 of all-MiniLM-L6-v2 on the machine `base`: equal in every bit, near to floats."""

import pytest

from ageha.bench.attention import TEXT, measure_layer
from ageha.bench.execute import build_library, run_golden
from ageha.bench.measure import row_cosines
from ageha.bench.minilm import SENTENCES, MiniLm
from ageha.hw.config import preset
from ageha.verif.devices.library import MemorySettings

PERFECT = MemorySettings()
SLOW = MemorySettings(latency=100, stall_percent=50, seed=3)


@pytest.fixture(scope="module")
def mini():
    return MiniLm(preset("base"))


@pytest.fixture(scope="module")
def library(mini):
    return build_library(mini.config)


@pytest.mark.parametrize("text", SENTENCES)
def test_golden_model_is_near_to_floats(mini, text):
    job = mini.job(text)
    (tensor,) = job.program.outputs
    outputs = run_golden(job.program, job.inputs).outputs
    cosines = row_cosines(tensor.to_float(outputs[tensor.name]), job.reference)
    assert sum(cosines) / len(cosines) >= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("settings", [PERFECT, SLOW], ids=["perfect", "slow"])
@pytest.mark.parametrize("length", [1, 7, 32, 128])
def test_verilog_equals_golden(mini, library, length, settings):
    record, case = measure_layer(mini, length, settings, library)
    assert case.mismatches == 0
    assert case.elements == length * mini.model.config.hidden
    assert record["cosine"] >= 0.995
    if settings is PERFECT and length == 128:
        assert record["utilization"] >= 0.8
        assert record["predicted_cycles"] == pytest.approx(record["cycles"], rel=0.05)


def test_text_fills_the_longest_length(mini):
    assert len(mini.tokenizer.encode(TEXT)) >= 100
