"""The serial line."""

import pytest

from ageha.hw.config import ConfigError
from ageha.hw.uart import UartReceiver, UartTransmitter, bit_cycles
from ageha.verif.golden.uart import decode, frame, levels
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("cycles", [4, 9])
def test_receiver(cycles):
    values = {"cycles": cycles, "bytes": 150}
    receiver = UartReceiver(cycles * 1000, 1000)
    run_bench(receiver, "uart", parameters=values, testcase="receives")


def test_transmitter():
    values = {"cycles": 4, "bytes": 60}
    transmitter = UartTransmitter(4000, 1000)
    run_bench(transmitter, "uart", parameters=values, testcase="transmits")


@pytest.mark.parametrize("cycles", [4, 5, 16])
def test_the_model_reads_what_it_writes(cycles):
    data = list(range(256))
    assert decode(levels(data, cycles), cycles) == data


def test_a_glitch_is_no_start_bit():
    assert decode([1, 0, *[1] * 40, *frame(0x55, 8), 1], 8) == [0x55]


def test_a_break_is_one_error():
    assert decode([1, *[0] * 200, *[1] * 5, *frame(7, 8)], 8) == [None, 7]


def test_parameters_can_be_read():
    assert (UartReceiver(25_000_000, 1_000_000).baud, UartTransmitter(50, 10).clock_hz) == (
        1_000_000,
        50,
    )
    assert bit_cycles(25_000_000, 115_200) == 217


@pytest.mark.parametrize(
    "clock_hz, baud, message",
    [
        (0, 1, "clock_hz must be an integer from 1 to 1000000000, not 0"),
        (100, True, "baud must be an integer from 1 to 100, not True"),
        (100, 101, "baud must be an integer from 1 to 100, not 101"),
        (100, 30, "baud must be at most clock_hz / 4 = 25, not 30"),
        (25_000_000, 3_000_000, "baud 3000000 cannot be made of 25000000 Hz: 8 cycles"),
    ],
)
def test_rates_that_cannot_be_made(clock_hz, baud, message):
    with pytest.raises(ConfigError, match=message):
        bit_cycles(clock_hz, baud)
