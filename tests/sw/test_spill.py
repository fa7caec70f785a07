"""Layers that do not fit the scratchpad: what leaves it changes no bit."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.hw.config import override, preset
from ageha.sw.compiler import compile_encoder
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.passes.explore import Budget
from ageha.sw.passes.spill import pass_lengths
from ageha.sw.passes.steps import block_rows
from ageha.sw.passes.tiling import Shape, Tiling
from ageha.sw.reference import embed, encoder
from ageha.verif.devices.library import MemorySettings

TINY = preset("tiny")
LARGE_SCRATCHPAD = override(TINY, {"scratchpad.bytes": 1 << 18})

TOKENS = 30
MANY_TOKENS = 44
"""Beside which the input of attention has no room on `tiny`."""

BUDGET = Budget(candidates=6, reuse=False)
"""Enough to find a tiling that fits."""


def toy(hidden=96, heads=4, intermediate=384, **options):
    """A layer whose residual stream, input and context are too much for `tiny` together."""
    return synthetic_bert(hidden, heads, intermediate, norm_first=True, **options)


def job(model, config, lengths, layers=(0,), tiling=None):
    """Return a program, its input and what floats make of the input as one sentence."""
    program = compile_encoder(model, config, lengths, layers, tiling=tiling, budget=BUDGET)
    x = embed(model, np.arange(np.sum(lengths)) % model.config.vocabulary)
    inputs = {"input": program.inputs[0].from_float(x)}
    return program, inputs, encoder(model, x, list(layers))


def chosen(program):
    fields = program.metadata["tiling"]
    return Tiling(**fields)


def resident(tiling):
    return replace(tiling, keep_residual=True, keep_context=True, keep_input=True, tokens=0)


@pytest.fixture(scope="module", params=[TOKENS, MANY_TOKENS])
def searched(request):
    """A toy layer on `tiny`, with whatever tiling the search finds."""
    return job(toy(), TINY, request.param)


def test_search_finds_what_can_leave(searched):
    program, inputs, expected = searched
    tiling = chosen(program)
    assert not tiling.keep_residual
    assert not tiling.keep_context
    tokens = program.metadata["sequence_length"]
    assert 0 < tiling.tokens < tokens
    assert tiling.keep_input == (tokens == TOKENS)
    y = program.outputs[0].to_float(run_golden(program, inputs).outputs["output"])
    norms = np.linalg.norm(y, axis=1) * np.linalg.norm(expected, axis=1)
    assert (np.sum(y * expected, axis=1) / norms).mean() > 0.999


def test_bits_are_those_of_a_resident_layer(searched):
    program, inputs, _ = searched
    tokens = program.metadata["sequence_length"]
    whole, _, _ = job(toy(), LARGE_SCRATCHPAD, tokens, tiling=resident(chosen(program)))
    np.testing.assert_array_equal(
        run_golden(program, inputs).outputs["output"], run_golden(whole, inputs).outputs["output"]
    )


def test_verilog_equals_golden(searched):
    program, inputs, _ = searched
    settings = MemorySettings(latency=64)
    rtl = run_rtl(program, inputs, settings, build_library(TINY))
    golden = run_golden(program, inputs)
    np.testing.assert_array_equal(rtl.outputs["output"], golden.outputs["output"])
    predicted = program.metadata["predicted_cycles"]
    assert predicted == pytest.approx(rtl.counters["cycles"], rel=0.03)


def test_random_tilings_change_no_bit():
    """Odd numbers of tokens in passes and blocks, across sentences, over two layers."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for _ in range(3):
        heads = draw.choice((1, 2, 3))
        hidden = 8 * heads * draw.randint(1, 3)
        model = toy(hidden, heads, 8 * draw.randint(1, 6), layers=2)
        lengths = [draw.randint(1, 12) for _ in range(draw.randint(1, 3))]
        sequence = sum(lengths)
        tiling = Tiling(
            heads=draw.choice([size for size in (1, 2, 3) if heads % size == 0]),
            query_rows=draw.randint(1, sequence),
            rows=draw.randint(1, sequence),
            chunk=8 * draw.randint(1, 3),
            projection=8 * draw.randint(1, 3),
            depth=draw.choice((1, 2)),
            keep_residual=False,
            tokens=draw.randint(1, sequence),
            keep_context=False,
            keep_input=draw.choice((True, False)),
        )
        print(f"{tiling} for {lengths} tokens of {hidden}")
        config = LARGE_SCRATCHPAD
        program, inputs, _ = job(model, config, lengths, (0, 1), tiling)
        whole, _, _ = job(model, config, lengths, (0, 1), resident(tiling))
        np.testing.assert_array_equal(
            run_golden(program, inputs).outputs["output"],
            run_golden(whole, inputs).outputs["output"],
        )
        # Both layers store their int8 context, perhaps their input, the first its int16 output.
        more = program.metadata["stored_bytes"] - whole.metadata["stored_bytes"]
        assert more == (2 + 2 + 2 * (not tiling.keep_input)) * sequence * hidden


def shape(sequence):
    return Shape.of(toy().config, sequence)


def test_passes_divide_ragged_numbers_evenly():
    assert pass_lengths(shape(26), TINY) == [0, 13, 9, 7, 6, 5, 4]
    assert pass_lengths(shape(16), TINY) == [0, 8, 4]
    without = override(TINY, {"array.partial_rows": 0})
    assert pass_lengths(shape(26), without) == [0, 16, 12, 8, 4]


@pytest.mark.parametrize(
    ("length", "options"),
    [(64, [32, 64, 128, 16]), (197, [33, 29, 25, 32, 16]), (66, [33, 22, 17, 32, 16]), (5, [5])],
)
def test_blocks_divide_ragged_numbers_evenly(length, options):
    assert block_rows(length, 2, preset("base"))[: len(options)] == options


@pytest.mark.parametrize(
    ("limit", "tokens", "operator"),
    [(16384, 64, r"0\.\w+"), (8192, 30, "attention"), (8192, 4, "after attention")],
)
def test_what_never_fits_is_refused_with_its_bytes(limit, tokens, operator):
    """Without a search where a sum of operands says so, else by what needs most."""
    small = override(TINY, {"scratchpad.bytes": limit})
    needs = r"needs (at least )?\d+ bytes of scratchpad"
    of = f"( for {tokens} tokens of 96 channels)?; the limit is {limit}"
    with pytest.raises(CompileError, match=rf"^{operator}: {needs}{of}$"):
        compile_encoder(toy(), small, tokens, budget=BUDGET)
