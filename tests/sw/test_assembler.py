"""Text and microcode: exact round trips and every message."""

import random

import pytest

from ageha.hw.config import INSTRUCTION_BYTES
from ageha.hw.isa import Opcode
from ageha.sw.assembler import AssemblyError, assemble
from ageha.sw.disassembler import disassemble, format_word
from ageha.sw.instruction import Instruction, InstructionError, encode, fields


def random_word(generator: random.Random) -> bytes:
    """Draw a word: a valid instruction, or one with any bit flipped."""
    opcode = generator.choice(list(Opcode))
    values = {}
    for name, field in fields(opcode).items():
        if field.parts:
            values[name] = (generator.randrange(256), generator.randrange(1 << 48))
        elif field.enumeration:
            values[name] = generator.choice(list(field.enumeration))
        else:
            values[name] = generator.choice([0, field.low, field.high])
    number = int.from_bytes(encode(opcode, **values), "little")
    if generator.random() < 0.3:
        number ^= 1 << generator.randrange(8 * INSTRUCTION_BYTES)
    return number.to_bytes(INSTRUCTION_BYTES, "little")


@pytest.mark.parametrize("seed", range(10))
def test_round_trip(seed: int) -> None:
    generator = random.Random(seed)
    code = b"".join(random_word(generator) for _ in range(40))
    text = disassemble(code)
    assert len(text.splitlines()) == 40
    assert assemble(text) == code
    assert disassemble(assemble(text)) == text


def test_text() -> None:
    source = """
    # a comment
    LOAD signal=0b1 rows=4 row_words=8 dram_address=1:1024 dram_stride=0x40   # trailing

    MATMUL wait=1 m=4 fraction=-3 flow=0
    QUANTISE activation=GELU
    END
    """
    assert disassemble(assemble(source)).splitlines() == [
        "LOAD signal=0x1 rows=4 row_words=8 dram_address=1:0x400 dram_stride=64",
        "MATMUL wait=0x1 fraction=-3 m=4",
        "QUANTISE activation=GELU",
        "END",
    ]


def test_words_that_are_no_instruction() -> None:
    zero = bytes(INSTRUCTION_BYTES)
    assert format_word(zero) == ".word 0x" + "0" * 128
    stray = Instruction(Opcode.END).encode()[:-1] + b"\x80"
    assert format_word(stray) == ".word 0x80" + "0" * 124 + "01"
    with pytest.raises(InstructionError, match="microcode is a multiple of 64 bytes, not 1"):
        disassemble(b"\0")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("MATMUL m=65536", "m must be an integer from 0 to 65535, not 65536"),
        ("MATMUL m=four", "m must be a number, not 'four'"),
        ("MATMUL m", "an operand is FIELD=VALUE, not 'm'"),
        ("MATMUL m=1 m=1", "m is given twice"),
        ("MATMUL rows=1", "MATMUL has no field 'rows'; choose from wait, signal, flow"),
        ("DIVIDE m=1", "opcode must be one of END, LOAD, MATMUL"),
        ("QUANTISE activation=TANH", "activation must be one of IDENTITY, RELU, GELU, SILU, "),
        ("QUANTISE activation=9", "activation must be one of IDENTITY (0), RELU (1), GELU (2)"),
        ("LOAD dram_address=5", "dram_address must be window:offset, not '5'"),
        ("LOAD dram_address=a:5", "dram_address.window must be a number, not 'a'"),
        ("LOAD dram_address=256:5", "dram_address.window must be an integer from 0 to 255"),
        (".word", ".word takes one number, not 0 operands"),
        (".word -1", ".word must be from 0 to 2^512 - 1, not -1"),
    ],
)
def test_messages(line: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble(f"END\n\n{line}\n")
    assert str(caught.value).startswith("line 3: " + message)
