"""`ageha bench compile`: its records, on a model small enough to be compiled in a moment."""

import json

import pytest

from ageha.bench import compile as bench_compile
from ageha.bench import fusion
from ageha.bench.compile import CASES, WORKLOADS, CompileCase
from ageha.cli.commands import bench_compile as command
from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.compiler import compile_encoder
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert

ECP5 = preset("ecp5")
CASE = CompileCase("minilm", 19)


def small_compiler(case, config):
    model = synthetic_bert()
    return lambda budget, optimisations: compile_encoder(
        model, config, case.length, budget=budget, optimisations=optimisations
    )


def test_all_workloads_are_there():
    assert WORKLOADS == ("minilm", "bert-base", "vit-base", "fnet", "fabnet-base", "decode")
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert "minilm layers 0-5 S=128" in names and "bert-base layers 0-11 S=128" in names


def test_figures_of_a_compilation(monkeypatch):
    monkeypatch.setattr(bench_compile, "compiler", small_compiler)
    record = bench_compile._measure(CASE, ECP5)
    assert record["case"] == "minilm S=19"
    assert record["seconds"] > 0 and record["candidates"] > 1
    assert record["search_gain"] >= 1 and not record["search_ended_early"]
    assert record["program_bytes"] == 64 * record["instructions"]
    assert record["peak_memory_bytes"] > record["file_bytes"] > record["program_bytes"]


def test_every_form_is_faster_than_the_one_before(monkeypatch):
    monkeypatch.setattr(fusion, "compiler", small_compiler)
    record = fusion.measure_fusion(CASE, ECP5, None)
    assert record["source"] == "predicted"
    cycles = [record[f"{form.name}_cycles"] for form in fusion.FORMS]
    assert cycles == sorted(cycles, reverse=True) and cycles[0] > 2 * cycles[-1]
    assert record["speedup"] == round(cycles[0] / cycles[-1], 2)
    means = dict(fusion.mean_speedups([record, record]))
    assert means["unfused"] == pytest.approx(cycles[0] / cycles[-1])
    assert list(means) == ["unfused", "fused", "overlapped"]


def test_a_form_that_does_not_compile_is_left_empty(monkeypatch):
    def failing(case, config):
        compile_case = small_compiler(case, config)

        def run(budget, optimisations):
            if not optimisations.fuse:
                raise CompileError("no room")
            return compile_case(budget, optimisations)

        return run

    monkeypatch.setattr(fusion, "compiler", failing)
    record = fusion.measure_fusion(CASE, ECP5, None)
    assert record["unfused_cycles"] is None and record["speedup"] is None
    assert list(dict(fusion.mean_speedups([record]))) == ["fused", "overlapped"]


def test_command_writes_records(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fusion, "compiler", small_compiler)
    monkeypatch.setattr(command, "FUSION_CASES", (CASE,))
    target = tmp_path / "fusion.json"
    arguments = ["--study", "fusion", "--workload", "minilm", "--preset", "ecp5"]
    assert main(["bench", "compile", *arguments, "--json", str(target)]) == 0
    records = json.loads(target.read_text())
    assert [record["case"] for record in records] == [CASE.name]
    assert "unfused over searched, geometric mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "gpt"], "--workload must be one of minilm"),
        (["--rtl"], "--rtl goes with --study fusion only"),
        (["--study", "optimum", "--workload", "fnet"], "--study optimum takes no --workload"),
    ],
)
def test_refusals(capsys, arguments, message):
    assert main(["bench", "compile", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
