"""Broken inputs: exit status 2 and one line that says why, never a traceback, never half a file.

A case is replayed by its number: ``broken(NUMBER, folder)``.
"""

import pytest
from fuzz_broken import broken

from ageha.cli.errors import WRONG_INPUT
from ageha.cli.main import main

CASES = 260
QUICK = 65
"""Cases that run each time."""

BATCH = 13


def batches():
    for first in range(0, CASES, BATCH):
        marks = [pytest.mark.slow] if first >= QUICK else []
        name = f"{first}-{first + BATCH - 1}"
        yield pytest.param(range(first, first + BATCH), marks=marks, id=name)


def check(number, folder, capsys):
    text, command = broken(number, folder)
    print(text, command)
    before = sorted(folder.rglob("*"))
    capsys.readouterr()
    status = main(command)
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.endswith("...")]
    assert status == WRONG_INPUT, (text, command, lines)
    assert len(lines) == 1, (text, printed.err)
    assert lines[0].startswith("ageha: "), (text, lines)
    assert not printed.out, (text, printed.out)
    assert sorted(folder.rglob("*")) == before, text
    return text, lines[0]


@pytest.mark.parametrize("batch", list(batches()))
def test_broken_inputs_are_refused(batch, tmp_path, capsys):
    for number in batch:
        folder = tmp_path / str(number)
        folder.mkdir()
        check(number, folder, capsys)
