"""Products compiled for every flow, on the golden machine, against NumPy."""

import random

import numpy as np
import pytest

from ageha.bench.execute import memory_bytes
from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw.driver import run_program
from ageha.sw.errors import CompileError
from ageha.sw.gemm.compiler import PASSES, compile_gemm
from ageha.sw.gemm.flows import DENSE_FLOWS, SPARSE_FLOWS
from ageha.sw.gemm.prune import pruning_of
from ageha.sw.gir_text import from_text
from ageha.sw.instruction import decode_all
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.verif.devices.golden import GoldenDevice

TINY = preset("tiny")
SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 37, 64, 67)


def matrices(seed, m, n, k, density=1.0):
    """Return int8 weights [n, k] with some zeros, and int8 activations [m, k]."""
    generator = np.random.default_rng(seed)
    weights = generator.integers(-128, 128, (n, k)) * (generator.random((n, k)) < density)
    return weights.astype(np.int8), generator.integers(-128, 128, (m, k), dtype=np.int8)


def run(compiled, seed=None):
    """Return the program's result on the golden machine."""
    program = compiled.program
    device = GoldenDevice(program.config, memory_bytes(program), seed=seed)
    return run_program(device, program, compiled.inputs).outputs["output"]


def expected(weights, activations, fraction):
    """Return what int8 matrices give: exact sums, scaled by a power of two and rounded to even."""
    exact = activations.astype(np.int64) @ weights.astype(np.int64).T
    return np.clip(np.rint(np.ldexp(exact, fraction)), -32768, 32767).astype(np.int16)


def check(weights, activations, config=TINY, **options):
    compiled = compile_gemm(weights, activations, config, **options)
    wanted = expected(
        compiled.gemm.weights, compiled.gemm.activations, compiled.program.outputs[0].fraction
    )
    for seed in (None, 1):
        np.testing.assert_array_equal(run(compiled, seed), wanted)
    return compiled


def draw(case):
    """Return a seed and sizes, printed for replay."""
    seed = random.randrange(1 << 32)
    m, n, k = random.Random(seed).choices(SIZES, k=3)
    print(f"case {case}: seed {seed}, m {m}, n {n}, k {k}")
    return seed, m, n, k


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_random_products(flow, swapped):
    for case, density in enumerate((0, 0.1, 0.5, 1)):
        seed, m, n, k = draw(case)
        check(*matrices(seed, m, n, k, density), flows=[flow], swapped=swapped)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_single_numbers(flow, swapped):
    check(*matrices(1, 1, 1, 1), flows=[flow], swapped=swapped)


def test_floats_are_quantised_a_row():
    generator = np.random.default_rng(5)
    weights = generator.normal(size=(19, 40)) * np.exp(generator.uniform(-5, 5, (19, 1)))
    weights[3] = 0
    activations = generator.integers(-127, 128, (11, 40), dtype=np.int8)
    compiled = compile_gemm(weights, activations, TINY, flows=[Dataflow.DENSE_OUTPUT])
    found = compiled.program.outputs[0].to_float(run(compiled))
    exact = activations @ (compiled.gemm.weights * compiled.gemm.weight_scales[:, None]).T
    step = 2.0 ** -compiled.program.outputs[0].fraction
    np.testing.assert_allclose(found, exact, rtol=2**-14, atol=step)
    assert compiled.program.metadata["relative_error"] < 0.01


@pytest.mark.parametrize("value", [127, -128])
def test_no_activations_saturate(value):
    weights = np.full((3, 50), -128, dtype=np.int8)
    activations = np.full((2, 50), value, dtype=np.int8)
    compiled = check(weights, activations, flows=[Dataflow.DENSE_OUTPUT])
    exact = -128 * 50 * value
    found = compiled.program.outputs[0].to_float(run(compiled))
    np.testing.assert_allclose(found, exact, rtol=2**-13)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_tiles_share_the_scratchpad(flow, swapped):
    """Operands of several times the scratchpad are cut, loaded ahead, and stored in tiles."""
    compiled = check(*matrices(2, 150, 130, 120, 0.6), flows=[flow], swapped=swapped)
    assert compiled.program.metadata["tiles"] != [150, 130]
    stores = [i for i in decode_all(compiled.program.code) if i.opcode == Opcode.STORE]
    assert len(stores) > 1


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flow", Dataflow)
def test_every_flow_compiles(flow, swapped):
    weights, activations = matrices(3, 70, 30, 50, 0.4)
    compiled = compile_gemm(weights, activations, TINY, flows=[flow], swapped=swapped)
    matmuls = [i for i in decode_all(compiled.program.code) if i.opcode == Opcode.MATMUL]
    turned = (flow in (Dataflow.DENSE_INPUT, Dataflow.SPARSE_INPUT)) != swapped
    for instruction in matmuls:
        assert instruction["y_transposed"] == turned
        assert bool(instruction["compressed_words"]) == (flow in SPARSE_FLOWS)
        assert flow in DENSE_FLOWS or instruction["k"] == 50
    stationary = flow.value.endswith(("WS", "IS"))
    assert not stationary or max(i["m"] for i in matmuls) <= TINY.array.partial_rows
    assert len(compiled.program.inputs) == int(not (swapped and flow in SPARSE_FLOWS))


