"""Encoder layers, sparse or with kept activations, on the Verilog: the golden model's bits."""

import random
from itertools import cycle

import numpy as np
import pytest

from ageha.bench.execute import run_golden, run_rtl
from ageha.hw.config import preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw.compiler import compile_encoder
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.sparsity.tasd import parse_series
from ageha.sw.tasder.choice import parse_sparsity
from ageha.sw.tasder.plan import uniform_choice
from ageha.sw.tasder.sparsify import GREEDY, linear_names, sparsify
from ageha.verif.devices.library import MemorySettings


@pytest.mark.parametrize(("text", "tokens", "stalls"), [("1:4", [13], 0), ("2:4", [5, 6], 40)])
def test_sparse_layer(text, tokens, stalls):
    model = synthetic_bert()
    sparse = sparsify(model, uniform_choice(model, parse_series(text)), None, GREEDY)
    check(compile_encoder(sparse, preset("tiny"), tokens), stalls)


@pytest.mark.slow
@pytest.mark.parametrize(("stalls", "tokens"), [(0, 16), (30, 11)])
def test_mixed_series_over_layers(stalls, tokens):
    """Each linear layer has its own series; one contraction has kept activations instead."""
    model = synthetic_bert(layers=2)
    texts = cycle(["4:8+1:8", "2:4+1:8", "2:4+2:8", "1:4", "2:8"])
    choice = {
        name: parse_sparsity(text) for name, text in zip(linear_names(model), texts, strict=False)
    }
    choice["1.contract"] = parse_sparsity("activations 3:8")
    program = compile_encoder(sparsify(model, choice, None, GREEDY), preset("base"), tokens, (0, 1))
    kept = [item for item in decode_all(program.code) if item.values.get("keep")]
    assert {item["keep"] for item in kept} == {3}
    check(program, stalls)


def check(program, stalls):
    """Compare the Verilog with the golden model, and its cycles with those predicted."""
    products = [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]
    flows = [Flow(item.values.get("flow", 0)) for item in products]
    assert Flow.COLUMN_SPARSE_OUTPUT_STATIONARY in flows
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    shape = program.inputs[0].shape
    x = np.random.default_rng(seed).integers(-4000, 4000, shape).astype(np.int16)
    settings = MemorySettings(latency=20, stall_percent=stalls, seed=seed % 1000)
    found = run_rtl(program, {"input": x}, settings)
    expected = run_golden(program, {"input": x})
    np.testing.assert_array_equal(found.outputs["output"], expected.outputs["output"])
    cycles, predicted = found.counters["cycles"], program.metadata["predicted_cycles"]
    print(f"{cycles} cycles, {predicted} predicted")
    if not stalls:
        assert predicted == pytest.approx(cycles, rel=0.3)
