"""Compiled layers on the golden machine: near the float model, and in any order of the units."""

import json
import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw import compiler
from ageha.sw.compiler import PASSES, compile_encoder
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError
from ageha.sw.frontend import bert
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.tokenizer import Tokenizer
from ageha.sw.gir_text import from_text
from ageha.sw.instruction import decode_all
from ageha.sw.passes.explore import Cost
from ageha.sw.passes.search import Choice
from ageha.sw.passes.tiling import Tiling
from ageha.sw.program import Program
from ageha.sw.reference import embed, encoder
from ageha.verif.devices.golden import GoldenDevice

TEXT = "A sentence goes in, and an encoder layer comes out of generated hardware, bit by bit. "


@cache
def minilm():
    return bert.load()


@cache
def compiled(sequence):
    return compile_encoder(minilm(), preset("base"), sequence)


def to_input(program, x):
    """Return `x` as the program's input tensor."""
    scaled = np.rint(np.ldexp(x, program.inputs[0].fraction))
    return {"input": np.clip(scaled, -32768, 32767).astype(np.int16)}


def run(program, x, seed=None):
    device = GoldenDevice(program.config, seed=seed)
    return run_program(device, program, to_input(program, x)).outputs["output"]


def cosines(program, output, expected):
    y = program.outputs[0].to_float(output)
    return np.sum(y * expected, axis=1) / (
        np.linalg.norm(y, axis=1) * np.linalg.norm(expected, axis=1)
    )


def check(model, config, sequence, layers=(0,), **options):
    """Compile, run in three orders, compare with float."""
    program = compile_encoder(model, config, sequence, layers, **options)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    tokens = np.random.default_rng(seed).integers(0, model.config.vocabulary, sequence)
    x = embed(model, tokens)
    output = run(program, x)
    for order in (seed, seed + 1):
        np.testing.assert_array_equal(run(program, x, order), output)
    assert cosines(program, output, encoder(model, x, list(layers))).mean() > 0.999
    return program


@pytest.mark.parametrize("sequence", [1, 7, 32, 128])
def test_minilm_is_near_the_float_model(sequence):
    model, program = minilm(), compiled(sequence)
    x = embed(model, Tokenizer().encode(TEXT, sequence))
    cosine = cosines(program, run(program, x), encoder(model, x, [0]))
    print(f"mean {cosine.mean():.5f}, least {cosine.min():.5f}")
    assert cosine.mean() >= 0.999
    assert cosine.min() >= 0.995


def test_minilm_in_another_order():
    program = compiled(32)
    x = embed(minilm(), Tokenizer().encode(TEXT, 32))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    np.testing.assert_array_equal(run(program, x, seed), run(program, x))


def test_minilm_should_keep_the_array_busy():
    metadata = compiled(128).metadata
    assert metadata["ideal_cycles"] / metadata["predicted_cycles"] >= 0.9
    assert metadata["loaded_bytes"] + metadata["stored_bytes"] == metadata["compulsory_bytes"]


@pytest.mark.slow
def test_minilm_at_its_longest():
    program = compile_encoder(minilm(), preset("base"), 256)
    x = embed(minilm(), Tokenizer().encode(TEXT, 256))
    assert cosines(program, run(program, x), encoder(minilm(), x, [0])).mean() >= 0.999


@pytest.mark.parametrize("name", ["tiny", "ecp5", "base", "large"])
@pytest.mark.parametrize("sequence", [1, 8, 33])
def test_every_preset(name, sequence):
    check(synthetic_bert(), preset(name), sequence)


@pytest.mark.parametrize("keep_residual", [True, False])
def test_layers_one_after_the_other(keep_residual):
    """Without room for the residual stream it goes through DRAM between layers."""
    tiling = Tiling(1, 8, 16, 32, 16, keep_residual=keep_residual)
    program = check(synthetic_bert(layers=3), preset("ecp5"), 19, (0, 1, 2), tiling=tiling)
    metadata = program.metadata
    spilled = metadata["loaded_bytes"] + metadata["stored_bytes"] - metadata["compulsory_bytes"]
    # Three layers load their input again for the sum, and two leave a copy of it for that.
    assert spilled == (0 if keep_residual else (3 + 2) * 19 * 64)


