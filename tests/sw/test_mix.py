"""Probabilities times values: both planes at once, or one after the other."""

import numpy as np
import pytest

from ageha.bench.execute import run_golden
from ageha.bench.measure import row_cosines
from ageha.hw.config import ArrayConfig, ConfigError, override, preset
from ageha.hw.isa import Opcode
from ageha.hw.settings import load
from ageha.sw.attention_compiler import compile_attention
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.passes.mix import takes_both_planes
from ageha.sw.reference import embed, encoder_layer, linear

NARROW = override(preset("tiny"), {"scratchpad.banks": 16, "scratchpad.bytes": 64 << 10})
WIDE = override(NARROW, {"array.wide_rows": True})


@pytest.mark.parametrize(("tokens", "heads", "head_channels"), [(1, 1, 8), (29, 2, 24)])
def test_one_product_for_two_planes(tokens, heads, head_channels):
    model = synthetic_bert(24, heads, 8, positions=64, seed=3, head_channels=head_channels)
    ids = np.random.default_rng(tokens).integers(0, 100, tokens)
    x = embed(model, ids)
    reference = linear(encoder_layer(model, 0, x)["context"], model.layers[0].projection)
    multiplied, results = [], []
    for config in (NARROW, WIDE):
        compiled = compile_attention(model, config, ids)
        products = [
            item for item in decode_all(compiled.program.code) if item.opcode == Opcode.MATMUL
        ]
        assert any(item["wide"] for item in products) == config.array.wide_rows
        multiplied.append(sum(item["m"] * item["n"] * item["k"] for item in products))
        outputs = run_golden(compiled.program, {"input": compiled.quantise(x)}).outputs
        results.append(compiled.program.outputs[0].to_float(outputs["output"]))
    assert multiplied[0] - multiplied[1] == tokens * tokens * heads * head_channels
    for result in results:
        assert min(row_cosines(result, reference)) > 0.998


def test_sums_that_accumulators_do_not_hold_take_two_products():
    largest = ((1 << 14) - 1) * 127
    assert 1032 * largest < 1 << 31 <= 1033 * largest
    assert takes_both_planes(ArrayConfig(), 1032)
    assert not takes_both_planes(ArrayConfig(), 1033)
    assert takes_both_planes(ArrayConfig(accumulator_width=33), 2064)
    assert not takes_both_planes(ArrayConfig(wide_rows=False), 1)


def test_parameters_that_are_refused():
    with pytest.raises(ConfigError, match="array.wide_rows must be true or false, not 1"):
        load("base", ["array.wide_rows=1"])
    with pytest.raises(ConfigError, match="must be false where scratchpad.banks is 4: .* 16 banks"):
        load("tiny", ["array.wide_rows=true"])
    assert not load("base", ["array.wide_rows=false"]).array.wide_rows
