"""Microcode to text, one line an instruction; `sw.assembler` reads it back to the same bytes.

::

    LOAD signal=0x1 rows=4 row_words=8 dram_address=1:0x400 dram_stride=64 address=0 pitch=9
    MATMUL wait=0x1 signal=0x2 m=4 n=16 k=64 a_pitch=9 ...
    END wait=0x2

Fields that are zero are left out. A word that is no instruction, or has bits set where the layout
has none, is shown as ``.word`` and 128 hexadecimal digits, the highest first.
"""

from __future__ import annotations

import enum

from ..hw.config import INSTRUCTION_BYTES
from .instruction import Instruction, InstructionError, Value, decode, fields, split_words

RAW_WORD = ".word"
"""What introduces a word that is no instruction."""

MASK_FIELDS = ("wait", "signal")


def _text(name: str, value: Value) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    return f"{value:#x}" if name in MASK_FIELDS else str(value)


def format_instruction(instruction: Instruction) -> str:
    """Return the line of one instruction."""
    known = fields(instruction.opcode)
    shown = (
        f"{name}={_text(name, value)}"
        for name, value in instruction.values.items()
        if value != known[name].zero
    )
    return " ".join([instruction.opcode.name, *shown])


def format_word(word: bytes) -> str:
    """Return the line of one instruction word, whatever it holds."""
    try:
        instruction = decode(word)
        if instruction.encode() == word:
            return format_instruction(instruction)
    except InstructionError:
        pass
    return f"{RAW_WORD} 0x{int.from_bytes(word, 'little'):0{2 * INSTRUCTION_BYTES}x}"


def disassemble(code: bytes) -> str:
    """Return the text of `code`, a line for each word.

    Raises
    ------
    InstructionError
        If the length of `code` is no multiple of an instruction.
    """
    return "".join(f"{line}\n" for line in map(format_word, split_words(code)))
