"""The check of MATMUL's operands."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import Flow
from ageha.hw.matmul_check import MatmulCheck, supported_flows
from ageha.verif.simulator import run_bench

DENSE = ["DENSE_OUTPUT_STATIONARY", "DENSE_WEIGHT_STATIONARY", "DENSE_INPUT_STATIONARY"]
OUTPUT = [
    "DENSE_OUTPUT_STATIONARY",
    "SPARSE_OUTPUT_STATIONARY",
    "COLUMN_SPARSE_OUTPUT_STATIONARY",
]


@pytest.mark.parametrize(
    ("settings", "flows"),
    [
        ({}, list(Flow.__members__)),
        ({"array.block": 1}, DENSE),
        ({"array.partial_rows": 0}, OUTPUT),
        ({"array.block": 1, "array.partial_rows": 0}, DENSE[:1]),
        ({"array.wide_rows": True, "scratchpad.banks": 16}, list(Flow.__members__)),
    ],
)
def test_bench(settings, flows):
    config = override(preset("tiny"), settings)
    assert [flow.name for flow in supported_flows(config)] == flows
    values = {"config": config.to_dict(), "rounds": 1500, "flows": flows}
    run_bench(MatmulCheck(config), "matmul_check", parameters=values)
