"""The accelerator: whole programs, every way to fail, and the Verilog that comes out of it."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ageha.bench.execute import memory_bytes
from ageha.hw.accelerator import Accelerator
from ageha.hw.config import override, preset
from ageha.hw.isa import ErrorCode
from ageha.sw.driver import DeviceError, load_program, run_program
from ageha.verif import failures
from ageha.verif.compressed_failures import compressed_failures
from ageha.verif.dataflow_programs import dataflow_program
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.library import MemorySettings, build
from ageha.verif.devices.rtl import RtlDevice
from ageha.verif.golden.machine import COUNTED
from ageha.verif.programs import random_program
from ageha.verif.simulator import TOP, elaborate, run_bench
from ageha.verif.verilator import lint

TINY = preset("tiny")
ODD = override(
    TINY,
    {
        "array.rows": 8,
        "array.block": 8,
        "scratchpad.banks": 8,
        "axi.data_width": 128,
        "axi.burst_beats": 4,
        "axi.outstanding": 2,
        "axi.address_width": 32,
        "controller.queue_depth": 2,
        "butterfly.stages": 2,
    },
)
MEMORY_BYTES = 1 << 20
PATIENCE = 600.0
"""Seconds to wait for a program."""

WAIVERS = Path(failures.__file__).parents[1] / "gen" / "lint.vlt"

MEMORIES = {
    "perfect": MemorySettings(),
    "slow": MemorySettings(latency=100, stall_percent=50, outstanding=4, seed=5),
    "narrow": MemorySettings(latency=7, bandwidth=0.2, stall_percent=10, seed=6),
}


def many_products(config, seed):
    """Return a program of seven products or more of every flow, 1 to 300 each way."""
    return dataflow_program(config, seed, repeats=7, round_words=config.scratchpad_words)


@cache
def golden_run(config, seed, made):
    """Return a random program, its inputs, and its result on the golden model."""
    program, inputs = made(config, seed)
    device = GoldenDevice(config, memory_bytes(program))
    return program, inputs, run_program(device, program, inputs)


def check_program(device, seed, made=random_program):
    """Compare a random program with the golden model: elements, bytes, multiplications."""
    print(f"{made.__name__}, {device.simulation.settings}, seed {seed}")
    program, inputs, expected = golden_run(device.config, seed, made)
    found = run_program(device, program, inputs, timeout=PATIENCE)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values, f"{name}, seed {seed}")
    assert [found.counters[name] for name in COUNTED] == [
        expected.counters[name] for name in COUNTED
    ]


def check_failure(device, failure):
    """Run a program that must stop, and compare what is reported."""
    loaded = load_program(device, failure.program)
    with pytest.raises(DeviceError) as caught:
        loaded.run({}, timeout=60)
    error = caught.value
    expected = failure.code, failure.index, failure.reported(loaded.bases)
    assert (error.code, error.index, error.address) == expected, failure.name
    assert loaded.registers.read("error_code") == 0


def test_bench():
    parameters = {"config": TINY.to_dict(), "stalls": 0.3}
    run_bench(Accelerator(TINY), "accelerator", parameters=parameters)


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_programs(config):
    library = build(config)
    for settings in MEMORIES.values():
        with RtlDevice(config, MEMORY_BYTES, settings=settings, library=library) as device:
            for seed in range(12):
                check_program(device, seed)
                check_program(device, seed, dataflow_program)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ecp5", "base"])
def test_programs_on_larger_machines(name):
    config = preset(name)
    library = build(config)
    for settings in MEMORIES.values():
        with RtlDevice(config, MEMORY_BYTES, settings=settings, library=library) as device:
            for seed in range(8):
                check_program(device, seed)
                check_program(device, seed, dataflow_program)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(7))
def test_many_random_products_on_large(seed):
    config = preset("large")
    size = memory_bytes(many_products(config, seed)[0])
    with RtlDevice(config, size, library=build(config)) as device:
        check_program(device, seed, many_products)
        assert device.simulation.violations == []


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_malformed_operands(config, memory):
    """Rules are broken in every flow: what is reported is exact, and the next program runs."""
    library = build(config)
    with RtlDevice(config, MEMORY_BYTES, settings=MEMORIES[memory], library=library) as device:
        for seed, failure in enumerate(compressed_failures(config)):
            check_failure(device, failure)
            check_program(device, seed % 12, dataflow_program)
        assert device.simulation.violations == []


def test_verilog_is_clean(tmp_path):
    path = tmp_path / "accelerator.v"
    path.write_text(elaborate(Accelerator(TINY)))
    lint([WAIVERS, path], TOP)


@pytest.mark.parametrize(
    "failure",
    [
        failure
        for failure in (
            *failures.instruction_failures(TINY),
            *failures.controller_failures(TINY),
            *compressed_failures(TINY),
        )
        # The golden model finds deadlocks without a watchdog.
        if failure.code is not ErrorCode.WATCHDOG
    ],
    ids=lambda failure: failure.name,
)
def test_golden_reports_the_same(failure):
    check_failure(GoldenDevice(TINY, MEMORY_BYTES), failure)
