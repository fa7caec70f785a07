"""Bench of the check of MATMUL's operands: random instructions of every flow, legal or not."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from ...hw.config import INSTRUCTION_BYTES, AcceleratorConfig
from ...hw.isa import ErrorCode, Flow, Matmul, Opcode
from ...hw.matmul_check import MatmulCheck, checked_layout
from ...hw.ports import fault_layout
from ...sw.instruction import Instruction, InstructionError, decode
from ..golden.fault import Fault
from ..golden.matmul_check import check_matmul
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .unit import configuration, reset

FLOW_BIT = Matmul.as_shape()["flow"].offset
WIDE_FLOW = Flow.DENSE_OUTPUT_STATIONARY


def random_legal(generator: random.Random, config: AcceleratorConfig) -> dict:
    """Return fields of an instruction that is legal unless the flow is left out."""
    array, words = config.array, config.scratchpad_words
    fields = {
        "flow": generator.choice(list(Flow)).value,
        "m": generator.randint(1, min(40, array.partial_rows or 40)),
        "n": generator.randint(1, 40),
        "k": generator.randint(1, 40),
        "a_transposed": generator.randrange(2),
        "b_transposed": generator.randrange(2),
        "y_transposed": generator.randrange(2),
        "residual_enable": generator.randrange(2),
        "compressed_words": generator.randint(1, words // 2),
    }
    fields["wide"] = int(config.array.wide_rows and fields["flow"] == WIDE_FLOW.value)
    fields["plane_words"] = generator.randrange(words // 4)
    if fields["flow"] == Flow.SPARSE_WEIGHT_STATIONARY.value or fields["wide"]:
        fields["a_transposed"] = 0
    for name in ("a", "b", "y", "residual"):
        skewed = config.lanes * generator.randrange(2) + 1
        fields[f"{name}_pitch"] = skewed
    for name in ("a", "b", "row_scale", "column_scale", "y", "residual"):
        fields[f"{name}_address"] = generator.randrange(words // 4)
    return fields


def changes(generator: random.Random, fields: dict, config: AcceleratorConfig) -> dict:
    """Return what may make an instruction illegal, or just not."""
    array, words = config.array, config.scratchpad_words
    name = generator.choice(("a", "b", "y", "residual"))
    place = generator.choice(("a", "b", "row_scale", "column_scale", "y", "residual"))
    return generator.choice(
        (
            {},
            {generator.choice("mnk"): 0},
            {"m": array.partial_rows + generator.randrange(2) or 1},
            {"k": min(65535, array.block * array.panel_blocks + generator.randrange(2))},
            {f"{name}_pitch": generator.randrange(1 << 16)},
            {f"{name}_pitch": 0},
            {f"{place}_address": words - generator.randint(0, 40)},
            {f"{place}_address": generator.getrandbits(32)},
            {"compressed_words": generator.choice((0, 1, words, (1 << 32) - 1))},
            {"a_transposed": 1 - fields["a_transposed"]},
            {"wide": 1 - fields["wide"]},
            {"plane_words": generator.choice((words, (1 << 16) - 1)) - generator.randrange(40)},
            {"a_address": (1 << 32) - 1, "plane_words": generator.randint(1, 40)},
            {"y_transposed": 1, "residual_enable": 1},
            {"n": 65535, "y_transposed": generator.randrange(2)},
        )
    )


def expected(word: int, scratchpad: Scratchpad) -> tuple[ErrorCode, int] | None:
    """Return code and address of the golden model's fault."""
    try:
        check_matmul(decode(word.to_bytes(INSTRUCTION_BYTES, "little")), scratchpad)
    except InstructionError:
        return ErrorCode.ILLEGAL_OPERAND, 0
    except Fault as fault:
        return fault.code, fault.address
    return None


async def outcome(dut, word: int, index: int) -> tuple[ErrorCode, int] | None:
    """Give an instruction; return its fault, or None if it was passed on unchanged in time."""
    dut.instruction_payload.value = word | index << 8 * INSTRUCTION_BYTES
    dut.instruction_valid.value = 1
    await RisingEdge(dut.clk)
    assert int(dut.instruction_ready.value)
    dut.instruction_valid.value = 0
    for _ in range(MatmulCheck.LATENCY):
        assert not int(dut.checked_valid.value)
        await RisingEdge(dut.clk)
        fault = fault_layout.from_bits(int(dut.fault.value))
        if fault.valid:
            assert fault.index == index
            return ErrorCode(fault.code), fault.address
    assert int(dut.checked_valid.value)
    payload = int(dut.checked_payload.value)
    assert payload == word | index << checked_layout["index"].offset
    return None


@cocotb.test()
async def judges(dut):
    """Every instruction is refused as the golden model refuses it, or passed on unchanged."""
    config, random = configuration(), generator("judges")
    scratchpad = Scratchpad(config)
    dut.instruction_valid.value = 0
    dut.checked_ready.value = 1
    await reset(dut)
    legal = dict.fromkeys(Flow, 0)
    for number in range(parameters()["rounds"]):
        fields = random_legal(random, config)
        fields |= changes(random, fields, config)
        word = int.from_bytes(Instruction(Opcode.MATMUL, fields).encode(), "little")
        if random.random() < 0.02:
            word |= 0xF << FLOW_BIT
        answer = await outcome(dut, word, number)
        assert answer == expected(word, scratchpad), (fields, answer)
        if answer is None:
            legal[Flow(fields["flow"])] += 1
            continue
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
    assert [flow for flow in legal if legal[flow]] == [
        Flow[name] for name in parameters()["flows"]
    ], legal
