"""`ageha run --workload digits` on the golden model."""

import json

import pytest

from ageha.bench.digits import Classification, DigitsWorkload
from ageha.bench.execute import memory_bytes
from ageha.bench.record import RunRecord
from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.program import Program
from ageha.verif.devices.golden import GoldenDevice


@pytest.fixture
def command(tmp_path):
    """The shortest run."""
    folder = str(tmp_path / "run")
    return ["run", "--workload", "digits", "--device", "golden", "-o", folder, "--images", "4"]


def test_golden_run(command, tmp_path, capsys):
    figures_file = tmp_path / "figures.json"
    assert main([*command, "--preset", "ecp5", "--json", str(figures_file)]) == 0
    assert "accuracy, machine" in capsys.readouterr().out
    (figures,) = json.loads(figures_file.read_text())
    assert figures["images"] == 4
    assert figures["accuracy"] == figures["float_accuracy"]
    assert figures["dense_parameters"] > 2 * figures["parameters"]
    record = RunRecord.from_json((tmp_path / "run" / "run.json").read_text())
    assert min(record.cases[0].cosine) > 0.999
    assert "BUTTERFLY" in "".join(record.cases[0].listing)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "361"], "--images must be from 1 to 360, not 361"),
        (
            ["--text", "five"],
            "--workload digits takes no PROGRAM, --text, --model, --weights or --keep",
        ),
        (["--preset", "tiny"], "bytes of scratchpad; the limit is 16384"),
    ],
)
def test_wrong_input(command, capsys, arguments, message):
    assert main([*command, *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_lost_accuracy_is_a_wrong_result(command, monkeypatch, capsys):
    def spoiled(self, device, progress):
        return Classification(-self.reference)

    monkeypatch.setattr(DigitsWorkload, "run", spoiled)
    assert main(command) == 1
    assert "more than a point below" in capsys.readouterr().err


def test_quantised_model_keeps_the_accuracy():
    workload = DigitsWorkload(preset("base"), 60)
    device = GoldenDevice(workload.config, memory_bytes(workload.program), seed=5)
    figures = workload.figures(workload.run(device, lambda done: None))
    assert figures["accuracy"] >= figures["float_accuracy"] - 0.01
    assert figures["accuracy"] >= figures["dense_float_accuracy"] - 0.02


def test_compiled_program_runs(tmp_path, capsys):
    folder = tmp_path / "program"
    assert main(["compile", "digits", "-o", str(folder), "--preset", "ecp5"]) == 0
    program = Program.load(folder / "digits.prog")
    assert program.inputs[0].shape == (64, 1)
    assert "BUTTERFLY" in (folder / "digits.s").read_text()
    assert main(["compile", "digits", "-o", str(folder), "--sequence", "8"]) == 2
    assert "takes no --sequence" in capsys.readouterr().err
