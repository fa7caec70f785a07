"""Layers of all-MiniLM-L6-v2 on the machine `base`: equal in every bit, near to floats."""

from pathlib import Path

import pytest

from ageha.bench.attention import TEXT, measure_layer
from ageha.bench.embedding import compare_embeddings
from ageha.bench.execute import build_library, run_golden
from ageha.bench.measure import row_cosines
from ageha.bench.minilm import SENTENCES, MiniLm
from ageha.hw.config import preset
from ageha.verif.devices.library import MemorySettings

EXAMPLE = Path(__file__).parents[2] / "examples" / "sentences.txt"
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


@pytest.fixture(scope="module")
def whole(mini):
    return MiniLm(mini.config, layers=range(mini.model.config.layers))


@pytest.mark.slow
@pytest.mark.parametrize("length", [5, 32])
def test_whole_model_on_the_verilog(whole, library, length):
    """Six layers in one program, and the array does not wait between them."""
    record, case = measure_layer(whole, length, MemorySettings(latency=64), library)
    assert case.mismatches == 0
    assert record["embedding_cosine"] >= 0.993
    assert len(record["boundary_gaps"]) == 5
    if length == 32:
        assert sum(record["boundary_gaps"]) == 0
        assert record["roofline_cycles"] >= 0.97 * record["cycles"]
        assert record["predicted_cycles"] == pytest.approx(record["cycles"], rel=0.03)
        assert record["bytes_moved"] <= 1.02 * record["compulsory_bytes"]


@pytest.mark.slow
def test_embeddings_of_twenty_sentences(whole):
    """From 5 to 120 tokens, several in a program; the mean cosine to floats is at least 0.995."""
    texts = EXAMPLE.read_text(encoding="utf-8").splitlines()
    found = []
    for group in whole.batches(texts, 128):
        job = whole.job(*group)
        found += compare_embeddings(job, run_golden(job.program, job.inputs).outputs)
    lengths = [item.tokens for item in found]
    assert (len(found), min(lengths), max(lengths)) == (20, 5, 120)
    cosines = [item.cosine for item in found]
    print(f"mean {sum(cosines) / 20:.5f}, least {min(cosines):.5f}")
    assert sum(cosines) / 20 >= 0.995


def test_text_fills_the_longest_length(mini):
    assert len(mini.tokenizer.encode(TEXT)) >= 100
