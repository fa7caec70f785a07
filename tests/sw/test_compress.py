"""Sparse weights in encoder layers: compressed blocks, equal results, fewer cycles."""

import random
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw import compiler
from ageha.sw.calibrate import calibrate, random_tokens
from ageha.sw.compiler import compile_encoder
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.passes.compress import SparseWeights
from ageha.sw.passes.evaluate import Evaluator
from ageha.sw.passes.tiling import Tiling
from ageha.sw.sparsity.tasd import parse_series
from ageha.sw.tasder.forward import LINEARS
from ageha.sw.tasder.sparsify import GREEDY, linear_names, sparsify
from ageha.verif.devices.golden import GoldenDevice

ECP5 = preset("ecp5")
SPARSE = Flow.COLUMN_SPARSE_OUTPUT_STATIONARY
TILINGS = [
    Tiling(heads=2, query_rows=8, rows=16, chunk=64, projection=32),
    Tiling(heads=1, query_rows=16, rows=8, chunk=128, projection=64),
    Tiling(heads=4, query_rows=8, rows=16, chunk=48, projection=40, depth=1, keep_residual=False),
]


def sparse_bert(text, layers=1, **sizes):
    """Return a model whose linear layers take the series of `text` in turn."""
    model = synthetic_bert(hidden=128, heads=4, intermediate=256, layers=layers, **sizes)
    series = cycle(map(parse_series, text.split()))
    return sparsify(model, dict(zip(linear_names(model), series, strict=False)), None, GREEDY)


def dense_program(monkeypatch, *arguments, **options):
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "SparseWeights", lambda constants, config: {})
        return compile_encoder(*arguments, **options)


def flows(program):
    products = [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]
    return [Flow(item.values.get("flow", 0)) for item in products]


def sparse_products(program):
    products = [item.opcode == Opcode.MATMUL for item in decode_all(program.code)]
    labels = [
        label for label, found in zip(program.metadata["labels"], products, strict=False) if found
    ]
    pairs = zip(labels, flows(program), strict=True)
    return {label.partition(".")[2] for label, flow in pairs if flow == SPARSE}


def run(program, x, order=None):
    device = GoldenDevice(program.config, seed=order)
    return run_program(device, program, {"input": x}).outputs["output"]


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize(("text", "lengths"), [("4:8", [19]), ("1:8", [7, 12])])
def test_sparse_layers_are_those_of_dense_products(monkeypatch, tiling, text, lengths):
    model = sparse_bert(text, layers=2)
    arguments = (model, ECP5, lengths, (0, 1))
    program = compile_encoder(*arguments, tiling=tiling)
    dense = dense_program(monkeypatch, *arguments, tiling=tiling)
    assert SPARSE not in flows(dense)
    assert sparse_products(program) == set(LINEARS)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    shape = sum(lengths), model.config.hidden
    x = np.random.default_rng(seed).integers(-4000, 4000, shape).astype(np.int16)
    expected = run(dense, x)
    for order in (None, seed, seed + 1):
        np.testing.assert_array_equal(run(program, x, order), expected)
    assert program.metadata["predicted_cycles"] < dense.metadata["predicted_cycles"]


def test_weights_stay_dense_where_tokens_stream_past_them_faster():
    # Nine tokens are two tiles of rows for csOS, at three quarters each, and nine rows for dWS.
    model, feed_forward = sparse_bert("6:8"), {"expand", "contract"}
    assert not feed_forward & sparse_products(compile_encoder(model, ECP5, 9, tiling=TILINGS[0]))
    assert feed_forward <= sparse_products(compile_encoder(model, ECP5, 16, tiling=TILINGS[0]))


def test_mixed_series_over_layers(monkeypatch):
    text = "4:8+1:8 2:4+1:8 2:4+2:8 1:4 2:8"
    model = sparse_bert(text, layers=2)
    arguments = (model, ECP5, [5, 8], (0, 1))
    program = compile_encoder(*arguments, tiling=TILINGS[0])
    dense = dense_program(monkeypatch, *arguments, tiling=TILINGS[0])
    assert sparse_products(program) == set(LINEARS)
    x = np.random.default_rng(6).integers(-4000, 4000, (13, 128)).astype(np.int16)
    np.testing.assert_array_equal(run(program, x), run(dense, x))


def test_a_search_compresses_as_well(monkeypatch):
    model = sparse_bert("2:8")
    program = compile_encoder(model, ECP5, 32)
    dense = dense_program(monkeypatch, model, ECP5, 32)
    assert SPARSE in flows(program)
    assert program.metadata["predicted_cycles"] < dense.metadata["predicted_cycles"]
    sizes = [sum(segment.size for segment in item.segments) for item in (program, dense)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("tiling", [TILINGS[0], None])
def test_weights_stay_dense_where_slots_find_no_room(monkeypatch, tiling):
    def refuse(graph, weights, config):
        raise CompileError("no room")

    monkeypatch.setattr(compiler, "compress", refuse)
    assert SPARSE not in flows(compile_encoder(sparse_bert("2:8"), ECP5, 9, tiling=tiling))


def test_the_search_sees_compressed_weights():
    model = sparse_bert("1:8")
    quantised = compiler.quantise_layers(model, (0,), calibrate(model, (0,), random_tokens(model)))
    weights = SparseWeights(compiler.constants_of(quantised), ECP5)
    arguments = compiler.Shape.of(model.config, 32), quantised, ECP5
    sparse, dense = Evaluator(*arguments, weights), Evaluator(*arguments)
    assert sparse.cost(TILINGS[0]).cycles < dense.cost(TILINGS[0]).cycles


def test_dense_weights_stay_dense():
    model = synthetic_bert(hidden=64, heads=2, intermediate=128)
    assert SPARSE not in flows(compile_encoder(model, ECP5, 9))
    without = override(ECP5, {"array.block": 1})
    assert SPARSE not in flows(compile_encoder(sparse_bert("1:8"), without, 9))


def test_empty_layers_run(monkeypatch):
    model = sparse_bert("2:8")
    layer = model.layers[0]
    gone = {
        name: replace(getattr(layer, name), weight=np.zeros_like(getattr(layer, name).weight))
        for name in ("query", "value", "expand")
    }
    model = replace(model, layers=(replace(layer, **gone),))
    program = compile_encoder(model, ECP5, 11, tiling=TILINGS[0])
    dense = dense_program(monkeypatch, model, ECP5, 11, tiling=TILINGS[0])
    assert sparse_products(program) == set(LINEARS)
    x = np.random.default_rng(5).integers(-4000, 4000, (11, 128)).astype(np.int16)
    np.testing.assert_array_equal(run(program, x), run(dense, x))


def test_few_zeros_save_nothing():
    assert SPARSE not in flows(compile_encoder(sparse_bert("8:8"), ECP5, 9, tiling=TILINGS[0]))
