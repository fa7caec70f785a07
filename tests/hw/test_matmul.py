"""The array unit."""

import json

import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.isa import COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS, Flow
from ageha.hw.matmul import Matmul
from ageha.hw.matmul_check import supported_flows
from ageha.verif.simulator import run_bench

FLOWS_BUILT = list(Flow)
SPARSE_FLOWS = [flow for flow in FLOWS_BUILT if flow in COMPRESSED_A_FLOWS + COMPRESSED_B_FLOWS]

CONFIGS = {
    "tiny": preset("tiny"),
    "ecp5": preset("ecp5"),
    "wide": override(
        preset("tiny"),
        {"array.columns": 8, "array.rows": 4, "scratchpad.banks": 16, "scratchpad.bytes": 65536},
    ),
    "tall": override(
        preset("tiny"),
        {
            "array.columns": 4,
            "array.rows": 16,
            "array.pipelined": False,
            "array.accumulator_width": 24,
            "scratchpad.banks": 16,
            "scratchpad.bytes": 65536,
        },
    ),
}
WIDE_ROWS = {
    "two planes": override(
        preset("tiny"),
        {"array.wide_rows": True, "scratchpad.banks": 16, "scratchpad.bytes": 65536},
    ),
    "two planes, long lines": override(
        preset("tiny"),
        {
            "array.wide_rows": True,
            "array.columns": 8,
            "scratchpad.banks": 32,
            "scratchpad.bytes": 131072,
        },
    ),
}


def test_pipelined_is_true_or_false():
    with pytest.raises(ConfigError, match="array.pipelined must be true or false, not 1"):
        override(preset("tiny"), {"array.pipelined": 1})


def check(config, testcase, **values):
    """Run `testcase` of the bench on the array of `config`, with those of `flows` that it has."""
    flows = [flow.name for flow in values.pop("flows") if flow in supported_flows(config)]
    seed = values.pop("seed", None)
    values |= {"config": config.to_dict(), "flows": flows}
    run_bench(Matmul(config), "matmul", parameters=values, seed=seed, testcase=testcase)


@pytest.mark.parametrize("refusals", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_flows_after_each_other(name, refusals):
    tests = (
        "multiplies",
        "keeps_tiles_apart",
        "adds_to_the_result_before",
        "refuses",
        "refuses_other_flows",
        "halts",
    )
    check(CONFIGS[name], tests, flows=FLOWS_BUILT, refusals=refusals, cases=24, rounds=6)


@pytest.mark.parametrize("name", WIDE_ROWS)
def test_wide_rows(name):
    tests = ("multiplies", "adds_to_the_result_before", "refuses", "halts")
    check(WIDE_ROWS[name], tests, flows=FLOWS_BUILT, refusals=0.2, cases=16, rounds=2)


@pytest.mark.parametrize("left_out", [{"array.block": 1}, {"array.partial_rows": 0}], ids=str)
def test_flows_that_are_left_out(left_out):
    config = override(preset("tiny"), left_out)
    tests = ("multiplies", "refuses_other_flows")
    check(config, tests, flows=FLOWS_BUILT, refusals=0.1, cases=12)


@pytest.mark.parametrize("name", ["tiny", "ecp5"])
@pytest.mark.parametrize("flow", FLOWS_BUILT, ids=lambda flow: flow.name)
def test_random_products(flow, name):
    check(CONFIGS[name], "multiplies", flows=[flow], refusals=0.1, cases=6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "ecp5", "base"])
@pytest.mark.parametrize("flow", FLOWS_BUILT, ids=lambda flow: flow.name)
def test_many_random_products(flow, name):
    check(preset(name), "multiplies", flows=[flow], refusals=0.05, cases=50)


@pytest.mark.parametrize("name", CONFIGS)
def test_malformed_operands(name):
    check(CONFIGS[name], "refuses_malformed_operands", flows=SPARSE_FLOWS, refusals=0.1, rounds=12)


@pytest.mark.parametrize("name", CONFIGS)
def test_operands_that_no_encoder_writes(name):
    tests = "takes_what_no_encoder_writes"
    check(CONFIGS[name], tests, flows=SPARSE_FLOWS, refusals=0.1, cases=24)


@pytest.mark.parametrize(
    "name, steps, wide",
    [
        ("tiny", 4, False),
        ("tiny", 5, False),
        ("tiny", 12, False),
        ("ecp5", 16, False),
        ("ecp5", 17, False),
        ("tall", 17, False),
        ("two planes", 11, True),
        ("two planes, long lines", 17, True),
    ],
)
def test_the_array_stays_busy(name, steps, wide):
    flows = [Flow.DENSE_OUTPUT_STATIONARY]
    config = {**CONFIGS, **WIDE_ROWS}[name]
    check(config, "keeps_the_array_busy", flows=flows, steps=steps, wide=wide)


def test_dense_products_are_as_fast_beside_sparse_hardware(tmp_path):
    full = preset("tiny")
    transposed = 1, 1
    products = [(1, 1, 1), (4, 4, 8), (16, 16, 16), (7, 13, 31, *transposed), (31, 5, 17)]
    found = []
    for left_out in ({}, {"array.block": 1}, {"array.partial_rows": 0}):
        config = override(full, left_out)
        flows = [flow for flow in supported_flows(config) if flow not in SPARSE_FLOWS]
        record = tmp_path / "cycles.json"
        values = {"products": products, "record": str(record), "flows": flows, "seed": 1}
        check(config, "counts_cycles", **values)
        found.append(json.loads(record.read_text()))
        assert set(found[-1]) == {flow.name for flow in flows}
    for cycles in found[1:]:
        assert cycles == {name: found[0][name] for name in cycles}


@pytest.mark.slow
@pytest.mark.parametrize(
    "products, repeat, share",
    [
        ([(128, 384, 384)], 1, 0.98),
        ([(128, 128, 32), (128, 128, 32)], 6, 0.95),
        ([(128, 32, 128, 0, 1)], 12, 0.95),
    ],
)
def test_the_base_array_is_used(products, repeat, share):
    values = {"products": products, "density": 1, "repeat": repeat, "share": share}
    check(preset("base"), "uses_the_array", flows=[Flow.DENSE_OUTPUT_STATIONARY], **values)
