"""Activations that are kept N:M in encoder layers: swapped products, equal results, errors."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw.calibrate import calibrate, calibration_tokens
from ageha.sw.compiler import compile_encoder, quantise_layers
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError, FrontendError
from ageha.sw.frontend.bert import ACTIVATIONS_KEY, keep_activations, load
from ageha.sw.frontend.bert_save import save
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.passes.evaluate import REFUSED, Evaluator
from ageha.sw.passes.keep import parse_kept
from ageha.sw.passes.search import choose_tiling
from ageha.sw.passes.tiling import Shape, Tiling
from ageha.sw.sparsity.errors import SparsityError
from ageha.sw.sparsity.kept import Kept, single_term
from ageha.sw.sparsity.tasd import Term, decompose, parse_series
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.golden.activation_compressor import compress
from ageha.verif.golden.compressed_operand import read_vectors

ECP5 = override(preset("ecp5"), {"vector.lanes": 8})
TILINGS = [
    Tiling(heads=2, query_rows=8, rows=16, chunk=64, projection=32),
    Tiling(heads=4, query_rows=8, rows=8, chunk=48, projection=40, depth=1, keep_residual=False),
]


def kept_bert(text, layers=2):
    model = synthetic_bert(hidden=128, heads=4, intermediate=256, layers=layers)
    return replace(model, activations={f"{layer}.contract": text for layer in range(layers)})


def products(program):
    return [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]


def output(program, x, order=None):
    device = GoldenDevice(program.config, seed=order)
    return run_program(device, program, {"input": x}).outputs["output"]


def inputs(rows):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return np.random.default_rng(seed).integers(-4000, 4000, (rows, 128)).astype(np.int16)


@pytest.mark.parametrize(("tiling", "lengths"), [(TILINGS[0], [19]), (TILINGS[1], [7, 12])])
def test_keeping_all_changes_nothing(tiling, lengths):
    """8:8 is the dense product with swapped operands: every bit is that of the dense program."""
    arguments = (ECP5, lengths, (0, 1))
    program = compile_encoder(kept_bert("8:8"), *arguments, tiling=tiling)
    dense = compile_encoder(replace(kept_bert("8:8"), activations={}), *arguments, tiling=tiling)
    swapped = [
        item for item in products(program) if item["y_transposed"] and item["residual_enable"]
    ]
    assert {item["flow"] for item in swapped} == {Flow.COLUMN_SPARSE_OUTPUT_STATIONARY}
    assert len(products(program)) == len(products(dense))
    x = inputs(sum(lengths))
    expected = output(dense, x)
    for order in (None, 1, 2):
        assert np.array_equal(output(program, x, order), expected)


@pytest.mark.parametrize("text", ["2:4", "1:8+2:8"])
def test_fewer_are_near(text):
    tiling = TILINGS[0]
    x = inputs(19)
    program = compile_encoder(kept_bert(text), ECP5, 19, (0, 1), tiling=tiling)
    dense = compile_encoder(
        replace(kept_bert(text), activations={}), ECP5, 19, (0, 1), tiling=tiling
    )
    found, expected = (output(it, x).astype(float).ravel() for it in (program, dense))
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert 0.9 < cosine < 1
    assert np.array_equal(output(program, x, 3), output(program, x))


@pytest.mark.parametrize("name", ["tiny", "ecp5", "base"])
def test_words_hold_what_is_kept(name):
    config = preset(name)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    numbers = np.random.default_rng(seed)
    array = config.array
    for m in (size for size in (2, 4, 8, 16) if size <= config.largest_kept_group):
        for n in range(1, m + 1):
            rows, columns = (int(numbers.integers(1, most)) for most in (40, 100))
            values = numbers.integers(-9, 10, (rows, columns)).astype(np.int8)
            kept = Kept(Term(n, m), config)
            words = compress(values, kept)
            assert len(words) == kept.words(rows, columns)
            tiles, blocks = -(-rows // array.columns), -(-columns // array.block)
            found = np.zeros((tiles * array.columns, blocks * array.block), dtype=np.int64)
            pieces = read_vectors(words, False, tiles, blocks, array.columns, array.block)
            for number, (places, indices, elements) in enumerate(pieces):
                assert len(places) == kept.slots(columns)
                column = number * array.columns + np.arange(array.columns)
                np.add.at(found, (column, places[:, None] * array.block + indices), elements)
            assert np.array_equal(found[:rows, :columns], kept.select(values))
            assert np.array_equal(
                kept.select(values), decompose(values, [Term(n, m)]).approximation
            )


@pytest.mark.parametrize(
    ("series", "settings", "message"),
    [
        ("9:8", {}, "layer 0, feed-forward contraction: term 9:8: N must be from 1 to 8, not 9"),
        ("4:16", {}, "activations 4:16: M must be at most 8, the smaller of array.block"),
        ("half", {}, "a series is N:M terms joined by"),
        ("2:4+1:8", {}, "activations: terms must have one M, not 2:4, 1:8"),
        ("2:4", {"array.block": 1}, "the machine compresses no activations"),
        ("2:4", {"vector.kept_slots": 0}, "the machine compresses no activations"),
        ("8:8", {"vector.kept_slots": 64}, "256 columns take 256 slots; the limit is vector.kept"),
        ("2:4", {"array.rows": 4}, "must begin at a multiple of array.columns = 8, not 4"),
    ],
)
def test_what_cannot_be_kept_is_refused(series, settings, message):
    tiling = Tiling(
        heads=2, query_rows=8, rows=4 if "array.rows" in settings else 8, chunk=256, projection=32
    )
    with pytest.raises(CompileError, match=message.replace("+", r"\+")):
        compile_encoder(kept_bert(series), override(ECP5, settings), 9, tiling=tiling)


def test_single_terms():
    assert single_term(parse_series("1:8+2:8")) == Term(3, 8)
    with pytest.raises(SparsityError, match="terms must have one M"):
        single_term(parse_series("1:8+2:4"))


def test_a_checkpoint_says_what_is_kept(tmp_path):
    model = load()
    kept = replace(model, activations={"2.contract": "4:8"})
    path = tmp_path / "kept.safetensors"
    save(kept, path, {})
    assert load(weights=path).activations == {"2.contract": "4:8"}
    assert model.activations == {}
    for text, message in (("[", "must be a JSON object"), ('{"0.query": "4:8"}', "may name 0.con")):
        save(model, path, {ACTIVATIONS_KEY: text})
        with pytest.raises(FrontendError, match=message):
            load(weights=path)


def test_what_a_command_names():
    model = kept_bert("4:8")
    assert keep_activations(model, []).activations == model.activations
    texts = ["2:8", "1.contract=1:8"]
    assert keep_activations(model, texts).activations == {"0.contract": "2:8", "1.contract": "1:8"}
    with pytest.raises(FrontendError, match="must be one of 0.contract to 1.contract"):
        keep_activations(model, ["0.query=1:8"])


def test_search_counts_what_is_kept():
    """Of three layers the last one keeps some: cycles that are saved show, and limits."""
    model = replace(kept_bert("2:8", layers=3), activations={"2.contract": "2:8"})
    layers = quantise_layers(model, range(3), calibrate(model, range(3), calibration_tokens(model)))
    shape = Shape.of(model.config, 19)
    dense = choose_tiling(shape, layers, ECP5)
    kept = parse_kept({2: "2:8"}, ECP5)
    found = choose_tiling(shape, layers, ECP5, kept=kept)
    assert found.cost.excess == 0 and found.cost.cycles < dense.cost.cycles
    small = override(ECP5, {"vector.kept_slots": 64})
    all_of_64 = parse_kept({2: "8:8"}, small)
    wide = replace(found.tiling, chunk=128)
    assert Evaluator(shape, layers, small, kept=all_of_64).cost(wide) == REFUSED
    assert choose_tiling(shape, layers, small, kept=all_of_64).tiling.chunk <= 64
