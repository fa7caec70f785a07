"""Several sentences in one program, masks, and embeddings of sentences."""

import numpy as np
import pytest

from ageha.hw.config import preset
from ageha.sw.calibrate import calibrate, calibration_tokens
from ageha.sw.compiler import compile_encoder, quantise_layers
from ageha.sw.driver import run_program
from ageha.sw.embedding import sentence_embedding, similarity
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.passes.tiling import Tiling
from ageha.sw.quantise import MASKED, MASKED_FRACTION
from ageha.sw.reference import embed, encoder
from ageha.verif.devices.golden import GoldenDevice

LENGTHS = (5, 17, 1, 8)
TILING = Tiling(1, 8, 16, 32, 16)
LAYERS = (0, 1)


@pytest.fixture(scope="module")
def model():
    return synthetic_bert(layers=2)


def sentences(model, seed=3):
    generator = np.random.default_rng(seed)
    return [
        embed(model, generator.integers(0, model.config.vocabulary, length)) for length in LENGTHS
    ]


def run(program, x, seed=None, **inputs):
    device = GoldenDevice(program.config, seed=seed)
    inputs["input"] = program.inputs[0].from_float(x)
    return run_program(device, program, inputs).outputs["output"]


@pytest.mark.parametrize("name", ["ecp5", "base"])
def test_sentence_of_a_batch_is_as_if_alone(model, name):
    config, inputs = preset(name), sentences(model)
    batch = compile_encoder(model, config, LENGTHS, LAYERS, tiling=TILING)
    together = run(batch, np.concatenate(inputs))
    np.testing.assert_array_equal(run(batch, np.concatenate(inputs), seed=7), together)
    parts = np.split(together, np.cumsum(LENGTHS)[:-1])
    for x, part in zip(inputs, parts, strict=True):
        alone = compile_encoder(model, config, len(x), LAYERS, tiling=TILING)
        np.testing.assert_array_equal(run(alone, x), part)


def test_batch_loads_every_weight_once(model):
    metadata = compile_encoder(model, preset("ecp5"), LENGTHS, LAYERS).metadata
    assert metadata["lengths"] == list(LENGTHS)
    assert metadata["sequence_length"] == sum(LENGTHS)
    assert metadata["loaded_bytes"] + metadata["stored_bytes"] == metadata["compulsory_bytes"]
    operations = sum(len(product["instructions"]) for product in metadata["products"])
    assert operations == len({i for item in metadata["products"] for i in item["instructions"]})
    scores = [item for item in metadata["products"] if item["name"] == "scores"]
    assert [item["n"] for item in scores] == 2 * sorted(LENGTHS)
    assert all(item["count"] == model.config.heads for item in scores)


def masked_inputs(x, rows, padding=0.0):
    padded = np.full((rows, x.shape[1]), padding)
    padded[: len(x)] = x
    mask = np.full((1, rows), MASKED, dtype=np.int16)
    mask[0, : len(x)] = 0
    return padded, mask


@pytest.mark.parametrize("name", ["tiny", "ecp5", "base"])
def test_one_masked_program_runs_every_shorter_sentence(model, name):
    program = compile_encoder(model, preset(name), 20, LAYERS, masked=True)
    assert [tensor.name for tensor in program.inputs] == ["input", "mask"]
    for x in sentences(model):
        padded, mask = masked_inputs(x, 20)
        output = program.outputs[0].to_float(run(program, padded, mask=mask))[: len(x)]
        expected = encoder(model, x, list(LAYERS))
        assert sentence_embedding(output) @ sentence_embedding(expected) > 0.999


def test_keys_beyond_a_sentence_get_no_probability(model):
    """Values of masked tokens as large as they can be leave no trace but in the scale of V."""
    program = compile_encoder(model, preset("tiny"), 12, masked=True)
    (x,) = (item for item in sentences(model) if len(item) == 5)
    quiet, loud = (
        run(program, padded, mask=mask)[:5].astype(int)
        for padded, mask in (masked_inputs(x, 12, padding) for padding in (0.0, -30.0))
    )
    padded, mask = masked_inputs(x, 12, -30.0)
    unmasked = run(program, padded, mask=np.zeros_like(mask))[:5].astype(int)
    assert np.abs(quiet - loud).max() < 0.1 * np.abs(quiet - unmasked).max()


def test_masked_scores_leave_room(model):
    ranges = calibrate(model, LAYERS, calibration_tokens(model))
    for _, layer in quantise_layers(model, LAYERS, ranges, masked=True):
        assert layer.fractions.scores <= MASKED_FRACTION
    for number, layer in quantise_layers(model, LAYERS, ranges, masked=True):
        assert np.ldexp(ranges[number].scores, layer.fractions.scores) <= 1 << 13


def test_batch_of_masked_sentences(model):
    """Each sentence of a batch has its own row of the mask."""
    program = compile_encoder(model, preset("ecp5"), (12, 12), masked=True)
    first, second = (item for item in sentences(model) if len(item) in (5, 8))
    pairs = [masked_inputs(x, 12) for x in (first, second)]
    mask = np.concatenate([mask for _, mask in pairs])
    output = run(program, np.concatenate([x for x, _ in pairs]), mask=mask)
    for place, x in ((0, first), (12, second)):
        y = program.outputs[0].to_float(output[place : place + len(x)])
        assert sentence_embedding(y) @ sentence_embedding(encoder(model, x, [0])) > 0.999


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((), "batch must have at least 1"), ((3, 0), "not 0"), ((3, 65), "from 1 to 64, .* not 65")],
)
def test_wrong_batches_are_refused(model, lengths, message):
    with pytest.raises(CompileError, match=message):
        compile_encoder(model, preset("tiny"), lengths)


def test_embedding_is_the_mean_of_the_sentence():
    hidden = np.array([[3.0, 0.0], [3.0, 8.0], [100.0, 100.0]])
    found = sentence_embedding(hidden, np.array([True, True, False]))
    np.testing.assert_allclose(found, [0.6, 0.8])
    np.testing.assert_allclose(similarity(np.stack([found, [1.0, 0.0]])), [[1, 0.6], [0.6, 1]])
    with pytest.raises(ValueError, match="at least 1 token"):
        sentence_embedding(hidden, np.zeros(3, dtype=bool))
