"""The golden model of the array: every flow gives the same product, and counts what it took."""

import random

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, ErrorCode, Flow
from ageha.sw.sparsity import bitmap, slots
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.steps import ideal_cycles
from ageha.verif.benches.products import DENSITIES, Allocator, Product, random_products
from ageha.verif.golden.array import execute
from ageha.verif.golden.fault import Fault
from ageha.verif.golden.matmul import matmul
from ageha.verif.golden.operands import Matrix, read_scales, scales
from ageha.verif.golden.scratchpad import Scratchpad

TINY = preset("tiny")
WIDE = override(preset("base"), {"array.rows": 8, "array.block": 8})
SPARSE = (*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS)
DATAFLOW_OF = dict(zip(Flow, Dataflow, strict=True))


def dense_operand(instruction, name, scratchpad):
    """Return operand `name` [m or n, k], decompressed by the reader of the software."""
    array, flow = scratchpad.config.array, instruction["flow"]
    rows, k = instruction["m" if name == "a" else "n"], instruction["k"]
    address = instruction[f"{name}_address"]
    if flow in (COMPRESSED_A_FLOWS if name == "a" else COMPRESSED_B_FLOWS):
        words = scratchpad.words[address : address + instruction["compressed_words"]]
        if flow is Flow.COLUMN_SPARSE_OUTPUT_STATIONARY:
            return slots.unpack(words, rows, k, array.columns, array.block).to_dense()
        vector, axis = (array.rows, "k") if name == "a" else (array.columns, "n")
        return bitmap.unpack(words, rows, k, vector, axis).to_dense()
    transposed = instruction[f"{name}_transposed"]
    shape = (k, rows) if transposed else (rows, k)
    stored = Matrix(*shape, "int8", address, instruction[f"{name}_pitch"]).read(scratchpad)
    if name == "a" and instruction["wide"]:
        place = address + instruction["plane_words"], instruction["a_pitch"]
        low = Matrix(*shape, "int8", *place).read(scratchpad)
        stored = 128 * stored.astype(np.int16) + (low & 127)
    return stored.T if transposed else stored


def result(instruction, scratchpad, name="y"):
    """Return Y or the residual, which is stored as Y is, [m, n]."""
    shape = (instruction["m"], instruction["n"])
    transposed = instruction["y_transposed"]
    place = (instruction[f"{name}_address"], instruction[f"{name}_pitch"])
    values = Matrix(*(shape[::-1] if transposed else shape), "int16", *place).read(scratchpad)
    return values.T if transposed else values


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "wide"])
@pytest.mark.parametrize("flow", Flow, ids=lambda flow: flow.name)
def test_every_flow_gives_the_dense_product(flow, config):
    generator = random.Random(flow.value)
    scratchpad = Scratchpad(config)
    for _, instruction in random_products(generator, scratchpad, [flow], 20):
        a, b = (dense_operand(instruction, name, scratchpad) for name in "ab")
        scale_places = (
            scales(instruction[length], instruction[f"{name}_scale_address"])
            for name, length in (("row", "m"), ("column", "n"))
        )
        expected = matmul(
            a,
            b,
            *(read_scales(place, scratchpad) for place in scale_places),
            instruction["fraction"],
            result(instruction, scratchpad, "residual") if instruction["residual_enable"] else None,
            accumulator_width=config.array.accumulator_width,
        )
        work = execute(instruction, scratchpad)
        np.testing.assert_array_equal(result(instruction, scratchpad), expected)
        if flow not in SPARSE:
            assert work == (a.size * b.shape[0], 0)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("flow", SPARSE, ids=lambda flow: flow.name)
def test_steps_made_and_skipped_are_those_of_the_skip_rule(flow, density):
    array = TINY.array
    m, n, k = 6 * array.rows, 5 * array.columns, 7 * array.rows
    scratchpad = Scratchpad(TINY)
    product = Product(m, n, k, flow=flow, density=density)
    instruction = product.place(Allocator(TINY, random.Random(3)), scratchpad)
    work = execute(instruction, scratchpad)
    dense_steps = m * n * k // (array.rows * array.columns)
    if flow in COMPRESSED_A_FLOWS:
        weights, others = dense_operand(instruction, "a", scratchpad), n
    else:
        weights, others = dense_operand(instruction, "b", scratchpad), m
    sides = (array.rows, array.columns, array.block)
    made = ideal_cycles(DATAFLOW_OF[flow], weights, others, *sides)
    if flow is Flow.SPARSE_WEIGHT_STATIONARY:
        # The rule also leaves out outputs whose weights are all zero, which is up to the compiler.
        made = others * bitmap.encode(weights, array.columns, "n").passes(array.rows)
    else:
        assert work.multiplies == made * array.rows * array.columns
    assert work.skipped == dense_steps - made
    assert work.multiplies <= made * array.rows * array.columns
    if density == 0:
        assert work.multiplies == 0
    if density == 1:
        assert work.multiplies > 0.98 * m * n * k


@pytest.mark.parametrize("flow", SPARSE, ids=lambda flow: flow.name)
def test_a_malformed_piece_is_named_by_its_first_word(flow):
    array = TINY.array
    scratchpad = Scratchpad(TINY)
    product = Product(2 * array.rows + 1, 11, 2 * array.rows + 1, flow=flow, density=0.5)
    instruction = product.place(Allocator(TINY, random.Random(4)), scratchpad)
    name = "a" if flow in COMPRESSED_A_FLOWS else "b"
    address, count = instruction[f"{name}_address"], instruction["compressed_words"]
    before = scratchpad.bytes.copy()
    scratchpad.words[address] ^= np.uint64(1 << 63)
    with pytest.raises(Fault) as first:
        execute(instruction, scratchpad)
    assert (first.value.code, first.value.address) == (ErrorCode.COMPRESSED_OPERAND, address)
    scratchpad.bytes[:] = before
    with pytest.raises(Fault) as last:
        execute(instruction.replace(compressed_words=count - 1), scratchpad)
    assert last.value.code is ErrorCode.COMPRESSED_OPERAND
    assert address < last.value.address < address + count
    np.testing.assert_array_equal(scratchpad.bytes, before)