def test_auto_takes_the_fewest_predicted_cycles():
    weights, activations = matrices(4, 40, 48, 64, 0.1)
    compiled = compile_gemm(weights, activations, TINY)
    assert set(compiled.predicted) == set(Dataflow)
    assert compiled.program.metadata["predicted_cycles"] == min(compiled.predicted.values())
    assert compiled.gemm.flow == Dataflow.COLUMN_SPARSE_OUTPUT
    dense = compile_gemm(*matrices(4, 40, 48, 64), TINY)
    assert dense.gemm.flow in DENSE_FLOWS


def test_auto_leaves_out_what_the_machine_has_not():
    plain = override(TINY, {"array.block": 1, "array.partial_rows": 0})
    compiled = compile_gemm(*matrices(4, 9, 9, 9, 0.1), plain)
    assert compiled.gemm.flow == Dataflow.DENSE_OUTPUT
    assert "array.block of 4, 8 or 16, not 1" in compiled.predicted[Dataflow.SPARSE_OUTPUT]


@pytest.mark.parametrize("flow", SPARSE_FLOWS)
def test_pruning_is_shaped_to_the_flow(flow):
    weights, activations = matrices(6, 20, 64, 64)
    compiled = compile_gemm(
        weights, activations, TINY, flows=[flow], pruning=pruning_of(0.25, None)
    )
    metadata = compiled.program.metadata
    dense = 64 * 64 * 20 / 16
    assert metadata["ideal_cycles"] == pytest.approx(0.25 * dense, rel=0.02)
    assert 0 < metadata["relative_error"] < 1
    assert metadata["compressed_bytes"] < metadata["dense_bytes"] == 64 * 64


@pytest.mark.parametrize(("pattern", "share"), [("2:4", 0.5), ("1:4", 0.25), ("1:4+1:2", 0.75)])
def test_patterns_are_column_sparse(pattern, share):
    weights, activations = matrices(6, 20, 16, 64)
    pruning = pruning_of(None, pattern)
    compiled = compile_gemm(weights, activations, TINY, pruning=pruning)
    assert compiled.gemm.flow == Dataflow.COLUMN_SPARSE_OUTPUT
    assert compiled.program.metadata["ideal_cycles"] <= share * 5 * 4 * 64
    assert compiled.program.metadata["pruning"] == pattern


@pytest.mark.parametrize("name", PASSES)
def test_graphs_are_text(name):
    texts = []
    compile_gemm(
        *matrices(7, 30, 30, 30, 0.5),
        TINY,
        flows=[Dataflow.SPARSE_OUTPUT],
        dump_after=name,
        dump=texts.append,
    )
    graph = from_text(texts[0])
    assert [item.opcode for item in graph.operations() if item.work] == [Opcode.MATMUL] * len(
        [item for item in graph.operations() if item.opcode == Opcode.MATMUL]
    )


@pytest.mark.parametrize(
    ("flow", "k", "message"),
    [
        (Dataflow.SPARSE_OUTPUT, 513, r"sOS: k must be at most .* = 512, not 513"),
        (Dataflow.COLUMN_SPARSE_OUTPUT, 600, r"csOS: k must be at most .* = 512, not 600"),
        (Dataflow.DENSE_OUTPUT, 9000, r"dOS: k = 9000 needs \d+ bytes of scratchpad; .* 16384"),
    ],
)
def test_long_inputs_are_refused(flow, k, message):
    with pytest.raises(CompileError, match=message):
        compile_gemm(*matrices(8, 8, 8, k), TINY, flows=[flow])


@pytest.mark.parametrize(
    ("density", "pattern", "message"),
    [
        (0.5, "2:4", "not both 0.5 and 2:4"),
        (1.5, None, "density must be from 0 to 1, not 1.5"),
        (None, "5:4", "N must be from 1 to 4, not 5"),
        (None, "half", "not 'half'"),
    ],
)
def test_wrong_pruning_is_refused(density, pattern, message):
    with pytest.raises(CompileError, match=message):
        pruning_of(density, pattern)


@pytest.mark.parametrize(
    ("flow", "density", "pattern", "message"),
    [
        (Dataflow.DENSE_OUTPUT, 0.5, None, "not dOS"),
        (Dataflow.SPARSE_OUTPUT, None, "2:4", "is for csOS, not sOS"),
        (Dataflow.COLUMN_SPARSE_OUTPUT, None, "4:8", "M must divide the block of 4, not 8"),
    ],
)
def test_pruning_for_another_flow_is_refused(flow, density, pattern, message):
    with pytest.raises(CompileError, match=message):
        compile_gemm(
            *matrices(8, 8, 8, 8), TINY, flows=[flow], pruning=pruning_of(density, pattern)
        )


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        (np.zeros((0, 4)), np.zeros((1, 4), dtype=np.int8), "n must be from 1 to 65535, not 0"),
        (np.zeros((2, 4)), np.zeros((1, 5), dtype=np.int8), r"activations must be \[1, 4\]"),
        (np.zeros(4), np.zeros((1, 4), dtype=np.int8), "weights must have 2 axes, not 1"),
        (np.full((2, 4), np.nan), np.zeros((1, 4), dtype=np.int8), "must be finite"),
        (np.full((2, 4), 200), np.zeros((1, 4), dtype=np.int8), "from -128 to 127; .* is 200"),
        (np.full((2, 4), 2j), np.zeros((1, 4), dtype=np.int8), "real numbers, not complex128"),
        (np.zeros((2, 4)), np.zeros((1, 4)), "activations must be int8, not float64"),
    ],
)
def test_wrong_matrices_are_refused(weights, activations, message):
    with pytest.raises(CompileError, match=message):
        compile_gemm(weights, activations, TINY)
