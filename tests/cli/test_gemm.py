"""`ageha compile gemm`, and `ageha run` of what it writes."""

import json

import numpy as np
import pytest

from ageha.cli.errors import WRONG_RESULT
from ageha.cli.main import main
from ageha.sw.program import Program

MACHINE = ["--preset", "tiny"]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.npy"
    np.save(path, np.random.default_rng(1).normal(size=(30, 20)))
    return path


def compile_gemm(weights, target, *options):
    arguments = ["compile", "gemm", "--weights", weights, "-o", target, *MACHINE, *options]
    assert main([str(argument) for argument in arguments]) == 0


def test_compiled_product_runs(weights, tmp_path, capsys):
    target, out = tmp_path / "p", tmp_path / "out"
    compile_gemm(weights, target, "--m", 9, "--n", 30, "--k", 20, "--flow", "dOS", "--seed", 3)
    printed = capsys.readouterr().out
    assert "random, seed 3" in printed
    names = {path.name for path in target.iterdir()}
    assert names == {"gemm.prog", "gemm.s", "gemm.h", "gemm.input.npy", "gemm.output.npy"}
    program = target / "gemm.prog"
    arguments = ["run", str(program), "--device", "golden", "-o", str(out)]
    assert main([*arguments, "--json", str(tmp_path / "run.json")]) == 0
    assert "all 270 equal" in capsys.readouterr().out
    assert (out / "report.html").exists()
    np.testing.assert_array_equal(np.load(out / "output.npy"), np.load(target / "gemm.output.npy"))
    (record,) = json.loads((tmp_path / "run.json").read_text())
    assert record["mismatches_to_numpy"] == 0


def test_wrong_result_is_a_failure(weights, tmp_path, capsys):
    compile_gemm(weights, tmp_path, "--m", 4, "--flow", "dOS")
    wanted = np.load(tmp_path / "gemm.output.npy")
    wanted[2, 3] += 1
    np.save(tmp_path / "gemm.output.npy", wanted)
    arguments = ["run", tmp_path / "gemm.prog", "--device", "golden", "-o", tmp_path / "out"]
    assert main([str(argument) for argument in arguments]) == WRONG_RESULT
    assert "1 elements differ" in capsys.readouterr().err


def test_missing_input_is_refused(weights, tmp_path, refused):
    compile_gemm(weights, tmp_path, "--m", 4, "--flow", "dOS")
    (tmp_path / "gemm.input.npy").unlink()
    refused(["run", tmp_path / "gemm.prog", "-o", tmp_path], "gemm.input.npy: cannot be read")
    refused(["run", tmp_path / "no.prog", "-o", tmp_path], "no.prog: cannot be read")
    refused(["run", tmp_path / "gemm.prog", "--text", "A moth."], "PROGRAM has its own input")


def test_pruned_product_reports_sizes(weights, tmp_path, capsys):
    record = tmp_path / "compile.json"
    compile_gemm(weights, tmp_path / "p", "--m", 9, "--prune", 0.25, "--json", record)
    assert "compressed" in capsys.readouterr().out
    (values,) = json.loads(record.read_text())
    assert values["flow"] in values["predicted"]
    assert values["predicted_cycles"] == min(values["predicted"].values())
    assert values["compressed_bytes"] < values["dense_bytes"] == 600
    assert 0 < values["relative_error"] < 1
    assert Program.load(tmp_path / "p" / "gemm.prog").metadata["flow"] == values["flow"]


def test_passes_are_dumped(weights, tmp_path, capsys):
    compile_gemm(weights, tmp_path, "--m", 2, "--flow", "csOS", "--dump-after", "allocate")
    assert 'graph "gemm csOS 2x30x20"' in capsys.readouterr().out


def test_given_activations_are_used(weights, tmp_path):
    activations = np.arange(40).reshape(2, 20)
    np.save(tmp_path / "x.npy", activations)
    compile_gemm(weights, tmp_path / "p", "--activations", tmp_path / "x.npy")
    stored = np.load(tmp_path / "p" / "gemm.input.npy")
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(stored, activations)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--m is missing"),
        (["--m", 0], "m must be from 1 to 65535, not 0"),
        (["--m", 70000], "m must be from 1 to 65535, not 70000"),
        (["--m", 3, "--k", 21], "weights must be [30, 21], not [30, 20]"),
        (["--m", 3, "--n", 0], "n must be from 1 to 65535, not 0"),
        (["--m", 3, "--flow", "OS"], "--flow must be one of auto, dOS"),
        (["--m", 3, "--prune", "nan"], "density must be from 0 to 1, not nan"),
        (["--m", 3, "--prune", 0.5, "--pattern", "2:4"], "not both"),
        (["--m", 3, "--prune", 0.5, "--flow", "dWS"], "not dWS"),
        (["--m", 3, "--pattern", "2:3"], "M must be one of 2, 4, 8, 16, not 3"),
        (["--m", 3, "--dump-after", "emit"], "dump_after must be one of lower, schedule"),
        (["--m", 3, "--set", "array.block=1", "--flow", "csOS"], "not 1"),
    ],
)
def test_wrong_options_are_refused(options, message, weights, tmp_path, refused):
    arguments = ["compile", "gemm", "--weights", weights, "-o", tmp_path / "p", *MACHINE]
    refused([*arguments, *options], message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([{}, 1], dtype=object), "is no .npy file of numbers"),
        (np.array([["a"]]), "must be real numbers, not <U1"),
        (np.array([[1.0, np.inf]]), "must be finite; element [0, 1] is not"),
        (np.array([[1, 128]]), "must be from -128 to 127; element [0, 1] is 128"),
        (np.zeros((0, 4)), "n must be from 1 to 65535, not 0"),
        (np.zeros(4), "must have 2 axes, not 1"),
    ],
)
def test_wrong_weights_are_refused(values, message, tmp_path, refused):
    np.save(tmp_path / "w.npy", values)
    refused(["compile", "gemm", "--weights", tmp_path / "w.npy", "--m", 3, "-o", "p"], message)


def test_missing_weights_are_refused(tmp_path, refused):
    arguments = ["compile", "gemm", "--m", 3, "-o", tmp_path / "p", "--weights"]
    refused([*arguments, tmp_path / "no.npy"], "no.npy: cannot be read: No such file")


def test_verilog_agrees(weights, tmp_path, capsys):
    compile_gemm(weights, tmp_path, "--m", 9, "--flow", "sIS", "--prune", 0.5)
    arguments = ["run", tmp_path / "gemm.prog", "-o", tmp_path / "out", "--stalls", 30]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    assert "yes, all 270" in printed
    assert "NumPy's product beside the program: all 270 equal" in printed


def test_products_of_given_shapes_are_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ageha.bench.scale_sim.environment", lambda: None)
    figures = tmp_path / "gemm.json"
    options = [*MACHINE, "--shape", "16x24x32", "--shape", "5x7x11", "--json", str(figures)]
    assert main(["bench", "gemm", *options]) == 0
    assert "reference: formula" in capsys.readouterr().out
    records = json.loads(figures.read_text())
    assert [record["flow"] for record in records] == ["dOS"] * 2 + ["dWS"] * 2 + ["dIS"] * 2
    assert records[0]["case"] == "product 16x24x32"
    assert not any(record["mismatches"] for record in records)
