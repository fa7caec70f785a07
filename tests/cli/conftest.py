"""A small run record that needs no device."""

import pytest

from ageha.bench.record import Case, Event, Product, RunRecord
from ageha.cli.errors import WRONG_INPUT
from ageha.cli.main import main
from ageha.hw.config import preset


def _case(name="A <b>bold</b> moth & co.", **changes):
    values = {
        "name": name,
        "tokens": ["[CLS]", "moth", "[SEP]"],
        "cycles": 1000,
        "ideal_cycles": 800,
        "predicted_cycles": 990,
        "roofline_cycles": 820,
        "busy": {"load": 300, "array": 900, "vector": 200, "store": 50},
        "array_active": 820,
        "bytes_read": 4096,
        "bytes_written": 512,
        "compulsory_bytes": 4000,
        "mismatches": 0,
        "elements": 12,
        "cosine": [0.999, 0.998, 0.997],
        "error": [[0.1, -0.2, 0.0, 0.3]] * 3,
        "seconds": 0.5,
        "events": [
            Event("load", "LOAD", 0, "0.scores", 10, 60),
            Event("array", "MATMUL", 1, "0.scores", 60, 500),
            Event("array", "MATMUL", 2, "0.scores", 450, 900),
            Event("vector", "SOFTMAX", 3, "0.softmax", 500, 700),
        ],
        "products": [Product("0.scores", "2 x 3 x 3 x 4", 840, 800)],
        "listing": ["LOAD rows=4", "MATMUL m=3", "MATMUL m=3", "SOFTMAX rows=3"],
    }
    return Case(**{**values, **changes})


def _record(*cases):
    parameters = preset("tiny").to_dict()
    memory = {"latency": 20, "stalls": 0.5}
    return RunRecord("A model", "both", "tiny", parameters, memory, list(cases or [_case()]))


@pytest.fixture
def case():
    """Make a case; keyword arguments replace its fields."""
    return _case


@pytest.fixture
def record():
    """Make a record of some cases, or of one."""
    return _record


@pytest.fixture
def refused(tmp_path, capsys):
    """Check that a command line is wrong input: exit status, one line, nothing written."""

    def check(arguments, *texts):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == WRONG_INPUT
        printed = capsys.readouterr()
        assert printed.out == ""
        lines = [line for line in printed.err.splitlines() if not line.endswith("...")]
        assert len(lines) == 1, printed.err
        for text in texts:
            assert text in lines[0]
        assert sorted(tmp_path.rglob("*")) == before

    return check
