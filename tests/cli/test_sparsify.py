"""`ageha sparsify` on a small model, and what compiles its result."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors import safe_open

from ageha.bench.execute import run_golden
from ageha.cli.commands import sparse_models
from ageha.cli.commands import sparsify as command
from ageha.cli.main import main
from ageha.hw.config import override, preset
from ageha.hw.isa import Flow, Opcode
from ageha.sw.calibrate import random_tokens
from ageha.sw.compiler import compile_encoder
from ageha.sw.frontend import bert
from ageha.sw.frontend.bert_save import save
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import decode_all
from ageha.sw.program import Program
from ageha.sw.reference import embed, encoder
from ageha.sw.sparsity.prune import prune_unstructured
from ageha.sw.tasder.figures import CostModel
from ageha.sw.tasder.forward import LINEARS
from ageha.sw.tasder.plan import SERIES_KEY, Calibration

MACHINE = ["--preset", "tiny", "--set", "array.block=8"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return model_folder(synthetic_bert(seed=2), tmp_path / "model", monkeypatch)


def model_folder(model, target, monkeypatch):
    """Write a model whose texts are random ids, because it has no tokenizer."""
    target.mkdir()
    config = model.config
    values = {
        "model_type": "bert",
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions,
        "type_vocab_size": config.types,
        "hidden_act": "gelu",
    }
    (target / "config.json").write_text(json.dumps(values))
    save(model, target / "model.safetensors", {})
    tokens = random_tokens(model, 12)
    monkeypatch.setattr(
        command.plan, "calibration", lambda model, seed, *_: Calibration.of(model, tokens, seed)
    )
    monkeypatch.setattr(command, "Tokenizer", lambda folder: None)
    monkeypatch.setattr(command, "tokenise", lambda tokenizer, texts: tokens)
    return target


def sparsify(folder, *options):
    return main(["sparsify", str(folder), *MACHINE, *map(str, options)])


def test_model_of_a_budget_compiles(folder, tmp_path, capsys):
    weights, record = tmp_path / "sparse.safetensors", tmp_path / "sparse.json"
    partial = tmp_path / "partial.json"
    options = ["--budget", 0.75, "-o", weights, "--json", record, "--partial", partial, "--compare"]
    assert sparsify(folder, *options) == 0
    printed = capsys.readouterr().out
    assert "searched, compensated" in printed and "uniform, magnitude" in printed
    values = json.loads(record.read_text())
    methods = [row["method"] for row in values["rows"]]
    assert methods == ["uniform, magnitude", "uniform, compensated", "searched, compensated"]
    assert all(0 < row["multiply_adds"] <= 0.75 for row in values["rows"])
    shares = [point["multiply_adds"] for point in values["front"]]
    assert shares == sorted(shares) and shares[-1] == 1
    with safe_open(weights, framework="np") as file:
        assert json.loads(file.metadata()[SERIES_KEY])
    zeros = bert.load(folder, weights).layers[0].contract.weight == 0
    assert 0 < np.mean(zeros) < 1
    target = tmp_path / "prog"
    arguments = ["compile", str(folder), "--weights", str(weights), "-o", str(target), *MACHINE]
    assert main([*arguments, "--sequence", "6"]) == 0
    assert (target / "model.prog").exists()


@pytest.mark.parametrize("kept", [0.5, 0.2])
def test_unstructured_model_goes_the_same_way(folder, tmp_path, kept):
    weights, record = tmp_path / "sparse.safetensors", tmp_path / "sparse.json"
    dense = bert.load(folder)
    layers = []
    for layer in dense.layers:
        changes = {}
        for name in LINEARS:
            one = getattr(layer, name)
            changes[name] = replace(one, weight=prune_unstructured(one.weight, kept))
        layers.append(replace(layer, **changes))
    pruned = replace(dense, layers=tuple(layers))
    save(pruned, folder / "model.safetensors", {})
    options = ["--budget", 0.5, "-o", weights, "--json", record]
    assert sparsify(folder, *options) == 0
    (row,) = json.loads(record.read_text())["rows"]
    array = override(preset("tiny"), {"array.block": 8})
    # Columns of a block are not equally full, so that half of the weights take more slots.
    costs = CostModel(array)
    before = costs.model(pruned).over(costs.dense_model(pruned))["multiply_adds"]
    assert kept < before and row["multiply_adds"] <= 0.5
    assert row["cosine"] > 0.9
    sparse = bert.load(folder, weights)
    program = compile_encoder(sparse, array, 9)
    products = [item for item in decode_all(program.code) if item.opcode == Opcode.MATMUL]
    assert any(item["flow"] == Flow.COLUMN_SPARSE_OUTPUT_STATIONARY for item in products)
    x = embed(sparse, random_tokens(sparse, 1)[0][:9])
    found = run_golden(program, {"input": program.inputs[0].from_float(x)}).outputs["output"]
    values = program.outputs[0].to_float(found)
    expected = encoder(sparse, x, [0])
    assert np.sum(values * expected) > 0.99 * np.linalg.norm(values) * np.linalg.norm(expected)


def test_distilled_model_and_its_front(folder, tmp_path):
    record, picture = tmp_path / "sparse.json", tmp_path / "front.svg"
    options = ["--budget", 0.5, "--distil", 4, "--json", record, "--front", picture]
    assert sparsify(folder, *options, "--compare", "--budget", 0.75) == 0
    rows = json.loads(record.read_text())["rows"]
    methods = [row["method"] for row in rows]
    assert len(rows) == 8 and methods[3] == "searched, compensated, distilled"
    assert rows[3]["multiply_adds"] == rows[2]["multiply_adds"]
    assert all(0 < row["machine_cosine"] <= 1 for row in rows)
    drawing = ElementTree.fromstring(picture.read_text())
    hints = [item.text for item in drawing.iter() if item.tag.endswith("title")]
    for row in rows:
        start = f"{row['method']}: {row['multiply_adds']:.3f}, cosine {row['cosine']:.4f}"
        assert sum(hint.startswith(start) for hint in hints) == 2


def test_sentences_that_are_kept_back(folder, tmp_path, monkeypatch, refused):
    """`--validate` judges by every third sentence, and calibrates with the others."""
    text, taken = tmp_path / "text.txt", {}
    text.write_text("\n".join(f"line {number}" for number in range(9)))
    tokens = random_tokens(bert.load(folder), 9)

    def calibration(model, seed, sentences, random_texts):
        taken["calibration"] = list(sentences)
        return Calibration.of(model, tokens, seed)

    def tokenise(tokenizer, texts):
        taken["judged"] = list(texts)
        return tokens[: len(texts)]

    monkeypatch.setattr(command.plan, "calibration", calibration)
    monkeypatch.setattr(command, "tokenise", tokenise)
    options = ["--budget", 0.5, "--magnitude", "--text", text]
    assert sparsify(folder, *options, "--validate") == 0
    assert taken["judged"] == ["line 2", "line 5", "line 8"]
    assert taken["calibration"] == [f"line {number}" for number in (0, 1, 3, 4, 6, 7)]
    text.write_text("one\ntwo\nthree")
    command_line = ["sparsify", folder, *MACHINE, *options, "--validate"]
    refused(command_line, "--validate needs at least 6 sentences, not 3")


def test_quality_instead_of_a_budget(folder, capsys):
    assert sparsify(folder, "--quality", 0.9, "--series", "2:8", "--series", "5:8") == 0
    assert "searched" in capsys.readouterr().out


def test_cost_that_is_asked_for(folder, tmp_path):
    """Every cost meets the budget in its own measure; the front's picture has its name."""
    partial, record, picture = (tmp_path / name for name in ("p.json", "r.json", "front.svg"))
    options = ["--budget", 0.8, "--json", record, "--partial", partial, "--front", picture]
    for cost in ("cycles", "bytes", "energy", "edp"):
        more = ["--cost", cost, "--tokens", 33, "--magnitude"]
        assert sparsify(folder, *options, *more) == 0
        values = json.loads(record.read_text())
        (row,) = values["rows"]
        assert 0.5 < row[cost] <= 0.8
        assert (values["cost"], values["tokens"]) == (cost, 33)
        shares = [point[cost] for point in values["front"]]
        assert shares == sorted(shares) and f"{cost} over dense" in picture.read_text()


