"""Compiled decoders on the golden machine and the Verilog: near floats, cached, in any order."""

import random

import numpy as np
import pytest
from decoders import Session

from ageha.bench.execute import build_library, memory_bytes, run_golden, run_rtl
from ageha.bench.measure import compulsory_bytes
from ageha.hw.config import override, preset
from ageha.sw.decoder_compiler import compile_decoder
from ageha.sw.decoder_quantise import calibrate_decoder, scale_of
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.gir_text import from_text
from ageha.sw.passes.decoder_tiling import DecoderTiling
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.library import MemorySettings
from ageha.verif.golden.quantise import quantise

LEAST_COSINE = 0.999


@pytest.fixture(scope="module")
def small():
    return synthetic_llama(layers=2, seed=4)


@pytest.mark.parametrize(
    ("name", "sizes", "prompt", "decoded"),
    [
        ("tiny", (32, 4, 2, 64, 2), 13, 4),
        ("tiny", (16, 2, 2, 24, 1), 1, 9),
        ("tiny", (24, 3, 1, 40, 1), 33, 2),
        ("ecp5", (64, 4, 1, 96, 1), 40, 2),
        ("base", (64, 4, 2, 112, 1), 140, 2),
    ],
)
def test_prompt_then_token_by_token(name, sizes, prompt, decoded):
    model = synthetic_llama(*sizes)
    session = Session(model, preset(name), tuple(range(sizes[4])), prompt + decoded)
    session.advance(prompt)
    for _ in range(decoded):
        session.advance(1)
    assert session.cache.tokens == prompt + decoded
    assert session.cosines().min() > LEAST_COSINE


@pytest.mark.parametrize("seed", range(5))
def test_random_shapes(seed):
    """Any numbers of heads, widths and tokens; the seed is in the name of the test."""
    choose = random.Random(seed).choice
    key_heads, group, width = choose([1, 2, 3]), choose([1, 2, 3]), choose([8, 16, 24])
    sizes = choose([8, 24, 40]), key_heads * group, key_heads, choose([8, 24, 72])
    model = synthetic_llama(*sizes, head_width=width, seed=seed)
    prompt, name = choose([1, 2, 5, 9, 17]), choose(["tiny", "ecp5", "base"])
    session = Session(model, preset(name), (0,), prompt + 2)
    for tokens in (prompt, 1, 1):
        session.advance(tokens)
    assert session.cosines().min() > 0.997


def test_prompt_equals_its_parts(small):
    """A prompt in several programs gives what one program gives in as many steps."""
    whole, parts = (Session(small, preset("tiny"), (0, 1), 40) for _ in range(2))
    program, outputs = whole.advance(40)
    step, tiling = program.metadata["step_tokens"], program.metadata["tiling"]
    assert step < 40
    for first in range(0, 40, step):
        parts.advance(min(step, 40 - first), tiling=DecoderTiling(**tiling))
    for name, expected in whole.cache.tensors.items():
        np.testing.assert_array_equal(parts.cache.tensors[name], expected)
    found = np.concatenate(parts.found)
    np.testing.assert_array_equal(found, program.outputs[0].to_float(outputs["output"]))


@pytest.mark.parametrize("seed", range(3))
def test_semaphores_order_all_that_matters(small, seed):
    fixed, other = (Session(small, preset("tiny"), (0, 1), 21) for _ in range(2))
    for session, order in ((fixed, None), (other, seed)):
        session.advance(20, seed=order)
        session.advance(1, seed=order)
    np.testing.assert_array_equal(np.concatenate(other.found), np.concatenate(fixed.found))


def test_cache_stays_in_dram(small):
    """Programs of one capacity use the same memory: nothing but the new token moves."""
    session = Session(small, preset("tiny"), (0, 1), 21)
    prompt, inputs = session.compile(19, capacity=24)
    device = GoldenDevice(prompt.config, memory_bytes(prompt))
    session.cache = session.cache.append(run_program(device, prompt, inputs).outputs)
    step, _ = session.compile(1, capacity=24)
    places = {item.name: (item.window, item.offset, item.stride) for item in prompt.outputs}
    for item in step.inputs[1:]:
        assert places[f"{item.name}.new"] == (item.window, item.offset, item.stride)
    assert step.windows[3].size == prompt.windows[3].size
    assert step.metadata["stored_bytes"] < 2 * (32 + 2 * 16 + 2 * 8 * 8) + 64


