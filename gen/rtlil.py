"""Tidying of Amaranth's RTLIL, which is text: what would make the Verilog unreadable or long."""

import re

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n(.*?)^end\n", re.M | re.S)
_PORT = re.compile(r"^(  wire width \d+ (?:input|output|inout)) (\d+)", re.M)
_IDENTIFIER = re.compile(r"\\[^\s\\\"]+")
_EMPTY_WIRE = re.compile(r"(?:^ *attribute [^\n]*\n)*^  wire width 0 [^\n]*(\\\S+)\n", re.M)
_FIELD_WIRE = re.compile(
    r"(?:^ *attribute [^\n]*\n)*^  wire width \d+ (?:signed )?(\\[^\s.\[]+[.\[]\S*)\n", re.M
)
_ENUMERATION = re.compile(r"^ *attribute \\enum_[^\n]*\n", re.M)
_CONNECTION = re.compile(r"^connect (\\\S+) [^\n]*\n", re.M)
_ZERO_INIT = re.compile(
    r"^  cell \$meminit_v2 \S+\n    parameter \\MEMID [^\n]*\n"
    r"(?:    parameter [^\n]*\n)*    connect \\ADDR [^\n]*\n    connect \\DATA (?:\d+'0+|\{  \})\n"
    r"    connect \\EN [^\n]*\n  end\n",
    re.M,
)


def split(text: str) -> list[tuple[str, str]]:
    """Return name and body of each module in `text`, in their order."""
    return _MODULE.findall(text)


def clean(text: str) -> str:
    """Return the RTLIL of Amaranth without what only a machine can read.

    - Ports are counted from 1: yosys takes 0 for "no place" and moves that port behind the others.
    - Names with ``$``, ``.`` or ``[`` become plain identifiers.
    - Wires without bits are dropped, and those that only give a name to a field of another;
      names of the values of enumerations too.
    - The initial words of a memory are dropped if all are zero; Amaranth's memories are never
      without, so that none means zero.
    """
    text = _PORT.sub(lambda match: f"{match[1]} {int(match[2]) + 1}", text)
    text = _ENUMERATION.sub("", text)
    dropped = {*_EMPTY_WIRE.findall(text), *_FIELD_WIRE.findall(text)}
    text = _FIELD_WIRE.sub("", _EMPTY_WIRE.sub("", text))
    text = _CONNECTION.sub(lambda match: "" if match[1] in dropped else match[0], text)
    return _rename(_ZERO_INIT.sub("", text))


def _rename(text: str) -> str:
    """Give every name that Verilog would have to escape a plain one that is not yet taken."""
    found = dict.fromkeys(_IDENTIFIER.findall(text))
    taken = set(found)
    names: dict[str, str] = {}
    for name in found:
        is_module_or_attribute = name.startswith(("\\_root_.", "\\amaranth."))
        if is_module_or_attribute or re.fullmatch(r"\\[A-Za-z_]\w*", name):
            continue
        stem = "\\" + (re.sub(r"\W+", "_", name[1:]).strip("_") or "signal")
        stem = stem if re.match(r"\\[A-Za-z_]", stem) else f"\\_{stem[1:]}"
        plain, number = stem, 1
        while plain in taken:
            number += 1
            plain = f"{stem}_{number}"
        taken.add(plain)
        names[name] = plain
    return _IDENTIFIER.sub(lambda match: names.get(match[0], match[0]), text)