def test_models_are_measured_once(folder, tmp_path, monkeypatch, capsys):
    """A command that is cut goes on where it was: layers and models are in the file."""
    partial, records = tmp_path / "p.json", [tmp_path / f"{number}.json" for number in range(2)]
    options = ["--uniform", "5:8", "--compare", "--budget", 0.5, "--partial", partial]
    assert sparsify(folder, *options, "--json", records[0]) == 0
    made = []
    monkeypatch.setattr(sparse_models, "sparsify", lambda *arguments: made.append(arguments))
    monkeypatch.setattr(command, "measure", lambda *arguments, partial, **_: partial.losses)
    assert sparsify(folder, *options, "--json", records[1]) == 0
    assert not made and records[0].read_bytes() == records[1].read_bytes()
    rows = json.loads(records[0].read_text())["rows"]
    methods = ["uniform, magnitude"] * 2 + ["uniform, compensated", "searched, compensated"]
    assert [row["method"] for row in rows] == methods
    assert rows[0]["series"] == {"5:8": 6} and rows[1]["series"] == {"4:8": 6}
    assert "searched, compensated, 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--budget", 0.5, "--tokens", 0], "--tokens must be at least 1, not 0"),
        (["--budget", 0.5, "--random-texts", -1], "--random-texts must be at least 0, not -1"),
        (["--budget", 0.5, "--rate", 0], "--rate must be above 0 and at most 1, not 0"),
        (["--budget", 0.5, "--uniform", "3:16"], "M must divide the block of 8, not 16"),
        (["--budget", 0.5, "--energy", "missing"], "--energy missing: cannot be read"),
        (["--budget", 0.1, "--cost", "bytes"], "budget 0.1 is not reachable; nearest is 0."),
        ([], "either --budget or --quality must be given"),
        (["--budget", 0.5, "--quality", 0.9], "either --budget or --quality must be given"),
        (["--budget", 0.5, "--distil", -1], "--distil must be at least 0, not -1"),
        (["--budget", 0.5, "--front", "."], "--front .: cannot be written: it is a folder"),
        (["--budget", 2], "--budget must be above 0 and at most 1, not 2"),
        (["--quality", 0], "--quality must be above 0 and at most 1, not 0"),
        (["--budget", 0.01], "budget 0.01 is not reachable; nearest is 0.25"),
        (["--budget", 0.5, "--series", "3:16"], "M must divide the block of 8, not 16"),
        (["--budget", 0.5, "--series", "9:8"], "term 9:8: N must be from 1 to 8, not 9"),
        (["--budget", 0.5, "--activations", "5:4"], "term 5:4: N must be from 1 to 4, not 5"),
        (["--budget", 0.5, "--activations", "3:8"], "activations 3:8: M must be at most 4"),
        (["--budget", 0.5, "--activations", "1:4+1:2"], "activations: terms must have one M"),
        (
            ["--budget", 0.5, "--activations", "all", "--set", "vector.kept_slots=0"],
            "the machine compresses no activations",
        ),
        (["--budget", 0.5, "--dense", "query"], "--dense must be one of 0.query to 0.contract"),
        (["--budget", 0.5, "--set", "array.block=1"], "array.block must be 4, 8 or 16, not 1"),
        (["--budget", 0.5, "--budget", 0.6, "-o", "x"], "--output takes one --budget, not 2"),
    ],
)
def test_what_is_refused(folder, refused, options, text):
    refused(["sparsify", folder, *MACHINE, *options], text)


