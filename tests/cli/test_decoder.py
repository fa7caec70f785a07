"""`ageha compile` and `ageha run --workload decode` with a decoder of the LLaMA family."""

import json

import pytest

from ageha.bench.decode import DecodeWorkload, decode_model, measure_decode
from ageha.bench.execute import build_library
from ageha.bench.record import RunRecord
from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.frontend.llama_save import save
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.program import Program
from ageha.verif.devices.library import MemorySettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("models") / "toy"
    save(synthetic_llama(layers=2, maximum_tokens=64), target)
    return target


def test_compile_knows_the_family(folder, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    target = tmp_path / "program"
    arguments = ["compile", str(folder), "-o", str(target), "--preset", "tiny", "--layers", "all"]
    arguments += ["--sequence", "1", "--past", "13", "--json", str(figures)]
    assert main(arguments) == 0
    assert "cycles, predicted" in capsys.readouterr().out
    (record,) = json.loads(figures.read_text())
    assert record["case"] == "toy layers all S=1 after 13"
    program = Program.load(target / "toy.prog", preset("tiny"))
    assert [item.name for item in program.inputs[:3]] == ["input", "0.keys", "0.values"]
    assert program.metadata["past"] == 13


def test_golden_run(folder, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    arguments = ["run", "--workload", "decode", "--model", str(folder), "--layers", "all"]
    arguments += ["--preset", "tiny", "--sequence", "19", "--device", "golden"]
    assert main([*arguments, "-o", str(tmp_path / "run"), "--json", str(figures)]) == 0
    assert "cosine to float" in capsys.readouterr().out
    (record,) = json.loads(figures.read_text())
    assert record["cosine"] > 0.999
    stored = RunRecord.from_json((tmp_path / "run" / "run.json").read_text())
    assert "MULTIPLY" in "".join(stored.cases[0].listing)


def test_decode_on_the_verilog(folder):
    """What `ageha bench attention --workload decode` measures, on a small model."""
    config, model = preset("tiny"), decode_model(folder)
    workload = DecodeWorkload(config, model, (0,), 16)
    library = build_library(config)
    ((record, case),) = measure_decode(workload, [16], MemorySettings(latency=64), library)
    assert record["mismatches"] == 0
    assert record["cosine"] > 0.999
    assert record["roofline_cycles"] == -(-record["compulsory_bytes"] // config.axi_bytes)
    assert 0 < record["roofline_share"] < 1
    assert case.cycles == pytest.approx(record["predicted_cycles"], rel=0.03)


def test_prompt_on_the_verilog(folder):
    """What `ageha bench attention --workload prefill` measures, on a small model."""
    config, model = preset("tiny"), decode_model(folder)
    workload = DecodeWorkload(config, model, (0,), 9, "prefill", is_prompt=True)
    library = build_library(config)
    ((record, case),) = measure_decode(workload, [9], MemorySettings(latency=16), library)
    assert record["case"] == "prefill S=9"
    assert record["mismatches"] == 0
    assert record["cosine"] > 0.999
    assert len(case.tokens) == len(case.cosine) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sequence", "2", "--past", "13"], "past must be a multiple of 8"),
        (["--sequence", "1", "--sequence", "1"], "a decoder takes one --sequence"),
        (["--masked"], "a decoder takes one --sequence"),
        (["--layers", "2"], "--layers must be from 0 to 1, not 2"),
        (["--past", "64"], "together at most 64, the limit of the model"),
    ],
)
def test_compile_refuses(folder, refused, tmp_path, arguments, message):
    command = ["compile", str(folder), "-o", str(tmp_path / "x"), "--preset", "tiny"]
    refused([*command, *arguments], message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sequence", "64"], "--sequence must be from 0 to 63, the limit of the model less one"),
        (["--text", "five"], "--workload decode takes no PROGRAM, --text or --weights"),
        (["--sequence", "8", "--layers", "7"], "--layers must be from 0 to 1, not 7"),
    ],
)
def test_run_refuses(folder, refused, tmp_path, arguments, message):
    command = ["run", "--workload", "decode", "--model", str(folder), "--device", "golden"]
    refused([*command, "-o", str(tmp_path / "x"), "--preset", "tiny", *arguments], message)
