"""`ageha run` and `ageha compile` on a model small enough for the smallest machine."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_model import rewrite_config, write_model

from ageha.bench.record import RunRecord
from ageha.cli.layers import parse_layers
from ageha.cli.main import main
from ageha.cli.page.page import render_page
from ageha.sw.program import Program

MACHINE = ["--preset", "tiny"]


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    write_model(folder)
    return folder


@pytest.fixture
def command(model, tmp_path):
    """The shortest run on the small model."""
    return ["run", "--model", model, "-o", tmp_path / "run", "--text", "A dog barks", *MACHINE]


def test_golden_run(command, tmp_path, capsys):
    arguments = [*command, "--device", "golden", "--text", "Loud", "--json", tmp_path / "x.json"]
    assert main([str(argument) for argument in arguments]) == 0
    out = capsys.readouterr().out
    assert "A dog barks" in out
    assert "report.html" in out
    record = RunRecord.from_json((tmp_path / "run" / "run.json").read_text())
    assert record.is_equal is None
    assert [case.name for case in record.cases] == ["A dog barks", "Loud"]
    assert list(record.cases[0].tokens) == ["[CLS]", "a", "dog", "barks", "[SEP]"]
    assert min(record.cases[0].cosine) > 0.99
    assert (tmp_path / "run" / "report.html").read_text() == render_page(record)
    assert len(json.loads((tmp_path / "x.json").read_text())) == 2


def test_sentences_are_shown_as_they_are(command, tmp_path, capsys):
    arguments = [*command, "--device", "golden", "--text", "[red]dog\n[/blue] é🦋 <b>"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "[red]dog [/blue] é🦋 <b>" in capsys.readouterr().out
    assert "[red]dog\n[/blue] é🦋 &lt;b&gt;" in (tmp_path / "run" / "report.html").read_text()


def test_verilog_run(command, tmp_path, capsys):
    arguments = [*command, "--latency", 20, "--stalls", 30, "--seed", 7]
    assert main([str(argument) for argument in arguments]) == 0
    assert "yes, all 160" in capsys.readouterr().out
    record = RunRecord.from_json((tmp_path / "run" / "run.json").read_text())
    assert record.is_equal
    (case,) = record.cases
    assert record.memory["stall_percent"] == 30
    assert case.cycles >= case.roofline_cycles
    assert max(event.done for event in case.events) <= case.cycles
    assert len(case.events) == len(case.listing) - 1
    assert sum(product.ideal_cycles for product in case.products) >= case.ideal_cycles


def test_whole_model_in_one_program(command, tmp_path, capsys):
    arguments = [*command, "--device", "golden", "--layers", "all", "--text", "Loud", "--batch"]
    assert main([str(argument) for argument in [*arguments, "--json", tmp_path / "x.json"]]) == 0
    record = RunRecord.from_json((tmp_path / "run" / "run.json").read_text())
    assert record.title == "model, encoder layers 0-1"
    (case,) = record.cases
    assert len(case.tokens) == 5 + 3
    assert [item.text for item in case.embeddings] == ["A dog barks", "Loud"]
    assert all(item.cosine > 0.99 for item in case.embeddings)
    (stored,) = json.loads((tmp_path / "x.json").read_text())
    assert [item["tokens"] for item in stored["embeddings"]] == [5, 3]
    assert "embedding of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "layers"), [("all", [0, 1, 2, 3]), ("3", [3]), ("0,2-3", [0, 2, 3])]
)
def test_layers_as_text(text, layers):
    assert parse_layers(text, 4) == layers


def test_embed(model, tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("A dog barks\n\nA loud dog\n a dog \n")
    for options in ([], ["--batch", "0", "--device", "both"], ["--batch", "9"]):
        arguments = ["embed", "--file", lines, "--model", model, "--device", "golden", *MACHINE]
        arguments += ["--json", tmp_path / "x.json", *options]
        assert main([str(argument) for argument in arguments]) == 0
        assert "A loud dog" in capsys.readouterr().out
        record = json.loads((tmp_path / "x.json").read_text())
        assert [item["text"] for item in record["embeddings"]] == [
            "A dog barks",
            "A loud dog",
            "a dog",
        ]
        found, expected = np.array(record["similarity"]), np.array(record["float_similarity"])
        assert found.shape == (3, 3)
        np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
        assert np.abs(found - expected).max() < 0.05


def test_many_sentences_show_their_neighbour(model, capsys):
    texts = ["dog " * count for count in range(1, 9)]
    arguments = ["embed", *texts, "--model", model, "--device", "golden", *MACHINE]
    assert main([str(argument) for argument in [*arguments, "--batch", "16"]]) == 0
    assert "most like it" in capsys.readouterr().out


def test_wrong_embedding_is_refused(model, tmp_path, refused):
    command = ["embed", "--model", model, *MACHINE]
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    refused([*command, "--file", empty], "empty.txt: must have at least one line of text")
    refused([*command, "--file", empty, "A dog"], "TEXT and --file exclude each other")
    refused([*command, "--file", tmp_path / "no.txt"], "no.txt: cannot be read")
    refused([*command, "a", "--batch", "-1"], "--batch must be at least 0, not -1")
    refused([*command, " "], "text must not be empty")


def test_difference_is_a_wrong_result(command, monkeypatch, capsys):
    from ageha.cli import jobs

    golden = jobs.run_golden

    def spoiled(program, inputs):
        execution = golden(program, inputs)
        execution.outputs["output"][2, 3] ^= 1
        return execution

    monkeypatch.setattr(jobs, "run_golden", spoiled)
    monkeypatch.setattr(jobs, "run_rtl", lambda program, inputs, *_: golden(program, inputs))
    monkeypatch.setattr(jobs, "simulator", lambda config: None)
    assert main([str(argument) for argument in command]) == 1
    printed = capsys.readouterr()
    assert "no: 1 of 160 differ" in printed.out
    assert "differs from the golden model" in printed.err


def test_compile(model, tmp_path, capsys):
    target = tmp_path / "prog"
    arguments = ["compile", model, "-o", target, "--sequence", 5, "--layers", "0-1", *MACHINE]
    assert main([str(argument) for argument in arguments]) == 0
    program = Program.load(target / "model.prog")
    assert program.metadata["layers"] == [0, 1]
    listing = (target / "model.s").read_text()
    assert listing.count("\n") == program.instructions
    assert "# 1.contract" in listing
    header = (target / "model.h").read_text()
    assert f"#define MODEL_INSTRUCTIONS {program.instructions}\n" in header
    assert "#define MODEL_INPUT_ROWS 5\n" in header
    again = tmp_path / "again.prog"
    arguments = ["asm", target / "model.s", "-o", again, "--base", target / "model.prog"]
    assert main([str(argument) for argument in arguments]) == 0
    assert again.read_bytes() == (target / "model.prog").read_bytes()


def test_compile_shows_a_pass(model, tmp_path, capsys):
    arguments = ["compile", model, "-o", tmp_path / "p", "--sequence", 3, "--dump-after", "lower"]
    assert main([str(argument) for argument in [*arguments, *MACHINE]]) == 0
    assert "contract" in capsys.readouterr().out


def test_simulate(model, tmp_path, capsys):
    target = tmp_path / "prog"
    arguments = ["compile", model, "-o", target, "--sequence", 2, *MACHINE]
    main([str(argument) for argument in arguments])
    program = Program.load(target / "model.prog")
    values = np.arange(64, dtype=np.int16).reshape(2, 32)
    np.save(tmp_path / "x.npy", values)
    arguments = ["simulate", target / "model.prog", "--input", tmp_path / "x.npy"]
    arguments += ["-o", tmp_path / "out"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "array_multiplies" in capsys.readouterr().out
    result = np.load(tmp_path / "out" / "output.npy")
    assert result.shape == program.outputs[0].shape
    record = RunRecord.from_json((tmp_path / "out" / "run.json").read_text())
    assert record.device == "rtl"


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["--text", "dog " * 63], ["65", "limit of the model is 64"]),
        (["--text", " "], ["text must not be empty"]),
        (["--latency", "0"], ["--latency must be from 1 to 100000, not 0"]),
        (["--stalls", "91"], ["--stall", "from 0 to 90, not 91"]),
        (["--bandwidth", "2"], ["--bandwidth must be", "not 2"]),
        (["--device", "fpga"], ["fpga", "golden", "rtl", "both"]),
        (["--workload", "gpt"], ["gpt", "minilm"]),
        (["--layers", "2"], ["--layers must be from 0 to 1, not 2"]),
        (["--layers", "most"], ["--layers must be numbers such as 0, 0,2 or 0-5, not 'most'"]),
        (["--layers", "1-0"], ["--layers must name at least one layer, not '1-0'"]),
        (["--set", "scratchpad.bytes=4096", "--text", "dog " * 60], ["scratchpad", "4096"]),
    ],
)
def test_wrong_run_is_refused(options, texts, command, refused):
    refused([*command, *options], *texts)


def _truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _spoil(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "encoder.layer.0.output.dense.weight"
    tensors[name] = change(tensors[name])
    save_file(tensors, path)


def _to_nan(values):
    values[1, 2] = np.nan
    return values


@pytest.mark.parametrize(
    ("damage", "texts"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), ["model.safetensors: no such"]),
        (lambda folder: (folder / "config.json").unlink(), ["config.json: no such file"]),
        (_truncate, ["model.safetensors: damaged or truncated"]),
        (
            lambda folder: _spoil(folder, lambda values: values[:, :8].copy()),
            ["encoder.layer.0.output.dense.weight must have shape (32, 64), not (32, 8)"],
        ),
        (lambda folder: _spoil(folder, _to_nan), ["output.dense.weight must be finite: 1 values"]),
        (
            lambda folder: rewrite_config(folder, hidden_size=33),
            ["hidden_size 33 must be a multiple of num_attention_heads 2"],
        ),
    ],
)
def test_wrong_model_is_refused(damage, texts, command, model, tmp_path, refused):
    damage(model)
    refused(command, *texts)
    refused(["compile", model, "-o", tmp_path / "prog", *MACHINE], *texts)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--sequence", "0"], "sequence length must be from 1 to 64"),
        (["--sequence", "65"], "the limit of the model, not 65"),
        (["--layers", "2"], "layers must be from 0 to 1, not 2"),
        (["--layers", "a"], "--layers must be numbers such as 0, 0,2 or 0-5, not 'a'"),
        (["--dump-after", "fusion"], "dump_after must be one of lower, expand"),
    ],
)
def test_wrong_compilation_is_refused(options, text, model, tmp_path, refused):
    refused(["compile", model, "-o", tmp_path / "prog", *MACHINE, *options], text)


def test_missing_model_is_refused(tmp_path, refused):
    refused(["compile", tmp_path / "no", "-o", tmp_path / "prog"], "no: no such folder")


@pytest.fixture
def program(model, tmp_path):
    main(["compile", str(model), "-o", str(tmp_path / "prog"), "--sequence", "2", *MACHINE])
    return tmp_path / "prog" / "model.prog"


@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ([], ["--input input is missing"]),
        (["nothing=x.npy"], ["NAME one of input, not 'nothing=x.npy'"]),
        (["no.npy"], ["no.npy: cannot be read: No such file"]),
        (["text.npy"], ["text.npy: is no .npy file"]),
        (["wrong.npy"], ["input must be int16 [2, 32], not float32 [3]"]),
    ],
)
def test_wrong_inputs_are_refused(inputs, texts, program, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("wrong.npy", np.zeros(3, np.float32))
    (tmp_path / "text.npy").write_text("text")
    options = [option for path in inputs for option in ("--input", path)]
    refused(["simulate", program, "-o", tmp_path / "out", *options], *texts)


def test_wrong_program_is_refused(program, tmp_path, refused):
    good = program.read_bytes()
    for place in (9, 100, len(good) - 5):
        program.write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
        refused(["simulate", program, "-o", tmp_path / "out"], "model.prog: ")
    program.write_bytes(good[:-9])
    refused(["simulate", program, "-o", tmp_path / "out"], "truncated")


def test_program_for_other_parameters_is_refused(program, tmp_path, refused):
    command = ["simulate", program, "-o", tmp_path / "out"]
    refused([*command, "--preset", "base"], "is for parameters", "(tiny), not", "(base)")
    refused([*command, "--set", "array.rows=8"], "--config and --set need --preset")


def test_program_larger_than_the_simulated_memory_is_refused(tmp_path, refused):
    source, program = tmp_path / "x.s", tmp_path / "x.prog"
    source.write_text("LOAD rows=1 row_words=1 dram_address=0:0x80000000\nEND\n")
    assert main(["asm", str(source), "-o", str(program), *MACHINE]) == 0
    refused(["simulate", program, "-o", tmp_path / "out"], "at most 1073741824 bytes")