@pytest.mark.parametrize("past", [8, 13])
def test_every_byte_once(small, past):
    session = Session(small, preset("tiny"), (0, 1), past + 1)
    session.advance(past)
    program, _ = session.compile(1)
    moved = program.metadata["loaded_bytes"] + program.metadata["stored_bytes"]
    assert moved <= 1.02 * compulsory_bytes(program)


@pytest.mark.parametrize(("prompt", "stalls"), [(13, 0), (16, 50)])
def test_verilog_equals_golden(small, prompt, stalls):
    config = preset("tiny")
    library = build_library(config)
    session = Session(small, config, (0, 1), prompt + 1)
    for tokens in (prompt, 1):
        program, inputs = session.compile(tokens)
        settings = MemorySettings(latency=20, stall_percent=stalls, seed=prompt)
        found = run_rtl(program, inputs, settings, library).outputs
        for name, expected in run_golden(program, inputs).outputs.items():
            np.testing.assert_array_equal(found[name], expected, err_msg=name)
        session.cache = session.cache.append(found)


@pytest.mark.parametrize(("largest", "fraction"), [(1, 0), (127, 3), (20011, 12), (32767, 15)])
def test_scale_of_values_is_that_of_the_machine(largest, fraction):
    rows = np.array([[largest, -largest // 2, 0]], dtype=np.int16)
    _, expected = quantise(rows, 0, fraction)
    assert scale_of(largest, fraction).pack() == expected.pack()


def test_values_have_one_scale(small):
    session = Session(small, preset("tiny"), (0,), 9)
    ((_, layer),) = session.quantised
    session.advance(9)
    scale = layer.value_scale.to_float()[0]
    assert scale * 127 == pytest.approx(1.5 * session.ranges[0].largest("value"), rel=0.6)
    assert not layer.value.weight[-1].any()


def test_ranges_cover_all_layers(small):
    ranges = calibrate_decoder(small, [1], [np.arange(5)])
    assert set(ranges) == {1}
    assert ranges[1].largest("gate") > 0


def test_graph_is_shown_and_read_back(small):
    texts = []
    compile_decoder(small, preset("tiny"), 1, 12, dump_after="lower", dump=texts.append)
    (text,) = texts
    assert "compute MULTIPLY" in text
    assert "b_transposed=1" in text
    assert from_text(text).name == "decoder 0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 0}, "tokens must be at least 1"),
        ({"tokens": 1, "past": 2048}, "together at most 2048, the limit of the model"),
        ({"tokens": 2, "past": 12}, "past must be a multiple of 8 before more than one token"),
        ({"tokens": 9, "capacity": 8}, "capacity must be at least 9 tokens, not 8"),
        ({"tokens": 1, "layers": ()}, "at least 1 layer"),
        ({"tokens": 1, "layers": (2,)}, "layers must be from 0 to 1, not 2"),
        ({"tokens": 1, "layers": (1, 1)}, "layers must be different"),
        ({"tokens": 1, "dump_after": "magic"}, "dump_after must be one of"),
        ({"tokens": 8, "past": 2000}, r"needs at least \d+ bytes of scratchpad for 8 tokens"),
    ],
)
def test_refused(small, options, message):
    with pytest.raises(CompileError, match=message):
        compile_decoder(small, preset("tiny"), **options)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((20, 1, 1, 64), "residual stream: hidden_size must be a multiple of 8, not 20"),
        ((24, 2, 1, 64), "channels of a head must be a multiple of 8, not 12"),
        ((16, 2, 1, 20), "intermediate_size must be a multiple of 8, not 20"),
    ],
)
def test_refused_shapes(sizes, message):
    with pytest.raises(CompileError, match=message):
        compile_decoder(synthetic_llama(*sizes), preset("tiny"), 4)


def test_refused_machine(small):
    config = override(preset("tiny"), {"controller.windows": 3})
    with pytest.raises(CompileError, match=r"needs 4 windows; controller\.windows is 3"):
        compile_decoder(small, config, 1, 8)
