"""Emitted Verilog: equal modules merged, readable, repeatable, and the same machine."""

import ctypes
import re
from pathlib import Path

import pytest
import toys
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ageha import gen
from ageha.gen.naming import NameClash, component_ports, module_name
from ageha.gen.verilog import emit, header
from ageha.hw.config import PRESETS
from ageha.verif.simulator import build_library, elaborate, run_bench
from ageha.verif.verilator import lint

WAIVERS = Path(gen.__file__).with_name("lint.vlt")

MIXED_HARNESS = """
#include "Vtop.h"
extern "C" unsigned result(unsigned i) {
    VerilatedContext context;
    Vtop model{&context};
    model.i = i;
    model.eval();
    return model.o;
}
"""


def test_array_is_one_module_many_times():
    verilog = emit(toys.Grid(16))
    assert verilog.modules == ("grid", "processing_element")
    assert len(re.findall(r"^  processing_element pe_\d+_\d+ \($", verilog.text, re.M)) == 256


def test_ports_are_those_of_the_signature():
    verilog = emit(toys.Grid(2))
    assert "module grid(a, b, clk, rst, y);" in verilog.text
    assert "module processing_element(a, b, shift_in, clk, rst, shift_out);" in verilog.text


def test_text_is_repeatable_and_free_of_noise():
    first = emit(toys.Chain()).text
    assert emit(toys.Chain()).text == first
    for noise in ("src =", "$auto", "\\", "Amaranth", "(*"):
        assert noise not in first


def test_different_widths_are_different_modules():
    verilog = emit(toys.Chain())
    assert verilog.modules[0] == "chain"
    assert set(verilog.modules) == {"chain", "delay", "delay_2", "chain_counter"}
    assert len(re.findall(r"^  delay narrow_\d \($", verilog.text, re.M)) == 3


def test_name_of_the_top():
    assert emit(toys.Grid(2), "machine").modules[0] == "machine"


def test_equal_modules_under_a_reset_of_the_parent_are_merged():
    verilog = emit(toys.Cleared())
    assert set(verilog.modules) == {"cleared", "cleared_inner", "delay", "sync_fifo"}
    assert "module delay(i_payload, i_valid, clk, rst, cleared, o_payload, o_valid);" in (
        verilog.text
    )


def test_memory_of_zeros_takes_three_lines():
    text = emit(toys.Cleared()).text
    assert (
        "for (memory_i = 0; memory_i <= 15; memory_i = memory_i + 1) memory[memory_i] = 0;" in text
    )


def test_queue_and_memory_delay():
    parameters = {"width": 8, "latency": 4}
    assert run_bench(toys.Cleared(), "selftest", parameters=parameters, testcase="delays") == 1


def test_constant_part_of_a_port_that_a_condition_changes(tmp_path):
    harness = tmp_path / "harness.cpp"
    harness.write_text(MIXED_HARNESS)
    library = ctypes.CDLL(str(build_library(elaborate(toys.Mixed()), "top", [harness])))
    assert library.result(0x3) == 0xA5C3
    assert library.result(0x2) == 0xA502
    (tmp_path / "mixed.v").write_text(emit(toys.Mixed()).text)
    lint([tmp_path / "mixed.v", WAIVERS], "mixed")


def test_hidden_signals_keep_working():
    text = elaborate(toys.Peeking())
    assert run_bench(text, "selftest", parameters={"width": 8}, testcase="delays") == 1


def test_merged_chain_delays():
    parameters = {"width": 8, "latency": 4, "input": "i_payload", "output": "o_payload"}
    assert run_bench(toys.Chain(), "selftest", parameters=parameters, testcase="delays") == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ProcessingElement", "processing_element"),
        ("AXIReader", "axi_reader"),
        ("Fifo2", "fifo2"),
        ("Table", "table_block"),
    ],
)
def test_module_name(name, expected):
    assert module_name(name) == expected


def test_clash_is_refused():
    inner = wiring.Signature({"b": Out(1)})
    interface = wiring.Signature({"a_b": In(1), "a": Out(inner)}).create()
    with pytest.raises(NameClash, match="a_b"):
        component_ports(interface)


def test_header_tells_the_parameters():
    config = PRESETS["tiny"]
    text = header(config)
    assert f"0x{config.hash:08x}" in text
    assert "// array.rows = 4\n" in text
    assert all(line.startswith("// ") for line in text.splitlines())