def test_odd_shapes_and_empty_layers(tmp_path, monkeypatch, capsys):
    """What a group does not divide is padded, with a note; what is empty stays empty."""
    model = synthetic_bert(hidden=36, heads=1, intermediate=64)
    layer = model.layers[0]
    empty = replace(layer.query, weight=np.zeros_like(layer.query.weight))
    hollow = replace(model, layers=(replace(layer, query=empty),))
    folder = model_folder(hollow, tmp_path / "odd", monkeypatch)
    weights, record = tmp_path / "sparse.safetensors", tmp_path / "sparse.json"
    options = ["--budget", 0.5, "--series", "3:8", "-o", weights, "--json", record]
    assert sparsify(folder, *options) == 0
    printed = " ".join(capsys.readouterr().out.split())
    note = "note: layer 0.key: 36 inputs are filled up with zeros to groups of 8"
    assert note in printed and "layer 0.contract" not in printed
    sparse = bert.load(folder, weights).layers[0]
    assert not np.any(sparse.query.weight)
    assert np.count_nonzero(sparse.key.weight[:, 32:], axis=1).max() == 3
    (row,) = json.loads(record.read_text())["rows"]
    assert row["multiply_adds"] <= 0.5 and np.isfinite(row["machine_spearman"])


def test_a_quality_nobody_meets(folder, refused):
    options = ["--quality", 1, "--keep", "0.contract=1:4", "--magnitude", "--series", "2:8"]
    refused(["sparsify", folder, *MACHINE, *options], "quality 1 is not reachable; nearest is 0.")


