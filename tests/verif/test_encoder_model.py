"""The model of whole encoder layers: the bits of the golden device that runs their program."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ageha.bench.embedding import golden_embeddings, grouping_of
from ageha.bench.execute import run_golden
from ageha.hw.config import override, preset
from ageha.hw.isa import Activation
from ageha.sw.calibrate import calibrate, calibration_tokens
from ageha.sw.compiler import compile_encoder, quantise_layers
from ageha.sw.embedding import sentence_embedding
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.passes.tiling import Tiling
from ageha.sw.quantise import MASKED
from ageha.sw.reference import embed
from ageha.sw.sparsity.tasd import Term, parse_series
from ageha.sw.tasder.plan import uniform_choice
from ageha.sw.tasder.sparsify import GREEDY, sparsify
from ageha.verif.golden.encoder import Grouping, run_encoder

ECP5 = override(preset("ecp5"), {"vector.lanes": 8})
"""A machine that keeps activations in groups of 8."""
BASE = preset("base")
"""A machine that takes both planes of probabilities at once."""

TILINGS = [
    Tiling(heads=2, query_rows=8, rows=16, chunk=64, projection=32),
    Tiling(heads=4, query_rows=8, rows=8, chunk=48, projection=40, keep_residual=False),
    Tiling(heads=1, query_rows=16, rows=8, chunk=128, projection=64),
    Tiling(heads=2, query_rows=8, rows=8, chunk=64, projection=32, keep_residual=False, tokens=7),
]


CASES = [
    ([17], "gelu", None, {}),
    ([5, 1, 9], "relu", "2:8", {1: Term(3, 8)}),
    ([6, 11], "gelu", "4:8", {0: Term(1, 4), 1: Term(5, 8)}),
    ([17], "gelu", None, {0: Term(1, 4), 1: Term(5, 8)}),
]


@pytest.mark.parametrize(
    ("config", "tiling", "lengths", "activation", "series", "kept"),
    [
        *((ECP5, tiling, *case) for tiling, case in zip(TILINGS, CASES, strict=True)),
        (BASE, TILINGS[0], *CASES[0]),
        (BASE, TILINGS[2], [5, 1, 9], "relu", None, {}),
    ],
)
def test_bits_are_those_of_the_program(config, tiling, lengths, activation, series, kept):
    model = synthetic_bert(hidden=128, heads=4, intermediate=256, layers=2)
    model = replace(model, config=replace(model.config, activation=activation))
    if series:
        choice = uniform_choice(model, parse_series(series))
        model = sparsify(model, choice, None, GREEDY)
    texts = {f"{layer}.contract": str(term) for layer, term in kept.items()}
    model = replace(model, activations=texts)
    program = compile_encoder(model, config, lengths, (0, 1), tiling=tiling)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    shape = sum(lengths), model.config.hidden
    x = np.random.default_rng(seed).integers(-4000, 4000, shape).astype(np.int16)
    expected = run_golden(program, {"input": x}).outputs["output"]
    layers = quantise_layers(model, (0, 1), calibrate(model, (0, 1), calibration_tokens(model)))
    grouping = Grouping(tiling.heads, tiling.chunk, config.array)
    function = Activation[activation.upper()]
    numbers = [layer for _, layer in layers]
    found = run_encoder(x, numbers, 4, lengths, grouping, function, kept)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("norm_first", "lengths"), [(True, [17]), (True, [5, 9]), (False, [11])])
def test_norms_that_come_first_and_masks(norm_first, lengths):
    sizes = {"hidden": 128, "heads": 4, "intermediate": 256, "layers": 2}
    model = synthetic_bert(**sizes, norm_first=norm_first)
    tiling = TILINGS[0]
    program = compile_encoder(model, ECP5, lengths, (0, 1), tiling=tiling, masked=True)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    x = generator.integers(-4000, 4000, (sum(lengths), 128)).astype(np.int16)
    mask = np.full((len(lengths), max(lengths)), MASKED, np.int16)
    for row, length in zip(mask, lengths, strict=True):
        row[: generator.integers(1, length + 1)] = 0
    expected = run_golden(program, {"input": x, "mask": mask}).outputs["output"]
    ranges = calibrate(model, (0, 1), calibration_tokens(model))
    layers = [layer for _, layer in quantise_layers(model, (0, 1), ranges, masked=True)]
    grouping = Grouping(tiling.heads, tiling.chunk, ECP5.array)
    found = run_encoder(x, layers, 4, lengths, grouping, norm_first=norm_first, mask=mask)
    np.testing.assert_array_equal(found, expected)


def test_embeddings_are_those_of_the_golden_device():
    model = synthetic_bert(hidden=128, heads=4, intermediate=256, layers=2)
    grouping = grouping_of(model.config, ECP5.array)
    tiling = Tiling(grouping.heads, 8, 16, grouping.chunk, 32)
    tokens = [np.array(ids) for ids in ([1, 5, 9, 2], [7], [3, 3, 8])]
    program = compile_encoder(model, ECP5, [4, 1, 3], (0, 1), tiling=tiling)
    x = np.concatenate([embed(model, ids) for ids in tokens])
    outputs = run_golden(program, {"input": program.inputs[0].from_float(x)}).outputs
    rows = program.outputs[0].to_float(outputs["output"])
    expected = [sentence_embedding(part) for part in np.split(rows, [4, 5])]
    found = golden_embeddings(model, tokens, grouping)
    np.testing.assert_array_equal(found, expected)


def test_grouping_divides_the_heads():
    config = synthetic_bert(hidden=96, heads=3, intermediate=64).config
    assert grouping_of(config, ECP5.array) == Grouping(1, 64, ECP5.array)
    assert grouping_of(synthetic_bert(hidden=128, heads=4).config, ECP5.array).heads == 1
