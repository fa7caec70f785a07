"""An encoder layer with sparse weights on the Verilog of `tiny`: the golden model's bits."""

import random

import numpy as np
import pytest

from ageha.bench.execute import run_golden, run_rtl
from ageha.hw.config import preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw.compiler import compile_encoder
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.sparsity.tasd import parse_series
from ageha.sw.tasder.plan import uniform_choice
from ageha.sw.tasder.sparsify import GREEDY, sparsify
from ageha.verif.devices.library import MemorySettings


@pytest.mark.parametrize(("text", "tokens", "stalls"), [("1:4", [13], 0), ("2:4", [5, 6], 40)])
def test_sparse_layer(text, tokens, stalls):
    model = synthetic_bert()
    sparse = sparsify(model, uniform_choice(model, parse_series(text)), None, GREEDY)
    program = compile_encoder(sparse, preset("tiny"), tokens)
    products = [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]
    flows = [Flow(item.values.get("flow", 0)) for item in products]
    assert Flow.COLUMN_SPARSE_OUTPUT_STATIONARY in flows
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    shape = sum(tokens), model.config.hidden
    x = np.random.default_rng(seed).integers(-4000, 4000, shape).astype(np.int16)
    settings = MemorySettings(latency=20, stall_percent=stalls, seed=seed % 1000)
    found = run_rtl(program, {"input": x}, settings)
    expected = run_golden(program, {"input": x})
    np.testing.assert_array_equal(found.outputs["output"], expected.outputs["output"])
    print(f"{found.counters['cycles']} cycles, {program.metadata['predicted_cycles']} predicted")
