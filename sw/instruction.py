"""Build and take apart instruction words; everything is derived from the layouts in `hw.isa`.

An instruction is a mapping from the names of its fields to their values. The header contributes
`wait` and `signal`; a `hw.isa.DramAddress` is one field with a `Dram` value; reserved bits are
zero. What is not given is zero.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from amaranth.hdl import Shape
from amaranth.lib import data

from ..hw import isa
from ..hw.config import INSTRUCTION_BYTES
from ..hw.isa import Opcode, Unit

UNUSED_FIELDS = ("reserved", "padding")


class InstructionError(ValueError):
    """A field is unknown or out of range, or a word is no instruction."""


class Dram(NamedTuple):
    """A byte in DRAM: a window that the host opens and an offset in bytes."""

    window: int
    offset: int

    def __str__(self) -> str:
        return f"{self.window}:{self.offset:#x}"


Value = int | enum.Enum | Dram
"""What a field of an instruction may hold."""


@dataclass(frozen=True)
class Field:
    """One field of an instruction: where it lies and which values it takes.

    Parameters
    ----------
    name : str
    offset : int
        Lowest bit in the word.
    width : int
    is_signed : bool
    enumeration : type of enum, optional
        The names of the values, where they have names.
    parts : tuple of Field
        Window and offset of a DRAM address; empty for all other fields.
    """

    name: str
    offset: int
    width: int
    is_signed: bool = False
    enumeration: type[enum.Enum] | None = None
    parts: tuple[Field, ...] = ()

    @property
    def key(self) -> str:
        """The name without that of the group that holds the field."""
        return self.name.rpartition(".")[2]

    @property
    def low(self) -> int:
        """The least value."""
        return -(1 << (self.width - 1)) if self.is_signed else 0

    @property
    def high(self) -> int:
        """The greatest value."""
        return (1 << (self.width - self.is_signed)) - 1

    @property
    def zero(self) -> Value:
        """The value of a field that is left out."""
        if self.parts:
            return Dram(0, 0)
        return self.enumeration(0) if self.enumeration else 0

    def normalise(self, value: object) -> Value:
        """Return `value` as the type of the field.

        Raises
        ------
        InstructionError
            Naming the field, the value and its range.
        """
        if self.parts:
            return self._dram(value)
        if self.enumeration:
            return self._member(value)
        if isinstance(value, enum.Enum) or not hasattr(value, "__index__"):
            raise InstructionError(f"{self.name} must be an integer, not {value!r}")
        number = int(value.__index__())
        if not self.low <= number <= self.high:
            raise InstructionError(
                f"{self.name} must be an integer from {self.low} to {self.high}, not {number}"
            )
        return number

    def _member(self, value: object) -> enum.Enum:
        assert self.enumeration is not None
        try:
            return self.enumeration(value)
        except ValueError:
            names = ", ".join(f"{member.name} ({member.value})" for member in self.enumeration)
            raise InstructionError(f"{self.name} must be one of {names}, not {value}") from None

    def _dram(self, value: object) -> Dram:
        if not isinstance(value, tuple) or len(value) != 2:
            raise InstructionError(f"{self.name} must be (window, offset), not {value!r}")
        given = Dram(*value)._asdict()
        checked: dict[str, Any] = {part.key: part.normalise(given[part.key]) for part in self.parts}
        return Dram(**checked)

    def insert(self, value: Value) -> int:
        """Return the bits of a normalised `value` at their place in the word."""
        if self.parts:
            assert isinstance(value, Dram)
            return sum(part.insert(getattr(value, part.key)) for part in self.parts)
        number = value.value if isinstance(value, enum.Enum) else value
        assert isinstance(number, int)
        return (number & ((1 << self.width) - 1)) << self.offset

    def extract(self, word: int) -> Value:
        """Return the value in `word`.

        Raises
        ------
        InstructionError
            If the field is an enumeration without that value.
        """
        if self.parts:
            found: dict[str, Any] = {part.key: part.extract(word) for part in self.parts}
            return Dram(**found)
        number = (word >> self.offset) & ((1 << self.width) - 1)
        if self.is_signed and number >> (self.width - 1):
            number -= 1 << self.width
        return self._member(number) if self.enumeration else number


def _walk(layout: type[data.Struct] | data.Layout, base: int, prefix: str) -> Iterable[Field]:
    for name, member in data.Layout.cast(layout):
        if name in UNUSED_FIELDS:
            continue
        offset = base + member.offset
        shape = member.shape
        if shape is isa.Header:
            yield from _walk(shape, offset, "")
        elif shape is isa.DramAddress:
            parts = tuple(_walk(shape, offset, f"{name}."))
            yield Field(name, offset, Shape.cast(shape).width, parts=parts)
        else:
            bits = Shape.cast(shape)
            enumeration = shape if isinstance(shape, type) else None
            yield Field(prefix + name, offset, bits.width, bits.signed, enumeration)


@cache
def fields(opcode: Opcode) -> Mapping[str, Field]:
    """Return the fields of `opcode` by name, in the order of the layout, without the opcode."""
    walked = {member.name: member for member in _walk(isa.LAYOUTS[opcode], 0, "")}
    del walked["opcode"]
    return walked


@dataclass(frozen=True)
class Instruction:
    """One instruction with all its fields.

    Parameters
    ----------
    opcode : Opcode
    values : mapping
        Field values; what is missing becomes zero.

    Raises
    ------
    InstructionError
        If a field is unknown or out of range.
    """

    opcode: Opcode
    values: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = fields(self.opcode)
        for name in self.values:
            if name not in known:
                raise InstructionError(
                    f"{self.opcode.name} has no field {name}; choose from {', '.join(known)}"
                )
        complete = {
            name: known_field.normalise(self.values[name])
            if name in self.values
            else known_field.zero
            for name, known_field in known.items()
        }
        object.__setattr__(self, "values", complete)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def unit(self) -> Unit:
        """The unit that executes the instruction."""
        return isa.UNIT_OF[self.opcode]

    @property
    def wait(self) -> int:
        """Mask of the semaphores that the instruction waits for."""
        return self["wait"]

    @property
    def signal(self) -> int:
        """Mask of the semaphores that the instruction signals."""
        return self["signal"]

    def replace(self, **values: Value) -> Instruction:
        """Return a copy with other `values` for some fields."""
        return Instruction(self.opcode, {**self.values, **values})

    def encode(self) -> bytes:
        """Return the instruction word, `hw.config.INSTRUCTION_BYTES` bytes."""
        word = self.opcode.value
        for name, known_field in fields(self.opcode).items():
            word |= known_field.insert(self.values[name])
        return word.to_bytes(INSTRUCTION_BYTES, "little")


def encode(opcode: Opcode, **values: Value) -> bytes:
    """Return the word of one instruction, such as ``encode(Opcode.MATMUL, m=8, n=8, k=16)``.

    Raises
    ------
    InstructionError
        If a field is unknown or out of range.
    """
    return Instruction(opcode, values).encode()


def decode(word: bytes) -> Instruction:
    """Return the instruction in a `word` of `hw.config.INSTRUCTION_BYTES` bytes.

    Bits that no field covers are ignored, as the hardware ignores them.

    Raises
    ------
    InstructionError
        If the length or the opcode is wrong, or an enumeration has no such value.
    """
    if len(word) != INSTRUCTION_BYTES:
        raise InstructionError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(word)}")
    number = int.from_bytes(word, "little")
    try:
        opcode = Opcode(number & 0xFF)
    except ValueError:
        raise InstructionError(f"{number & 0xFF:#04x} is no opcode") from None
    return Instruction(
        opcode,
        {name: known_field.extract(number) for name, known_field in fields(opcode).items()},
    )


def split_words(code: bytes) -> list[bytes]:
    """Return the instruction words in `code`.

    Raises
    ------
    InstructionError
        If the length of `code` is no multiple of an instruction.
    """
    if len(code) % INSTRUCTION_BYTES:
        raise InstructionError(
            f"microcode is a multiple of {INSTRUCTION_BYTES} bytes, not {len(code)}"
        )
    starts = range(0, len(code), INSTRUCTION_BYTES)
    return [bytes(code[start : start + INSTRUCTION_BYTES]) for start in starts]


def decode_all(code: bytes) -> list[Instruction]:
    """Return the instructions in `code`, one word after the other.

    Raises
    ------
    InstructionError
        If the length is no multiple of an instruction, or a word is no instruction.
    """
    return [decode(word) for word in split_words(code)]
