"""Place and route: what surrounds a design, and what the report says."""

import json
import re

import pytest

from ageha.gen.placement import Hop, Timing, read_report, with_few_pins
from ageha.gen.synthesis import SynthesisError
from ageha.gen.verilog import emit
from ageha.hw.config import preset
from ageha.hw.grid import Grid

CLOCK = "posedge $glbnet$clk"


def _step(kind, cell, target, delay):
    return {"type": kind, "delay": delay, "from": {"cell": cell}, "to": {"cell": target}}


def _report(folder, **changes):
    start, middle, end = "a.b.sum_TRELLIS_FF_Q_7", "a.x_LUT4_Z", "a.c.mean_TRELLIS_FF_Q"
    path = [
        _step("clk-to-q", start, start, 0.5),
        _step("routing", start, middle, 1.25),
        _step("logic", middle, middle, 0.25),
        _step("routing", middle, end, 2.0),
        _step("setup", end, end, 0.0),
    ]
    longest = {"from": CLOCK, "to": CLOCK, "path": path}
    outside = {"from": "<async>", "to": CLOCK, "path": path[:1]}
    values = {
        "critical_paths": [outside, longest],
        "fmax": {"$glbnet$clk": {"achieved": 250.004, "constraint": 100}},
    }
    target = folder / "report.json"
    target.write_text(json.dumps(values | changes))
    return target


def test_longest_path_in_the_hierarchy(tmp_path):
    hops = (Hop("a.b", 0.5), Hop("a", 1.5), Hop("a.c", 2.0))
    assert read_report(_report(tmp_path)) == Timing(250.0, "a.b.sum", "a.c.mean", hops)


@pytest.mark.parametrize("nothing", [{"critical_paths": []}, {"fmax": {}}])
def test_report_without_a_path_is_refused(nothing, tmp_path):
    with pytest.raises(SynthesisError, match="no path from flip-flop to flip-flop"):
        read_report(_report(tmp_path, **nothing))


def test_every_port_is_at_a_register():
    verilog = emit(Grid(preset("tiny")), "grid")
    text = with_few_pins(verilog)
    ranges = re.findall(r"\.(\w+)\((given|taken)\[(\d+):(\d+)\]\)", text)
    for register in ("given", "taken"):
        bits = [
            bit
            for _, wires, high, low in ranges
            if wires == register
            for bit in range(int(low), int(high) + 1)
        ]
        declared = re.search(rf"\[(\d+):0\] {register};", text)
        assert bits == list(range(int(declared[1]) + 1))
    assert {"activations_0__0", "rst"} & {name for name, *_ in ranges}
    assert ".clk(clk)" in text
