"""The accelerator: whole programs, every way to fail, and the Verilog that comes out of it."""

from pathlib import Path

import numpy as np
import pytest

from ageha.hw.accelerator import Accelerator
from ageha.hw.config import override, preset
from ageha.hw.isa import ErrorCode
from ageha.sw.driver import DeviceError, load_program, run_program
from ageha.verif import failures
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
        "scratchpad.banks": 8,
        "axi.data_width": 128,
        "axi.burst_beats": 4,
        "axi.outstanding": 2,
        "axi.address_width": 32,
        "controller.queue_depth": 2,
    },
)
MEMORY_BYTES = 1 << 20
WAIVERS = Path(failures.__file__).parents[1] / "gen" / "lint.vlt"

MEMORIES = {
    "perfect": MemorySettings(),
    "slow": MemorySettings(latency=100, stall_percent=50, outstanding=4, seed=5),
    "narrow": MemorySettings(latency=7, bandwidth=0.2, stall_percent=10, seed=6),
}


def check_program(device, seed):
    """Compare a random program with the golden model: elements, bytes, multiplications."""
    program, inputs = random_program(device.config, seed)
    expected = run_program(GoldenDevice(device.config, MEMORY_BYTES), program, inputs)
    found = run_program(device, program, inputs, timeout=60)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values, f"{name}, seed {seed}")
    assert [found.counters[name] for name in COUNTED] == [
        expected.counters[name] for name in COUNTED
    ]


def test_bench():
    parameters = {"config": TINY.to_dict(), "stalls": 0.3}
    run_bench(Accelerator(TINY), "accelerator", parameters=parameters)


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])
def test_programs(config):
    library = build(config)
    for name, settings in MEMORIES.items():
        with RtlDevice(config, MEMORY_BYTES, settings=settings, library=library) as device:
            for seed in range(12):
                print(f"{name} memory, seed {seed}")
                check_program(device, seed)


@pytest.mark.slow
def test_programs_on_base():
    config = preset("base")
    library = build(config)
    for settings in MEMORIES.values():
        with RtlDevice(config, MEMORY_BYTES, settings=settings, library=library) as device:
            for seed in range(8):
                check_program(device, seed)


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
        )
        # The golden model finds deadlocks without a watchdog.
        if failure.code is not ErrorCode.WATCHDOG
    ],
    ids=lambda failure: failure.name,
)
def test_golden_reports_the_same(failure):
    device = GoldenDevice(TINY, MEMORY_BYTES)
    loaded = load_program(device, failure.program)
    with pytest.raises(DeviceError) as caught:
        loaded.run({})
    error = caught.value
    expected = failure.code, failure.index, failure.reported(loaded.bases)
    assert (error.code, error.index, error.address) == expected
    assert loaded.registers.read("error_code") == 0
