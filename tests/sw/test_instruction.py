"""Instruction words: round trips, ranges and messages."""

import random

import pytest
from amaranth.lib import data

from ageha.hw.config import INSTRUCTION_BYTES
from ageha.hw.isa import LAYOUTS, Flow, Opcode, Unit
from ageha.sw import instruction
from ageha.sw.instruction import Dram, Instruction, InstructionError, decode, decode_all, encode


def random_instruction(generator: random.Random) -> Instruction:
    """Draw an instruction whose every field is anywhere in its range."""
    opcode = generator.choice(list(Opcode))
    values = {}
    for name, known in instruction.fields(opcode).items():
        if known.parts:
            values[name] = Dram(generator.randrange(256), generator.randrange(1 << 48))
        elif known.enumeration:
            values[name] = generator.choice(list(known.enumeration))
        else:
            values[name] = generator.choice(
                [known.low, known.high, generator.randint(known.low, known.high)]
            )
    return Instruction(opcode, values)


@pytest.mark.parametrize("seed", range(20))
def test_words_round_trip(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(20):
        drawn = random_instruction(generator)
        word = drawn.encode()
        assert len(word) == INSTRUCTION_BYTES
        assert decode(word) == drawn


@pytest.mark.parametrize("opcode", list(Opcode))
def test_fields_lie_where_the_layout_says(opcode: Opcode) -> None:
    layout = data.Layout.cast(LAYOUTS[opcode])
    for name, known in instruction.fields(opcode).items():
        if name not in ("wait", "signal"):
            assert known.offset == layout[name].offset
    assert encode(opcode)[0] == opcode.value


def test_known_word() -> None:
    word = encode(
        Opcode.LOAD, wait=1, signal=2, rows=3, row_words=4, dram_address=(5, 6), address=7
    )
    assert word[4:8] == b"\1\0\0\0" and word[8:12] == b"\2\0\0\0"
    assert word[12:16] == b"\3\0\4\0"
    assert word[16:24] == b"\6\0\0\0\0\0\0\5"


def test_replace_and_properties() -> None:
    matmul = decode(encode(Opcode.MATMUL, m=3, fraction=-3, wait=4))
    assert matmul["fraction"] == -3
    assert matmul["flow"] is Flow.DENSE_OUTPUT_STATIONARY
    assert (matmul.unit, matmul.wait, matmul.signal) == (Unit.ARRAY, 4, 0)
    assert matmul.replace(signal=8).signal == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"m": 1 << 16}, "m must be an integer from 0 to 65535, not 65536"),
        ({"m": -1}, "m must be an integer from 0 to 65535, not -1"),
        ({"m": 1.0}, "m must be an integer, not 1.0"),
        ({"fraction": 128}, "fraction must be an integer from -128 to 127, not 128"),
        ({"flow": 15}, "flow must be one of DENSE_OUTPUT_STATIONARY"),
        ({"rows": 1}, "MATMUL has no field rows; choose from wait, signal"),
    ],
)
def test_wrong_fields(values: dict[str, object], message: str) -> None:
    with pytest.raises(InstructionError, match="^" + message.replace("(", r"\(")):
        encode(Opcode.MATMUL, **values)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ((256, 0), "dram_address.window must be an integer from 0 to 255, not 256"),
        ((0, 1 << 48), "dram_address.offset must be an integer from 0 to 281474976710655"),
        (5, r"dram_address must be \(window, offset\), not 5"),
    ],
)
def test_wrong_dram_address(address: object, message: str) -> None:
    with pytest.raises(InstructionError, match=message):
        encode(Opcode.LOAD, dram_address=address)


def test_wrong_words() -> None:
    with pytest.raises(InstructionError, match="0x00 is no opcode"):
        decode(bytes(INSTRUCTION_BYTES))
    with pytest.raises(InstructionError, match="an instruction has 64 bytes, not 3"):
        decode(b"abc")
    with pytest.raises(InstructionError, match="microcode is a multiple of 64 bytes, not 65"):
        decode_all(bytes(65))


def test_decode_all() -> None:
    code = encode(Opcode.STORE, rows=1) + encode(Opcode.END)
    assert [item.opcode for item in decode_all(code)] == [Opcode.STORE, Opcode.END]
