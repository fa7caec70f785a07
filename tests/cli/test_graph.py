"""`ageha graph`, and the options of `ageha compile` that concern search and dumps."""

import pytest

from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.compiler import compile_encoder
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.passes.explore import Budget


@pytest.fixture(scope="module")
def texts():
    """The text of a small graph after two passes."""
    model, found = synthetic_bert(), {}
    for name in ("lower", "synchronise"):
        compile_encoder(
            model,
            preset("tiny"),
            9,
            budget=Budget(candidates=1),
            dump_after=name,
            dump=lambda text, name=name: found.update({name: text}),
        )
    return found


def run(capsys, *arguments):
    status = main(["graph", *map(str, arguments), "--preset", "tiny"])
    captured = capsys.readouterr()
    return status, captured.out, " ".join(captured.err.split())


def test_check_and_picture(capsys, tmp_path, texts):
    for name, text in texts.items():
        source, target = tmp_path / f"{name}.gir", tmp_path / f"{name}.svg"
        source.write_text(text)
        status, out, _ = run(capsys, source, "-o", target)
        assert status == 0 and "no rule broken" in out
        assert target.read_text().startswith("<svg")


def test_difference(capsys, tmp_path, texts):
    first, second = tmp_path / "first.gir", tmp_path / "second.gir"
    first.write_text(texts["lower"])
    second.write_text(texts["lower"].replace('"0.key"', '"other"'))
    status, out, _ = run(capsys, second, "--against", first)
    assert status == 0
    changed = [line for line in out.splitlines() if line.startswith(("+ ", "- "))]
    assert changed and all('"other"' in line or '"0.key"' in line for line in changed)


def test_refusals(capsys, tmp_path, texts):
    source = tmp_path / "broken.gir"
    for text, message in (
        ("nonsense", "line 1 is no graph"),
        (texts["synchronise"].replace(" signal 0x1 ", " ", 1), "waits for semaphore"),
        (texts["lower"].replace("int8", "int4", 1), "int4 is no dtype"),
    ):
        source.write_text(text)
        status, _, error = run(capsys, source)
        assert status == 2 and message in error and "Traceback" not in error
    status, _, error = run(capsys, tmp_path / "none.gir")
    assert status == 2 and "cannot be read" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--candidates", "0"], "--candidates must be at least 1, not 0"),
        (["--search-seconds", "-1"], "--search-seconds must be at least 0, not -1"),
        (["--dump-to", "x.gir"], "--dump-to goes with --dump-after"),
    ],
)
def test_options_of_compile(capsys, tmp_path, arguments, message):
    assert main(["compile", "minilm", "-o", str(tmp_path / "out"), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
