"""Programs of products in every dataflow: what occurs in them, and that they have no race."""

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, ErrorCode, Flow, Opcode
from ageha.hw.matmul_check import supported_flows
from ageha.sw.driver import run_program
from ageha.sw.instruction import decode_all
from ageha.verif.benches.products import LONGEST, PRIMES
from ageha.verif.compressed_failures import compressed_failures
from ageha.verif.dataflow_programs import dataflow_program
from ageha.verif.devices.golden import GoldenDevice

MEMORY_BYTES = 1 << 20
CONFIGS = {
    "tiny": preset("tiny"),
    "base": preset("base"),
    "no stationary flows": override(preset("tiny"), {"array.partial_rows": 0}),
    "dense": override(preset("tiny"), {"array.partial_rows": 0, "array.block": 1}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_flow_occurs_twice(name: str) -> None:
    config = CONFIGS[name]
    for seed in range(4):
        program, _ = dataflow_program(config, seed)
        flows = [
            instruction["flow"]
            for instruction in decode_all(program.code)
            if instruction.opcode == Opcode.MATMUL
        ]
        assert set(flows) == set(supported_flows(config)), f"seed {seed}"
        assert all(flows.count(flow) >= 2 for flow in set(flows)), f"seed {seed}"


def test_results_are_used_again() -> None:
    opcodes: set[Opcode] = set()
    chained: set[Flow] = set()
    for seed in range(12):
        program, _ = dataflow_program(CONFIGS["tiny"], seed)
        instructions = decode_all(program.code)
        opcodes.update(instruction.opcode for instruction in instructions)
        for before, product in zip(instructions[:-1], instructions[1:], strict=True):
            if product.opcode == Opcode.MATMUL and before.opcode in (
                Opcode.QUANTISE,
                Opcode.SOFTMAX,
            ):
                places = product["a_address"], product["b_address"]
                if before["y_address"] in places:
                    chained.add(product["flow"])
    assert {Opcode.LOAD, Opcode.QUANTISE, Opcode.SOFTMAX, Opcode.STORE} <= opcodes
    assert chained == set(Flow)


def test_products_of_every_size_fit_large() -> None:
    config = preset("large")
    products = [
        instruction
        for seed in range(7)
        for instruction in decode_all(
            dataflow_program(config, seed, repeats=7, round_words=config.scratchpad_words)[0].code
        )
        if instruction.opcode == Opcode.MATMUL
    ]
    for side in "mnk":
        lengths = {product[side] for product in products}
        assert {1, LONGEST, *PRIMES} <= lengths, side
    for flow in Flow:
        chosen = [product for product in products if product["flow"] == flow]
        assert len(chosen) >= 49, flow
        assert {product["y_transposed"] for product in chosen} == {0, 1}, flow


@pytest.mark.parametrize("order", range(4))
def test_no_semaphore_is_missing(order: int) -> None:
    config = CONFIGS["tiny"]
    program, inputs = dataflow_program(config, order)
    expected = run_program(GoldenDevice(config, MEMORY_BYTES), program, inputs)
    other = GoldenDevice(config, MEMORY_BYTES, seed=order)
    found = run_program(other, program, inputs)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values, name)
    assert any(np.any(expected.outputs[f"result {i}"] != inputs[f"image {i}"]) for i in range(2))


def test_every_sparse_flow_has_malformed_operands() -> None:
    made = list(compressed_failures(CONFIGS["tiny"]))
    names = [failure.name for failure in made]
    assert len(set(names)) == len(names)
    assert {failure.code for failure in made} == {ErrorCode.COMPRESSED_OPERAND}
    flows = {Flow[name.partition(":")[0]] for name in names}
    assert flows == {*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS}
    assert list(compressed_failures(CONFIGS["dense"])) == []