@pytest.mark.parametrize("norm_first", [False, True])
def test_passes_over_the_tokens_change_no_bit(norm_first):
    """Passes and blocks of channels cut where rows and columns do not depend on each other."""
    model = synthetic_bert(layers=2, norm_first=norm_first)
    whole = Tiling(1, 8, 16, 32, 16, keep_residual=False)
    x = embed(model, np.arange(19))
    outputs, loaded = [], []
    others = (
        replace(whole, tokens=8),
        replace(whole, tokens=16, contract=24),
        replace(whole, tokens=10, rows=5, keep_context=False),
    )
    for tiling in (whole, *others):
        program = check(model, preset("ecp5"), 19, (0, 1), tiling=tiling)
        outputs.append(run(program, x))
        loaded.append(program.metadata["loaded_bytes"])
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])
    # Projection and feed-forward part: 32 x 32 and twice 64 x 32 weights, two layers; the second
    # layer's input comes from DRAM, and so does the int8 context of both.
    weights, context = 2 * (32 * 32 + 2 * 64 * 32), 2 * 19 * 32
    more = [number - loaded[0] - 19 * 64 for number in loaded[1:]]
    assert more == [2 * weights, weights, weights + context]


def test_passes_share_no_residual_stream():
    tiling = Tiling(1, 8, 16, 32, 16, tokens=8)
    message = "^tiling: passes of 8 of 19 tokens need keep_residual to be false$"
    with pytest.raises(CompileError, match=message):
        compile_encoder(synthetic_bert(), preset("ecp5"), 19, tiling=tiling)


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_norms_that_come_first(name):
    model = synthetic_bert(hidden=48, intermediate=104, layers=3, norm_first=True)
    program = check(model, preset(name), 21, (0, 1, 2))
    assert len({tensor.fraction for tensor in (*program.inputs, *program.outputs)}) == 1


def test_odd_shapes():
    check(synthetic_bert(hidden=40, heads=5, intermediate=56), preset("tiny"), 9)
    check(synthetic_bert(hidden=48, heads=2, intermediate=104, layers=2), preset("ecp5"), 11, (1,))


def test_short_queues():
    config = override(preset("ecp5"), {"controller.queue_depth": 2})
    check(synthetic_bert(), config, 33)


@pytest.mark.parametrize("wide", [True, False])
def test_metadata(wide):
    config = override(preset("base"), {"array.wide_rows": wide})
    program = compile_encoder(minilm(), config, 32)
    metadata = json.loads(json.dumps(program.metadata))
    assert len(metadata["labels"]) == program.instructions - 1
    instructions = decode_all(program.code)
    multiplies = 0
    for product in metadata["products"]:
        places = [instructions[place] for place in product["instructions"]]
        assert {place.opcode for place in places} == {Opcode.MATMUL}
        found = sum(place["m"] * place["n"] * place["k"] for place in places)
        planes = 2 if product["name"] == "context" and not wide else 1
        expected = product["count"] * product["m"] * product["n"] * product["k"]
        assert found == planes * expected, product["name"]
        multiplies += expected
    assert metadata["ideal_cycles"] == multiplies / 256
    weights = 4 * 384 * 384 + 2 * 384 * 1536
    assert metadata["compulsory_bytes"] > weights + 2 * 32 * 768
    assert metadata["compulsory_bytes"] < 1.05 * (weights + 2 * 32 * 768)


def test_program_file(tmp_path):
    program = compile_encoder(synthetic_bert(), preset("tiny"), 7)
    program.save(tmp_path / "program")
    loaded = Program.load(tmp_path / "program", preset("tiny"))
    assert loaded.code == program.code
    x = embed(synthetic_bert(), np.arange(7))
    np.testing.assert_array_equal(run(loaded, x), run(program, x))


