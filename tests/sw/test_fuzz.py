"""Random small models of every front end: compiled, verified, and run bit for bit.

A case is replayed by its number: ``pytest tests/sw/test_fuzz.py -k "case and 123"``.
"""

import numpy as np
import pytest
from fuzz_programs import fuzz_case, runs

from ageha.bench.execute import build_library, memory_bytes, run_golden, run_rtl
from ageha.hw.config import preset
from ageha.sw.driver import run_program
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.library import MemorySettings

CASES = 300
QUICK = 20
"""Cases that run each time."""

BATCH = 10
VERILOG = 5
"""Every so many cases that fit it run on the Verilog of `tiny`, too."""

TINY = preset("tiny")


def numbers():
    """Cases in batches, of which all but the first are slow."""
    for first in range(0, CASES, BATCH):
        marks = [pytest.mark.slow] if first >= QUICK else []
        yield pytest.param(
            range(first, first + BATCH), marks=marks, id=f"{first}-{first + BATCH - 1}"
        )


def check(number, folder):
    case = fuzz_case(number, folder)
    print(case.text)
    for text in case.refusals:
        print(f"  refused: {text}")
        assert "\n" not in text
    for run in runs(case):
        outputs = run_golden(run.program, run.inputs).outputs
        device = GoldenDevice(run.program.config, memory_bytes(run.program), seed=number)
        others = [run_program(device, run.program, run.inputs).outputs]
        if run.program.config == TINY and number % VERILOG == 0:
            others.append(on_verilog(run, number))
        for found in others:
            for name, values in outputs.items():
                np.testing.assert_array_equal(found[name], values, err_msg=case.text)
        run.check(outputs)


def on_verilog(run, number):
    generator = np.random.default_rng(number)
    latency, stalls = int(generator.integers(1, 80)), int(generator.choice([0, 0, 50]))
    settings = MemorySettings(latency=latency, stall_percent=stalls, seed=number + 1)
    return run_rtl(run.program, run.inputs, settings, build_library(TINY)).outputs


@pytest.mark.parametrize("batch", list(numbers()))
def test_cases(batch, tmp_path):
    for number in batch:
        (tmp_path / str(number)).mkdir()
        check(number, tmp_path / str(number))


def test_cases_are_the_same_each_time(tmp_path):
    texts, codes = [], []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        case = fuzz_case(2, tmp_path / place)
        texts.append(case.text)
        codes.append(case.run.program.code)
    assert texts[0] == texts[1]
    assert codes[0] == codes[1]
