"""Compiled butterfly operators and blocks on the Verilog of the smallest machine, bit for bit."""

import numpy as np
import pytest

from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.hw.config import preset
from ageha.sw.butterfly.hierarchical import HierarchicalLinear
from ageha.sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ageha.sw.butterfly.twiddle import Twiddle
from ageha.sw.butterfly_compiler import compile_butterfly
from ageha.sw.butterfly_operators import Compression, Fourier, Mixing
from ageha.sw.fabnet_compiler import compile_blocks
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.passes.explore import Budget
from ageha.verif.devices.library import MemorySettings

SEED = 20250211
CONFIG = preset("tiny")
SETTINGS = MemorySettings(latency=17, stall_percent=20, seed=SEED)


@pytest.fixture(scope="module")
def library():
    """The simulator of the smallest machine."""
    return build_library(CONFIG)


def linear(inputs, outputs, blocks=1, bias=False, increasing=True, is_complex=False):
    random = np.random.default_rng(SEED)
    shape = twiddle_shape(inputs, outputs, blocks)
    coefficients = random.uniform(-1, 1, shape)
    offset = random.normal(size=outputs) if bias else None
    if is_complex:
        coefficients = coefficients + 1j * random.uniform(-1, 1, shape)
        offset = offset * (1 + 1j) if bias else None
    return ButterflyLinear(Twiddle(coefficients, increasing), inputs, outputs, offset)


def tiles(inputs, outputs):
    shape = (-(-outputs // 16), -(-inputs // 16), 4, 8, 2, 2)
    coefficients = np.random.default_rng(SEED).uniform(-1, 1, shape)
    return HierarchicalLinear(coefficients, inputs, outputs)


def compare(program, library):
    """Run a program on random full-scale input on both devices."""
    (source,) = program.inputs
    limits = np.iinfo(source.dtype)
    random = np.random.default_rng(SEED)
    x = random.integers(limits.min, limits.max, source.shape, endpoint=True)
    inputs = {"input": x.astype(source.dtype)}
    golden = run_golden(program, inputs).outputs["output"]
    rtl = run_rtl(program, inputs, SETTINGS, library).outputs["output"]
    np.testing.assert_array_equal(rtl, golden)
    assert np.count_nonzero(golden)


@pytest.mark.parametrize(
    ("operator", "tokens", "fractions"),
    [
        (linear(8, 8), 5, (15, 13)),
        (linear(8, 8), 120, (15, 13)),
        (linear(64, 64), 37, (15, 12)),
        (Fourier(8), 40, (15, 12)),
        (Fourier(24), 11, (15, 10)),
        (linear(12, 40, bias=True), 7, (15, 13)),
        (linear(32, 8), 9, (15, 13)),
        (linear(16, 16, blocks=2), 6, (15, 12)),
        (linear(512, 512), 5, (15, 12)),
        (linear(300, 40, bias=True, increasing=False), 6, (15, 12)),
        (linear(16, 16, is_complex=True), 6, (15, 12)),
        (linear(72, 100, is_complex=True, bias=True, increasing=False), 5, (15, 12)),
        (tiles(32, 48), 5, (15, 12)),
        (tiles(250, 72), 5, (15, 12)),
        (Mixing(16, 4, 10), 16, (15, 15)),
        (Mixing(8, 5, 8), 128, (12, 12)),
        (Mixing(8, 6, 8), 512, (12, 12)),
        (Compression(8, 8, 4, 11), 16, (15, 14)),
    ],
    ids=[
        "square",
        "side by side",
        "tiles",
        "spectrum",
        "padded",
        "stacks",
        "trimmed",
        "chain",
        "trips",
        "trips trimmed",
        "complex",
        "complex trips",
        "hierarchical",
        "hierarchical in groups",
        "mixing",
        "narrow",
        "columns in trips",
        "compression",
    ],
)
def test_operators(library, operator, tokens, fractions):
    compare(compile_butterfly(operator, CONFIG, tokens, fractions), library)


@pytest.mark.parametrize("kind", ["FBfly", "ABfly", "FNet"])
def test_blocks(library, kind):
    block = synthetic_block(kind == "ABfly", 16, 2, 32, dense=kind == "FNet", seed=3)
    x = np.random.default_rng(SEED).normal(size=(1, 16, 16))
    compare(compile_blocks([block], CONFIG, x), library)


@pytest.mark.parametrize(
    ("kind", "features"), [("FBfly", 8), pytest.param("FNet", 24, marks=pytest.mark.slow)]
)
def test_sequences_that_do_not_fit(library, kind, features):
    """512 tokens take two trips through 16 KiB, and a dense part goes by parts."""
    block = synthetic_block(False, features, 1, 24, dense=kind == "FNet", seed=3)
    x = np.random.default_rng(SEED).normal(size=(1, 512, features))
    budget = Budget(candidates=1, reuse=False)
    compare(compile_blocks([block], CONFIG, x, budget=budget), library)
