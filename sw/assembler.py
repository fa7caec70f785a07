"""Text to microcode: the inverse of `sw.disassembler`, which shows the notation.

Blank lines and everything from ``#`` on are ignored. Numbers are decimal, ``0x`` or ``0b``;
fields with named values take the name; DRAM addresses are ``window:offset``.
"""

from __future__ import annotations

import enum

from ..hw.config import INSTRUCTION_BYTES
from ..hw.isa import Opcode
from .disassembler import RAW_WORD
from .instruction import Dram, Field, InstructionError, Value, encode, fields


class AssemblyError(ValueError):
    """A line is wrong. The message begins with its number and names field, value and limit."""


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise InstructionError(f"{name} must be a number, not {text!r}") from None


def _member(field: Field, names: type[enum.Enum], text: str) -> Value:
    if text in names.__members__:
        return names[text]
    if text.isdigit():
        return field.normalise(int(text))
    raise InstructionError(
        f"{field.name} must be one of {', '.join(names.__members__)}, not {text!r}"
    )


def _value(field: Field, text: str) -> Value:
    if field.enumeration:
        return _member(field, field.enumeration, text)
    if not field.parts:
        return _number(field.name, text)
    window, colon, offset = text.partition(":")
    if not colon:
        raise InstructionError(f"{field.name} must be window:offset, not {text!r}")
    return Dram(_number(f"{field.name}.window", window), _number(f"{field.name}.offset", offset))


def _raw_word(operands: list[str]) -> bytes:
    if len(operands) != 1:
        raise InstructionError(f"{RAW_WORD} takes one number, not {len(operands)} operands")
    number = _number(RAW_WORD, operands[0])
    limit = 1 << (8 * INSTRUCTION_BYTES)
    if not 0 <= number < limit:
        raise InstructionError(
            f"{RAW_WORD} must be from 0 to 2^{8 * INSTRUCTION_BYTES} - 1, not {operands[0]}"
        )
    return number.to_bytes(INSTRUCTION_BYTES, "little")


def assemble_line(line: str) -> bytes:
    """Return the word of one line, or nothing for a line without an instruction.

    Raises
    ------
    InstructionError
        Naming what is wrong.
    """
    mnemonic, *operands = line.partition("#")[0].split() or [""]
    if not mnemonic:
        return b""
    if mnemonic == RAW_WORD:
        return _raw_word(operands)
    if mnemonic not in Opcode.__members__:
        raise InstructionError(
            f"opcode must be one of {', '.join(Opcode.__members__)}, not {mnemonic!r}"
        )
    opcode = Opcode[mnemonic]
    known = fields(opcode)
    values: dict[str, Value] = {}
    for operand in operands:
        name, equals, text = operand.partition("=")
        if not equals:
            raise InstructionError(f"an operand is FIELD=VALUE, not {operand!r}")
        if name in values:
            raise InstructionError(f"{name} is given twice")
        if name not in known:
            raise InstructionError(
                f"{mnemonic} has no field {name!r}; choose from {', '.join(known)}"
            )
        values[name] = _value(known[name], text)
    return encode(opcode, **values)


def assemble(text: str) -> bytes:
    """Return the microcode of `text`.

    Raises
    ------
    AssemblyError
        With the number of the first wrong line, the field, the value and its limit.
    """
    code = bytearray()
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            code += assemble_line(line)
        except InstructionError as error:
            raise AssemblyError(f"line {number}: {error}") from None
    return bytes(code)
