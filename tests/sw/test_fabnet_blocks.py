"""FABNet blocks that go through the scratchpad in tiles, on the golden model against floats."""

import numpy as np
import pytest

from ageha.bench.execute import memory_bytes, run_golden
from ageha.hw.config import preset
from ageha.hw.isa import Opcode
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError
from ageha.sw.fabnet_compiler import compile_blocks, compile_fabnet
from ageha.sw.fabnet_quantise import quantise_blocks
from ageha.sw.fabnet_reference import run_block
from ageha.sw.fabnet_tilings import FABNET_BUDGET
from ageha.sw.frontend.fabnet import EPSILON, digits_model
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.passes.expand import expand
from ageha.sw.passes.explore import Budget
from ageha.sw.passes.fabnet_stream import lower_blocks
from ageha.sw.passes.schedule import schedule
from ageha.verif.devices.golden import GoldenDevice

SEED = 77
ONE_CANDIDATE = Budget(candidates=1, reuse=False)


def compiled(name, tokens, features, heads, expanded, kinds, budget=FABNET_BUDGET):
    """Return a program of FBfly (f), ABfly (a) and FNet (n) blocks, its input, and floats."""
    blocks = [
        synthetic_block(kind == "a", features, heads, expanded, dense=kind == "n", seed=number)
        for number, kind in enumerate(kinds)
    ]
    x = np.random.default_rng(SEED).normal(size=(1, tokens, features))
    program = compile_blocks(blocks, preset(name), x, budget=budget)
    expected = x
    for block in blocks:
        expected = run_block(block, expected, EPSILON)["output"]
    return program, program.inputs[0].from_float(x[0]), expected[0]


def cosine(found, expected):
    return np.sum(found * expected) / np.linalg.norm(found) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "tokens", "features", "heads", "expanded", "kinds"),
    [
        ("ecp5", 16, 32, 2, 64, "fa"),
        ("ecp5", 32, 48, 3, 96, "f"),
        ("ecp5", 32, 48, 3, 96, "n"),
        ("base", 64, 24, 1, 100, "af"),
        ("base", 21, 48, 3, 160, "a"),
        ("tiny", 16, 16, 2, 32, "fa"),
    ],
)
def test_blocks(name, tokens, features, heads, expanded, kinds):
    program, x, expected = compiled(name, tokens, features, heads, expanded, kinds)
    outputs = run_golden(program, {"input": x}).outputs
    assert cosine(program.outputs[0].to_float(outputs["output"]), expected) > 0.9995


@pytest.mark.slow
def test_sequences_that_do_not_fit():
    """Mixing takes two trips along the tokens, a dense feed-forward part goes by parts."""
    program, x, expected = compiled("tiny", 512, 8, 1, 24, "n", ONE_CANDIDATE)
    outputs = run_golden(program, {"input": x}).outputs
    assert cosine(program.outputs[0].to_float(outputs["output"]), expected) > 0.9995
    names = {buffer["name"].partition(".")[2] for buffer in program.metadata["buffers"]}
    assert any(name.startswith("mixing.turned") for name in names)
    assert any(name.startswith("feed_forward.part_1.") for name in names)


def test_a_tile_is_finished_before_the_next_begins():
    """The sum behind a contraction waits for the latency of its own unit, no longer."""
    block = synthetic_block(False, 128, 2, 1024, dense=False, seed=1)
    x = np.random.default_rng(SEED).normal(size=(1, 64, 128))
    config = preset("base")
    steps, _ = lower_blocks(quantise_blocks([block], x), 64, 128, config, {})
    graph = expand(steps["0.feed_forward.contract"])

    def butterflies(graph):
        return [item.reads for item in graph.operations() if item.opcode is Opcode.BUTTERFLY]

    expected = butterflies(graph)
    assert len(expected) == 2 * 4
    assert butterflies(schedule(graph, config, 1 << 14)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_semaphores_order_all_that_matters(seed):
    program, x, _ = compiled("ecp5", 16, 32, 2, 64, "fa")
    fixed = run_golden(program, {"input": x}).outputs["output"]
    device = GoldenDevice(program.config, memory_bytes(program), seed=seed)
    found = run_program(device, program, {"input": x}).outputs["output"]
    np.testing.assert_array_equal(found, fixed)


def test_graph_is_shown_after_a_pass():
    texts = []
    numbers = np.random.default_rng(SEED).uniform(0, 1, (2, 64))
    compile_fabnet(digits_model(), preset("ecp5"), numbers, dump_after="lower", dump=texts.append)
    (text,) = texts
    assert "compute BUTTERFLY" in text
    with pytest.raises(CompileError, match="dump_after must be one of"):
        compile_fabnet(digits_model(), preset("ecp5"), numbers, dump_after="magic")


def test_refusals_name_operator_and_figure():
    for arguments, message in (
        (("ecp5", 12, 32, 2, 64, "f"), "tokens must be a power of two, not 12"),
        (("ecp5", 16, 20, 1, 64, "f"), "features must be a multiple of 8, not 20"),
        (("ecp5", 16, 32, 8, 64, "a"), "channels of a head must be a multiple of 8, not 4"),
        (("base", 16, 32, 4, 64, "a"), "channels of a head must be a multiple of 16, .* not 8"),
        (("tiny", 16, 768, 12, 3072, "f"), "bytes of scratchpad; the limit is 16384: use fewer"),
    ):
        with pytest.raises(CompileError, match=message):
            compiled(*arguments)
    with pytest.raises(CompileError, match="all must be butterflies"):
        compile_fabnet(digits_model("dense"), preset("base"), np.zeros((1, 64)))
