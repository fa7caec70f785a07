"""A board, pins and all: the driver runs programs over its serial line."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from ageha.bench.digits import DigitsWorkload
from ageha.gen.boards import LIGHTS, ULX3S, component
from ageha.hw.board import Board
from ageha.hw.config import ConfigError, preset
from ageha.hw.isa import ErrorCode
from ageha.sw.devices.uart import UartDevice
from ageha.sw.driver import DeviceError, load_program, run_program
from ageha.sw.program import Program
from ageha.verif.devices.board import SimulatedBoard, build
from ageha.verif.devices.golden import GoldenDevice

BUSY, DONE, ERROR, _ = (1 << place for place in range(len(LIGHTS)))

LIGHT_CYCLES = 100_000
"""Of a simulated board: 100 ms of 1 MHz."""

SETTINGS = {
    "memory_bytes": 4096,
    "clock_hz": 1_000_000,
    "baud": 250_000,
    "silence_cycles": 1000,
    "light_cycles": 100,
}


@pytest.fixture(scope="module")
def line() -> Iterator[SimulatedBoard]:
    board = SimulatedBoard(build(ULX3S))
    yield board
    board.close()


def stopping(program: Program) -> Program:
    """Return `program` with an illegal opcode in its first instruction."""
    return replace(program, code=bytes([0xEE]).ljust(64, b"\0") + program.code[64:])


@pytest.mark.slow
def test_digits_are_classified_over_the_line(line: SimulatedBoard) -> None:
    """Program, weights and images go over the line; every score is that of the golden model."""
    workload = DigitsWorkload(ULX3S.config, 2)
    device = UartDevice(line, ULX3S.config, ULX3S.memory_bytes)
    assert line.lights & (BUSY | DONE | ERROR) == 0
    with pytest.raises(DeviceError) as caught:
        run_program(device, stopping(workload.program), workload.inputs(0))
    assert caught.value.code is ErrorCode.ILLEGAL_OPCODE
    loaded = load_program(device, workload.program)
    for image in range(2):
        golden = GoldenDevice(ULX3S.config)
        expected = run_program(golden, workload.program, workload.inputs(image)).outputs
        result = loaded.run(workload.inputs(image))
        for name, values in expected.items():
            np.testing.assert_array_equal(result.outputs[name], values)
        assert result.counters["instructions"] == workload.program.instructions
        assert result.counters["cycles"] > 0
        assert line.lights & (DONE | ERROR) == DONE
    line.press(pressed=False, cycles=LIGHT_CYCLES)
    assert line.lights & BUSY == 0
    assert (device.repeated, line.framing_errors) == (0, 0)


@pytest.mark.slow
def test_lights_and_button(line: SimulatedBoard) -> None:
    """The lights show what happened last, and the button forgets it."""
    workload = DigitsWorkload(ULX3S.config, 1)
    device = UartDevice(line, ULX3S.config, ULX3S.memory_bytes)
    loaded = load_program(device, stopping(workload.program))
    loaded.write_inputs(workload.inputs(0))
    loaded.start(0)
    assert device.wait_for_interrupt(60)
    assert line.lights & (BUSY | DONE | ERROR) == BUSY | ERROR
    line.press(pressed=True, cycles=50)
    line.press(pressed=False, cycles=50)
    assert line.lights & (BUSY | DONE | ERROR) == 0
    assert not device.wait_for_interrupt(0)


@pytest.mark.slow
def test_a_request_that_is_cut_off_does_not_stop_the_board(line: SimulatedBoard) -> None:
    device = UartDevice(line, ULX3S.config, ULX3S.memory_bytes)
    device.write_memory(0, b"kept")
    line.write(bytes([0xA5, 4, 9, 255]))
    assert device.read_memory(0, 4) == b"kept"


def test_parameters_can_be_read() -> None:
    board = Board(preset("tiny"), **SETTINGS)
    assert board.config == preset("tiny")
    assert {name: getattr(board, name) for name in SETTINGS} == SETTINGS


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("silence_cycles", 159, "silence_cycles must be at least 4 bytes on the line = 160, not"),
        ("silence_cycles", 1e3, "silence_cycles must be an integer, not 1000.0"),
        ("light_cycles", 0, "light_cycles must be from 1 to 2\\^28, not 0"),
        ("light_cycles", True, "light_cycles must be an integer, not True"),
        ("baud", 300_000, "baud must be at most clock_hz / 4 = 250000, not 300000"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Board(preset("tiny"), **{**SETTINGS, name: value})


def test_the_line_of_a_board_is_made_of_its_clock() -> None:
    assert component(ULX3S).clock_hz == 25_000_000
    with pytest.raises(ConfigError, match="baud 1000000 cannot be made of 5600000 Hz"):
        component(ULX3S, clock_hz=5_600_000)
