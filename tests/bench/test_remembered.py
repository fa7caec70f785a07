"""Runs that are kept: simulated once, and again as soon as anything differs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ageha.bench import remembered
from ageha.bench.execute import Execution
from ageha.bench.remembered import Counted, remembered_run
from ageha.sw.driver import DriverError

VALUES = np.arange(6, dtype=np.int16).reshape(2, 3)


class Machine:
    """Counts how often it runs; the golden model differs from it in one element."""

    def __init__(self):
        self.runs = 0

    def rtl(self, program, inputs, settings, library):
        self.runs += 1
        return Execution({"output": VALUES}, {"cycles": 100 + self.runs})

    def golden(self, program, inputs):
        different = VALUES.copy()
        different[1, 2] += 1
        return Execution({"output": different}, {})


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    monkeypatch.setenv("AGEHA_BUILD", str(tmp_path / "build"))
    found = Machine()
    monkeypatch.setattr(remembered, "run_rtl", found.rtl)
    monkeypatch.setattr(remembered, "run_golden", found.golden)
    return found


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "machine.so"
    path.write_bytes(b"one machine")
    return path


def program(text=b"program"):
    return SimpleNamespace(to_bytes=lambda: text)


def test_a_run_is_simulated_once(simulated, library):
    inputs = {"input": VALUES}
    found = [remembered_run(program(), inputs, library) for _ in range(3)]
    assert simulated.runs == 1
    assert found == [Counted({"cycles": 101}, 1)] * 3


def test_whatever_differs_is_simulated(simulated, library, monkeypatch):
    inputs = {"input": VALUES}
    first = remembered_run(program(), inputs, library)
    others = [
        remembered_run(program(b"another"), inputs, library),
        remembered_run(program(), {"input": VALUES + 1}, library),
        remembered_run(program(), {"other": VALUES}, library),
    ]
    library.write_bytes(b"another machine")
    others.append(remembered_run(program(), inputs, library))
    monkeypatch.setattr(remembered, "source_digest", lambda folder: "changed")
    others.append(remembered_run(program(), inputs, library))
    assert simulated.runs == 6 and first not in others
    assert all(replace(item, counters={}) == Counted({}, 1) for item in others)


def test_a_run_that_fails_is_not_kept(simulated, library, monkeypatch):
    def stop(*arguments):
        raise DriverError("stopped")

    working = remembered.run_rtl
    monkeypatch.setattr(remembered, "run_rtl", stop)
    with pytest.raises(DriverError, match="stopped"):
        remembered_run(program(), {}, library)
    monkeypatch.setattr(remembered, "run_rtl", working)
    assert remembered_run(program(), {}, library).counters == {"cycles": 101}


def test_a_folder_that_cannot_be_written(simulated, library, monkeypatch):
    monkeypatch.setenv("AGEHA_BUILD", str(library / "build"))
    counts = [remembered_run(program(), {}, library).counters["cycles"] for _ in range(2)]
    assert counts == [101, 102]
