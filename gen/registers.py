"""The register map as SystemRDL, and from it a C header and an HTML page (PeakRDL)."""

import re
import tempfile
import zlib
from pathlib import Path

from peakrdl_cheader.c_standards import CStandard
from peakrdl_cheader.exporter import CHeaderExporter
from peakrdl_html import HTMLExporter
from systemrdl import RDLCompiler
from systemrdl.node import RootNode

from ..hw.config import AcceleratorConfig
from ..hw.registers import Access, Register, register_map
from .verilog import version

_PROPERTIES = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.READ_ONLY: "sw = r; hw = w;",
    Access.READ_WRITE: "sw = rw; hw = r;",
    Access.COUNTED: "sw = r; hw = w;",
    Access.READ_CLEAR: "sw = r; onread = rclr; hw = w; hwset;",
    Access.WRITE_SET: "sw = rw; onwrite = woset; hw = rw; hwclr;",
    Access.WRITE_TOGGLE: "sw = rw; onwrite = wot; hw = w; hwset;",
}


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _register(register: Register) -> str:
    fields = [
        f"        field {{ desc = {_quote(field.description)}; {_PROPERTIES[field.access]} }}"
        f" \\{field.name}[{field.low + field.width - 1}:{field.low}] = {field.reset:#x};\n"
        for field in register.fields
    ]
    head = f"    reg {{\n        desc = {_quote(register.description)};\n"
    return f"{head}{''.join(fields)}    }} \\{register.name} @ {register.offset:#05x};\n"


def systemrdl(config: AcceleratorConfig) -> str:
    """Return the register map of `config` in SystemRDL 2.0."""
    about = f"Ageha {version()}, preset {config.name}, parameter hash 0x{config.hash:08x}."
    head = f'addrmap ageha {{\n    name = "Ageha registers";\n    desc = {_quote(about)};\n'
    width = "    default regwidth = 32;\n    default accesswidth = 32;\n"
    return head + width + "".join(map(_register, register_map(config))) + "};\n"


def _compile(text: str) -> RootNode:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ageha.rdl"
        path.write_text(text)
        compiler = RDLCompiler()
        compiler.compile_file(str(path))
        return compiler.elaborate()


def write_c_header(text: str, path: Path) -> None:
    """Write the C99 header of the SystemRDL `text`: offsets, masks and a struct."""
    CHeaderExporter().export(_compile(text), str(path), std=CStandard.gnu99)


def write_html(text: str, folder: Path) -> None:
    """Write the page ``index.html`` of the SystemRDL `text`, and what it needs, in `folder`.

    Only the fonts that today's browsers load are kept; the others are six megabytes.
    """
    exporter = HTMLExporter(generate_source_links=False)
    exporter.export(_compile(text), str(folder), title="Ageha registers")
    for path in [*folder.rglob("fonts/*/*"), *folder.glob("launcher-*")]:
        if path.suffix != ".woff2":
            path.unlink()
    # The page marks its scripts with the time to defeat stale caches; the content does as well,
    # and the same parameters give the same bytes.
    page = folder / "index.html"
    html = page.read_text(encoding="utf-8")
    stamp = re.search(r"BUILD_TS = (\d+)", html)
    if stamp is not None:
        page.write_text(html.replace(stamp[1], str(zlib.crc32(text.encode()))), encoding="utf-8")
