"""Products compiled for every flow, both ways round, on the Verilog: the golden model's bits."""

import random

import numpy as np
import pytest

from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.hw.config import preset
from ageha.sw.gemm.compiler import compile_gemm
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.verif.benches.products import DENSITIES, LONGEST, PRIMES
from ageha.verif.devices.library import MemorySettings


def check(config, flow, swapped, *, longest, cases):
    """Run random products of `flow`, sides 1 to `longest`, on both devices."""
    library = build_library(config)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    sides = [side for side in (1, *PRIMES, longest) if side <= longest]
    for _ in range(cases):
        m, n, k = (draw.choice((draw.choice(sides), draw.randint(1, longest))) for _ in "mnk")
        density = draw.choice(DENSITIES)
        print(f"m {m}, n {n}, k {k}, density {density}")
        numbers = np.random.default_rng(draw.randrange(1 << 32))
        weights = numbers.integers(-128, 128, (n, k)) * (numbers.random((n, k)) < density)
        activations = numbers.integers(-128, 128, (m, k)) * (numbers.random((m, k)) < density)
        compiled = compile_gemm(
            weights.astype(np.int8),
            activations.astype(np.int8),
            config,
            flows=[flow],
            swapped=swapped,
        )
        expected = run_golden(compiled.program, compiled.inputs).outputs["output"]
        found = run_rtl(compiled.program, compiled.inputs, MemorySettings(), library)
        np.testing.assert_array_equal(found.outputs["output"], expected)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_random_products(flow, swapped):
    check(preset("tiny"), flow, swapped, longest=64, cases=3)


@pytest.mark.slow
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_random_products_on_large(flow, swapped):
    check(preset("large"), flow, swapped, longest=LONGEST, cases=3)