def test_compilation_is_repeatable():
    first, second = (compile_encoder(synthetic_bert(), preset("tiny"), 7) for _ in range(2))
    assert first.code == second.code
    assert first.segments == second.segments


@pytest.mark.parametrize("name", PASSES)
def test_dump(name):
    texts = []
    program = compile_encoder(
        synthetic_bert(), preset("tiny"), 7, dump_after=name, dump=texts.append
    )
    assert len(texts) == 1
    graph = from_text(texts[0])
    if name != "lower":
        assert len(graph.operations()) == program.instructions - 1


def refused(message, *arguments, **options):
    with pytest.raises(CompileError, match=message) as caught:
        compile_encoder(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sequence", [0, -1, 65])
def test_sequence_length_out_of_range(sequence):
    refused(f"from 1 to 64, .* not {sequence}", synthetic_bert(), preset("tiny"), sequence)


@pytest.mark.parametrize(
    ("layers", "message"),
    [((), "at least 1 layer"), ((1,), "from 0 to 0, not 1"), ((0, 0), "different")],
)
def test_layers_that_are_not_there(layers, message):
    refused(message, synthetic_bert(), preset("tiny"), 8, layers)


def test_shapes_that_are_no_words():
    refused("head must be a multiple of 8, not 12", synthetic_bert(24), preset("tiny"), 8)
    model = synthetic_bert(intermediate=100)
    refused("feed-forward: .* multiple of 8, not 100", model, preset("tiny"), 8)


def test_scratchpad_that_holds_no_tile():
    model, config = minilm(), preset("tiny")
    refused("^attention: needs at least 32512 bytes of .* the limit is 16384$", model, config, 32)


def test_next_best_tiling_where_the_best_finds_no_room(monkeypatch):
    model, config = synthetic_bert(), preset("tiny")
    good = Tiling(1, 4, 4, 8, 4, depth=1)
    bad = Tiling(2, 64, 64, 64, 32)
    ranking = (bad, good)
    cost = Cost(0, 1)
    choice = Choice(bad, cost, 2, ranking, bad, cost)
    monkeypatch.setattr(compiler, "remembered_tiling", lambda *_: choice)
    texts = []
    program = compile_encoder(model, config, 40, dump_after="lower", dump=texts.append)
    assert Tiling(**program.metadata["tiling"]) == good
    assert len(texts) == 1
    choice = replace(choice, ranking=(bad,))
    refused("bytes of scratchpad", model, config, 40)


def test_another_tiling_where_the_best_leaves_units_waiting(monkeypatch):
    """What is best for the layers that the search saw need not be for all of them."""
    model, config = synthetic_bert(), preset("tiny")
    good = Tiling(1, 16, 16, 16, 8)
    slow = Tiling(1, 4, 4, 8, 4, depth=1, prefetch=16)
    cost = Cost(0, 1)
    choice = Choice(slow, cost, 2, (slow, good), slow, cost)
    monkeypatch.setattr(compiler, "remembered_tiling", lambda *_: choice)
    texts = []
    program = compile_encoder(model, config, 40, dump_after="lower", dump=texts.append)
    expected = compile_encoder(model, config, 40, tiling=good)
    assert Tiling(**program.metadata["tiling"]) == good
    assert program.metadata["predicted_cycles"] == expected.metadata["predicted_cycles"]
    assert len(texts) == 1


def test_too_few_windows_or_semaphores():
    windows = override(preset("tiny"), {"controller.windows": 2})
    refused("needs 3 windows; controller.windows is 2", synthetic_bert(), windows, 8)
    semaphores = override(preset("tiny"), {"controller.semaphores": 4})
    refused("controller.semaphores is 4", synthetic_bert(), semaphores, 8)


def test_unknown_pass():
    refused("dump_after must be one of lower", synthetic_bert(), preset("tiny"), 8, dump_after="x")