def test_kept_activations_are_in_the_file(folder, tmp_path, capsys):
    weights = tmp_path / "kept.safetensors"
    options = ["--budget", 0.9, "--keep", "0.contract=2:4", "-o", weights, "--magnitude"]
    assert sparsify(folder, *options) == 0
    read = bert.load(folder, weights)
    assert read.activations == {"0.contract": "2:4"}
    assert np.all(read.layers[0].contract.weight != 0)
    capsys.readouterr()
    assert sparsify(folder, "--budget", 0.9, "--keep", "1:16") == 2
    assert "M must be at most 4, the smaller of array.block" in capsys.readouterr().err


def test_search_chooses_activations(folder, tmp_path, capsys):
    """With two poor series of weights, activations are taken; `compile` needs no more than that."""
    weights, record = tmp_path / "kept.safetensors", tmp_path / "kept.json"
    partial = tmp_path / "losses.json"
    options = ["--budget", 0.95, "--series", "1:8", "--activations", "3:4", "--activations", "all"]
    options += ["-o", weights, "--json", record, "--partial", partial]
    for name in LINEARS[:-1]:
        options += ["--dense", f"0.{name}"]
    assert sparsify(folder, *options) == 0
    printed = " ".join(capsys.readouterr().out.split())
    values = json.loads(record.read_text())
    counts = [point["kept_activations"] for point in values["front"]]
    assert set(counts) == {0, 1} and counts[-1] == 0
    text = f"note: activations are kept at {sum(counts)} of {len(counts)} points of the front"
    assert text in printed
    (row,) = values["rows"]
    assert row["multiply_adds"] <= 0.95 and row["machine_cosine"] > 0.9
    assert any(text.startswith("activations") for text in row["series"])
    assert set(json.loads(partial.read_text())["losses"]["0.contract"]) == {
        "1:8",
        *(f"activations {count}:4" for count in (1, 2, 3)),
    }
    kept = bert.load(folder, weights).activations
    assert list(kept) == ["0.contract"]
    again = tmp_path / "again.safetensors"
    assert sparsify(folder, *(again if it is weights else it for it in options)) == 0
    assert again.read_bytes() == weights.read_bytes()
    arguments = ["compile", str(folder), "--weights", str(weights), *MACHINE]
    assert main([*arguments, "--sequence", "6", "-o", str(tmp_path / "prog")]) == 0
    program = Program.load(tmp_path / "prog" / "model.prog")
    assert any(item.values.get("keep") for item in decode_all(program.code))
