"""`ageha bench`."""

import json

import pytest

from ageha.cli.main import main

ATTENTION_KEYS = {
    "bench",
    "preset",
    "case",
    "cycles",
    "ideal_cycles",
    "utilization",
    "roofline_cycles",
    "array_busy",
    "bytes_moved",
    "compulsory_bytes",
    "predicted_cycles",
    "cosine",
    "mismatches",
    "energy_pj",
    "edp",
    "energy_parts",
}


@pytest.mark.parametrize(
    "name", ["attention", "butterfly", "gemm", "sparse", "simulate", "generate"]
)
def test_help_has_an_example(name, capsys):
    assert main(["bench", name, "--help"]) == 0
    assert f"ageha bench {name}" in capsys.readouterr().out


def test_generate(tmp_path, capsys):
    figures = tmp_path / "x.json"
    assert main(["bench", "generate", "--preset", "tiny", "--json", str(figures)]) == 0
    assert "verilog_lines" in capsys.readouterr().out
    (record,) = json.loads(figures.read_text())
    assert record["bench"] == "generate"
    assert record["preset"] == "tiny"
    assert record["seconds"] > 0


@pytest.mark.slow
def test_attention(tmp_path, capsys):
    figures, page = tmp_path / "x.json", tmp_path / "x.html"
    command = ["bench", "attention", "--sequence", "9", "--sequence", "16"]
    assert main([*command, "--json", str(figures), "--report", str(page)]) == 0
    records = json.loads(figures.read_text())
    assert [record["case"] for record in records] == ["minilm S=9", "minilm S=16"]
    for record in records:
        assert set(record) >= ATTENTION_KEYS
        assert record["mismatches"] == 0
        assert record["roofline_cycles"] <= record["cycles"]
        assert record["compulsory_bytes"] <= record["bytes_moved"]
    assert "RTL equals golden in all 9,600 elements" in page.read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["attention", "--sequence", "0"], "--sequence must be from 1 to 256"),
        (["attention", "--sequence", "257"], "the limit of the model, not 257"),
        (["attention", "--preset", "huge"], "preset must be one of"),
        (
            ["attention", "--workload", "ita", "--sequence", "65"],
            "--sequence must be one of 64, 128, 256, 512 for ita, not 65",
        ),
        (["attention", "--workload", "fnet", "--weights", "x"], "fnet takes no --weights"),
        (["attention", "--weights", "missing"], "missing: no such file"),
        (["generate", "--preset", "huge"], "preset must be one of"),
        (["simulate", "--preset", "huge"], "preset must be one of"),
        (["moths"], "No such command 'moths'"),
        (["butterfly", "--n", "48"], "--n must be a power of two from 4 to 8192, not 48"),
        (["butterfly", "--n", "16384"], "--n must be a power of two from 4 to 8192, not 16384"),
        (["butterfly", "--instructions", "0"], "--instructions must be from 1 to 64, not 0"),
        (["butterfly", "--tokens", "0"], "--tokens must be from 1 to 4096, not 0"),
        (["butterfly", "--mode", "mixing"], "in the study resident, not mixing"),
        (["butterfly", "--study", "memory", "--mode", "ifft"], "in the study memory, not ifft"),
        (["gemm", "--shape", "3x4"], "--shape must be MxNxK such as 128x384x384, not '3x4'"),
        (["gemm", "--shape", "3x0x4"], "n must be from 1 to 65535, not 0"),
        (["gemm", "--set", "array.partial_rows=0"], "at least 16 for dWS and dIS, not 0"),
        (["gemm", "--flow", "sOS"], "--flow must be one of dOS, dWS, dIS, not 'sOS'"),
        (["sparse", "--tokens", "0"], "--tokens: m must be from 1 to 65535, not 0"),
        (["sparse", "--layers", "6"], "--layers must be from 0 to 5, not 6"),
        (["sparse", "--weights", "bert-base", "--layers", "0"], "--layers is for --weights minilm"),
        (["sparse", "--density", "0"], "--density must be from 0.01 to 1, not 0.0"),
        (["sparse", "--set", "array.block=1"], "must allow all flows"),
        (["sparse", "--energy", "missing.toml"], "--energy missing.toml: cannot be read"),
        (["attention", "--energy", "missing.toml"], "--energy missing.toml: cannot be read"),
    ],
)
def test_wrong_bench_is_refused(options, text, tmp_path, refused):
    refused(["bench", *options, "--json", tmp_path / "x.json"], text)
