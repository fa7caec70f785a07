"""Attention alone: operands from memory or resident, probabilities in one plane or two."""

import numpy as np
import pytest

from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.bench.measure import row_cosines
from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw.attention_compiler import compile_attention
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.reference import embed, encoder_layer, linear
from ageha.verif.devices.library import MemorySettings

TINY = override(preset("tiny"), {"scratchpad.bytes": 32 << 10})


def attention(tokens, heads, head_channels, config=TINY, **options):
    """Return program, input and float result for random weights and tokens."""
    model = synthetic_bert(24, heads, 8, positions=64, seed=3, head_channels=head_channels)
    ids = np.random.default_rng(tokens).integers(0, 100, tokens)
    compiled = compile_attention(model, config, ids, **options)
    x = embed(model, ids)
    reference = linear(encoder_layer(model, 0, x)["context"], model.layers[0].projection)
    return compiled.program, {"input": compiled.quantise(x)}, reference


@pytest.mark.parametrize(
    ("tokens", "heads", "head_channels", "planes", "resident"),
    [(1, 1, 8, 2, True), (13, 1, 16, 1, False), (16, 3, 8, 1, True), (29, 2, 24, 2, False)],
)
def test_result_is_near_to_floats(tokens, heads, head_channels, planes, resident):
    program, inputs, reference = attention(
        tokens, heads, head_channels, planes=planes, resident=resident
    )
    tensor = program.outputs[0]
    result = tensor.to_float(run_golden(program, inputs).outputs["output"])
    assert min(row_cosines(result, reference)) > 0.998


def test_verilog_equals_golden():
    library = build_library(preset("tiny"))
    for planes in (1, 2):
        program, inputs, _ = attention(13, 1, 16, preset("tiny"), planes=planes, resident=True)
        settings = MemorySettings(latency=30, stall_percent=30)
        found = run_rtl(program, inputs, settings, library)
        golden = run_golden(program, inputs)
        np.testing.assert_array_equal(found.outputs["output"], golden.outputs["output"])
        loads = [event for event in found.trace if event.unit.name == "LOAD"]
        products = [event for event in found.trace if event.unit.name == "ARRAY"]
        assert max(load.done for load in loads) <= min(item.accepted for item in products)


def test_resident_operands_come_first():
    program, _, _ = attention(29, 2, 24, resident=True)
    opcodes = [item.opcode for item in decode_all(program.code)]
    first = opcodes.index(Opcode.MATMUL)
    assert Opcode.LOAD not in opcodes[first:]


def test_one_plane_takes_half_the_products_with_values():
    halves = [
        sum(
            item["m"] * item["n"] * item["k"]
            for item in decode_all(attention(16, 3, 8, planes=planes)[0].code)
            if item.opcode == Opcode.MATMUL
        )
        for planes in (1, 2)
    ]
    assert halves[1] - halves[0] == 16 * 16 * 24


def test_what_is_refused():
    with pytest.raises(CompileError, match="planes must be 1 or 2, not 3"):
        attention(4, 1, 8, planes=3)
    with pytest.raises(CompileError, match="channels of a head must be a multiple of 8, not 12"):
        attention(4, 1, 12)
    with pytest.raises(CompileError, match="the limit is 4096"):
        attention(29, 2, 24, override(preset("tiny"), {"scratchpad.bytes": 4096}))
