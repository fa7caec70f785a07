"""C header of the instruction set: constants, enumerations, and pack and unpack functions.

Everything is derived from the layouts in `ageha.hw.isa`. The functions move bits one field at a
time, so they need neither bit fields nor a certain byte order, nor anything of the C library.
"""

import enum
from collections.abc import Iterator
from typing import Any

from ..hw import isa
from ..hw.config import INSTRUCTION_BYTES, WORD_BYTES, AcceleratorConfig
from .layouts import Bits, bits_of, description
from .naming import snake_case
from .verilog import version

_PROLOGUE = """\
#ifndef AGEHA_ISA_H
#define AGEHA_ISA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
"""

_ACCESS = """\
/* Set all bits of a word to zero. */
static inline void ageha_clear(uint8_t *word, unsigned size)
{
    for (unsigned place = 0; place < size; ++place)
        word[place] = 0;
}

/* Set `width` bits of a little-endian word, from bit `low` on. */
static inline void ageha_insert(uint8_t *word, unsigned low, unsigned width, uint64_t value)
{
    for (unsigned bit = 0; bit < width; ++bit) {
        uint8_t mask = (uint8_t)(1u << ((low + bit) % 8));
        if ((value >> bit) & 1)
            word[(low + bit) / 8] |= mask;
        else
            word[(low + bit) / 8] &= (uint8_t)~mask;
    }
}

/* Get `width` bits of a little-endian word, from bit `low` on. */
static inline uint64_t ageha_extract(const uint8_t *word, unsigned low, unsigned width)
{
    uint64_t value = 0;
    for (unsigned bit = 0; bit < width; ++bit)
        value |= (uint64_t)((word[(low + bit) / 8] >> ((low + bit) % 8)) & 1) << bit;
    return value;
}

/* Get a number in two's complement. */
static inline int64_t ageha_extract_signed(const uint8_t *word, unsigned low, unsigned width)
{
    uint64_t sign = (uint64_t)1 << (width - 1);
    return (int64_t)((ageha_extract(word, low, width) ^ sign) - sign);
}
"""

_EPILOGUE = """\
#ifdef __cplusplus
}
#endif

#endif
"""

_ENUMERATIONS = (
    isa.Opcode,
    isa.Unit,
    isa.Flow,
    isa.Activation,
    isa.ButterflyMode,
    isa.Axis,
    isa.Norm,
    isa.ErrorCode,
)


def _comment(text: str) -> str:
    lines = text.replace("``", "`").splitlines()
    if len(lines) == 1:
        return f"/* {lines[0]} */\n"
    return "".join(["/*\n", *(f" * {line}".rstrip() + "\n" for line in lines), " */\n"])


def _enumeration(choices: type[enum.Enum]) -> str:
    name = snake_case(choices.__name__)
    lines = [
        f"    AGEHA_{name.upper()}_{member.name} = {int(member.value)},\n" for member in choices
    ]
    cases = [
        f'    case AGEHA_{name.upper()}_{member.name}:\n        return "{member.name}";\n'
        for member in choices
    ]
    return "".join(
        [
            _comment(description(choices)),
            f"enum ageha_{name} {{\n",
            *lines,
            "};\n\n",
            f"/* Return the name of `value`, without AGEHA_{name.upper()}_. */\n",
            f"static inline const char *ageha_{name}_name(unsigned value)\n{{\n",
            "    switch (value) {\n",
            *cases,
            '    default:\n        return "UNKNOWN";\n    }\n}\n',
        ]
    )


def _type(bits: Bits) -> str:
    size = next(size for size in (8, 16, 32, 64) if bits.width <= size)
    return f"{'int' if bits.signed else 'uint'}{size}_t"


def _structure(layout: Any, size: int, opcode: isa.Opcode | None) -> str:
    """Return the struct of a layout of `size` bytes and the functions between it and a word."""
    name = snake_case(layout.__name__)
    fields = [bits for bits in bits_of(layout) if bits.used]
    if opcode is not None:
        fields = [bits for bits in fields if bits.name != "opcode"]
    members = [f"    {_type(bits)} {bits.name};\n" for bits in fields]
    packs = [f"    ageha_clear(word, {size});\n"]
    if opcode is not None:
        packs.append(f"    word[0] = AGEHA_OPCODE_{opcode.name};\n")
    unpacks = []
    for bits in fields:
        place = f"word, {bits.low}, {bits.width}"
        packs.append(f"    ageha_insert({place}, (uint64_t)value->{bits.name});\n")
        get = "ageha_extract_signed" if bits.signed else "ageha_extract"
        unpacks.append(f"    value->{bits.name} = ({_type(bits)}){get}({place});\n")
    prefix = f"static inline void ageha_{name}"
    return "".join(
        [
            _comment(description(layout)),
            f"struct ageha_{name} {{\n",
            *members,
            "};\n\n",
            f"{prefix}_pack(const struct ageha_{name} *value, uint8_t word[{size}])\n{{\n",
            *packs,
            "}\n\n",
            f"{prefix}_unpack(struct ageha_{name} *value, const uint8_t word[{size}])\n{{\n",
            *unpacks,
            "}\n",
        ]
    )


def _constants(config: AcceleratorConfig) -> Iterator[tuple[str, str]]:
    yield "PARAMETER_HASH", f"0x{config.hash:08x}u"
    yield "ISA_VERSION", str(isa.VERSION)
    yield "MAGIC", f"0x{isa.MAGIC:08x}u"
    yield "INSTRUCTION_BYTES", str(INSTRUCTION_BYTES)
    yield "WORD_BYTES", str(WORD_BYTES)
    for group, values in config.to_dict().items():
        if isinstance(values, dict):
            for name, value in values.items():
                yield f"{group}_{name}".upper(), str(int(value))


def isa_header(config: AcceleratorConfig) -> str:
    """Return the C99 (and C++) header of the instruction set of `config`."""
    title = f"Instruction set of Ageha {version()}, preset {config.name}. Generated."
    constants = [f"#define AGEHA_{name} {value}\n" for name, value in _constants(config)]
    parts = [_comment(title) + _PROLOGUE, "".join(constants)]
    parts += [_enumeration(choices) for choices in _ENUMERATIONS]
    parts.append(_ACCESS)
    parts += [
        _structure(layout, INSTRUCTION_BYTES, opcode) for opcode, layout in isa.LAYOUTS.items()
    ]
    parts.append(_structure(isa.ProgramHeader, INSTRUCTION_BYTES, None))
    parts.append(_structure(isa.ScaleWord, WORD_BYTES, None))
    return "\n".join([*parts, _EPILOGUE])
