"""Programs of dense products with resident operands."""

import numpy as np
import pytest

from ageha.bench.execute import run_golden
from ageha.bench.gemm import CASES, FRACTION, LARGE_CASES, GemmCase, resident_program
from ageha.hw.config import preset
from ageha.hw.isa import Opcode
from ageha.sw.gemm.flows import DENSE_FLOWS
from ageha.sw.instruction import decode_all
from ageha.sw.sparsity.dataflow import Dataflow

TINY, BASE = preset("tiny"), preset("base")


def matmuls(program):
    return [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]


def expected(inputs, case, rows, columns):
    """Return the last product of `rows` of A and `columns` of B."""
    last = slice((case.count - 1) * case.k, case.count * case.k)
    a, b = (inputs[name][:, last].astype(np.int64) for name in "ab")
    scaled = np.rint(np.ldexp(a[:rows] @ b[:columns].T, FRACTION))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("flow", DENSE_FLOWS)
@pytest.mark.parametrize("case", [GemmCase("one", 13, 7, 21), GemmCase("heads", 8, 12, 16, 5)])
def test_products_are_right(case, flow):
    program, inputs = resident_program(case, flow, TINY)
    found = run_golden(program, inputs).outputs["y"]
    if flow == Dataflow.DENSE_INPUT:
        found = found.T
    np.testing.assert_array_equal(found, expected(inputs, case, *found.shape))
    assert len(matmuls(program)) == case.count


@pytest.mark.parametrize("flow", DENSE_FLOWS)
def test_nothing_waits_between_products(flow):
    first, *others = matmuls(resident_program(GemmCase("heads", 8, 12, 16, 5), flow, TINY)[0])
    assert first.wait
    assert not first.signal
    assert not any(item.wait for item in others)
    assert [bool(item.signal) for item in others] == [False, False, False, True]


@pytest.mark.parametrize("flow", DENSE_FLOWS)
@pytest.mark.parametrize("case", [*CASES, *LARGE_CASES])
def test_parts_make_up_the_product(case, flow):
    work = sum(
        item["m"] * item["n"] * item["k"] for item in matmuls(resident_program(case, flow, BASE)[0])
    )
    assert work == case.m * case.n * case.k * case.count


@pytest.mark.parametrize("flow", DENSE_FLOWS[1:])
def test_rows_stay_within_the_partial_sums(flow):
    program, inputs = resident_program(GemmCase("long", 150, 140, 9), flow, TINY)
    assert max(item["m"] for item in matmuls(program)) == TINY.array.partial_rows
    run_golden(program, inputs)


def test_long_product_is_refused():
    with pytest.raises(ValueError, match="does not fit the scratchpad"):
        resident_program(GemmCase("long", 4, 4, 60000), Dataflow.DENSE_OUTPUT, TINY)
