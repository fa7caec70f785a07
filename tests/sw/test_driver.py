"""What the driver checks before and after a program."""

import numpy as np
import pytest

from ageha.hw.config import PRESETS
from ageha.sw.driver import DriverError, load_program
from ageha.sw.program import ProgramError
from ageha.sw.tensor import TensorError
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.programs import random_program

TINY = PRESETS["tiny"]


def test_inputs_are_checked() -> None:
    made, inputs = random_program(TINY, 1)
    loaded = load_program(GoldenDevice(TINY), made)
    with pytest.raises(DriverError, match="inputs must be a, b, rows, .* not none"):
        loaded.run({})
    with pytest.raises(TensorError, match="a must be int8"):
        loaded.run({**inputs, "a": np.zeros(3)})


def test_devices_are_checked() -> None:
    made, _ = random_program(TINY, 1)
    with pytest.raises(ProgramError, match="program is for parameters"):
        load_program(GoldenDevice(PRESETS["base"]), made)
    with pytest.raises(DriverError, match="the windows of the program take .* of 4096 bytes"):
        load_program(GoldenDevice(TINY, 4096), made)
    device = GoldenDevice(TINY)
    device.read_register = lambda offset: 0
    with pytest.raises(DriverError, match="identity of the device is 0x00000000, not 0x48454741"):
        load_program(device, made)
    device = GoldenDevice(TINY)
    loaded = load_program(device, made)
    device.wait_for_interrupt = lambda timeout: False
    with pytest.raises(DriverError, match="no answer from the device in 0.5 s"):
        loaded.run(random_program(TINY, 1)[1], timeout=0.5)
