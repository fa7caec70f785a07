"""Figures of the workloads `fnet` and `fabnet-base`, on small blocks and the golden model."""

import functools

import pytest

from ageha.bench import fabnet
from ageha.bench.execute import Execution
from ageha.hw.config import preset
from ageha.verif.devices.library import MemorySettings


@pytest.fixture
def small(monkeypatch):
    """Blocks of 32 features; the golden model in the place of the Verilog."""
    block = functools.partial(fabnet.synthetic_block, features=32, heads=2, expanded=64)
    monkeypatch.setattr(fabnet, "synthetic_block", block)

    def run(program, inputs, *_):
        execution = fabnet.run_golden(program, inputs)
        counters = dict(execution.counters) | {"cycles": 5000, "butterfly_busy": 1000}
        return Execution(execution.outputs, counters)

    monkeypatch.setattr(fabnet, "run_rtl", run)


@pytest.mark.parametrize("workload", fabnet.WORKLOADS)
def test_records(small, workload, tmp_path):
    for kind in fabnet.WORKLOADS[workload]:
        record, case = fabnet.measure_block(kind, 16, preset("ecp5"), MemorySettings(), tmp_path)
        assert record["case"] == f"{kind.name} S=16"
        assert record["mismatches"] == 0
        assert record["cosine"] > 0.999
        assert record["butterfly_busy"] == 0.2
        assert 0 < record["ideal_cycles"] <= record["predicted_cycles"]
        assert case.roofline_cycles == record["roofline_cycles"]
