"""The reference of dense products: its formulas against figures of SCALE-Sim 3.0.0 itself."""

import sys

import pytest

from ageha.bench import scale_sim
from ageha.bench.scale_sim import FORMULA, VERSION, ScaleSimError, folds, formula, reference_cycles
from ageha.hw.config import ArrayConfig, preset
from ageha.sw.sparsity.dataflow import Dataflow

BASE = preset("base").array

SHAPES = [
    (64, 64, 64),
    (128, 128, 32),
    (128, 32, 128),
    (17, 33, 50),
    (1, 1, 1),
    (67, 131, 257),
    (128, 384, 384),
]

MEASURED = {
    Dataflow.DENSE_OUTPUT: [1503, 3967, 2527, 479, 30, 12914, 79487],
    Dataflow.DENSE_WEIGHT: [1759, 2783, 2783, 755, 46, 17288, 100223],
    Dataflow.DENSE_INPUT: [1759, 2783, 4991, 631, 46, 15044, 82559],
}
"""Total Cycles that `make scale-sim` and `bench/scale_sim_driver.py` gave on 16 x 16."""

OBLONG = {
    Dataflow.DENSE_OUTPUT: 655,
    Dataflow.DENSE_WEIGHT: 991,
    Dataflow.DENSE_INPUT: 751,
}
"""The same on 8 rows and 4 columns, for 13 x 29 x 31."""


@pytest.fixture
def python(monkeypatch, tmp_path):
    """Let a script stand for the Python of SCALE-Sim's environment."""

    def install(source):
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\n{source}")
        script.chmod(0o755)
        monkeypatch.setattr(scale_sim, "environment", lambda: script)

    return install


@pytest.mark.parametrize("flow", MEASURED)
def test_formulas_equal_scale_sim(flow):
    assert [formula(flow, shape, BASE) for shape in SHAPES] == MEASURED[flow]
    assert formula(flow, (13, 29, 31), ArrayConfig(rows=8, columns=4)) == OBLONG[flow]


def test_folds():
    assert folds(Dataflow.DENSE_OUTPUT, (17, 33, 50), BASE) == 2 * 3
    assert folds(Dataflow.DENSE_WEIGHT, (17, 33, 50), BASE) == 4 * 3
    assert folds(Dataflow.DENSE_INPUT, (17, 33, 50), BASE) == 4 * 2


def test_formulas_count_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(scale_sim, "environment", lambda: None)
    expected = MEASURED[Dataflow.DENSE_WEIGHT]
    assert reference_cycles(Dataflow.DENSE_WEIGHT, SHAPES, BASE) == (expected, FORMULA)


def test_driver_is_given_the_job(python):
    python(
        "import json, sys\n"
        "job = json.load(sys.stdin)\n"
        "assert sys.argv[1].endswith('scale_sim_driver.py')\n"
        "assert (job['rows'], job['columns'], job['flow']) == (16, 16, 'is')\n"
        "print(json.dumps([m + n + k for m, n, k in job['shapes']]))\n"
    )
    found = reference_cycles(Dataflow.DENSE_INPUT, SHAPES[:2], BASE)
    assert found == ([192, 288], VERSION)


def test_failure_is_one_line(python):
    python("import sys\nprint('trace', file=sys.stderr)\nsys.exit('no such flow')\n")
    with pytest.raises(ScaleSimError, match="^SCALE-Sim 3.0.0: no such flow$"):
        reference_cycles(Dataflow.DENSE_INPUT, SHAPES, BASE)
