"""The UART bridge and its packets."""

import pytest

from ageha.hw.config import ConfigError
from ageha.hw.uart_bridge import UartBridge
from ageha.hw.uart_packet import Operation, Status
from ageha.sw.devices.packets import Answer, Request, checksum, parse_answer
from ageha.verif.golden.uart_bridge import Bridge, Event
from ageha.verif.simulator import run_bench


def test_bench():
    values = {"silence": 60, "requests": 250, "long": 0.02}
    assert run_bench(UartBridge(60), "uart_bridge", parameters=values) == 3


@pytest.mark.parametrize(
    "cycles, message",
    [
        (15, "silence_cycles must be from 16 to 2\\^24, not 15"),
        (1.5, "silence_cycles must be an integer, not 1.5"),
        (True, "silence_cycles must be an integer, not True"),
    ],
)
def test_a_silence_out_of_range_is_refused(cycles, message):
    with pytest.raises(ConfigError, match=message):
        UartBridge(cycles)


def bridge(words):
    return Bridge(lambda memory, address: words.get(address, 7), lambda *_: None)


def test_silence_ends_a_request_that_was_cut_off():
    golden = bridge({})
    packet = Request(Operation.READ_MEMORY, 9, 16, 2).to_bytes()
    assert golden.take(packet[:5]) == []
    assert golden.take([Event.SILENCE]) == [Answer(Status.BROKEN, 9)]
    assert golden.take(packet) == [Answer(Status.OK, 9, data=b"\7\0\0\0" * 2)]


def test_junk_is_passed_over():
    assert bridge({}).take([1, 2, Event.FRAMING_ERROR, Event.SILENCE]) == []


def test_the_checksum_is_that_of_the_recommendation():
    assert checksum(b"123456789").hex() == "29b1"


def test_answers_that_are_damaged():
    packet = Answer(Status.OK, 3, True, b"abcd").to_bytes()
    assert parse_answer(packet) == Answer(Status.OK, 3, True, b"abcd")
    for place in range(len(packet)):
        broken = bytearray(packet)
        broken[place] ^= 0x10
        assert parse_answer(bytes(broken)) is None
    unknown = bytes([0x5A, 0x77, 0])
    assert parse_answer(unknown + checksum(unknown)) is None


@pytest.mark.parametrize(
    "values, message",
    [
        ({"words": 0}, "words must be from 1 to 256, not 0"),
        ({"words": 257}, "words must be from 1 to 256, not 257"),
        ({"data": b"ab"}, "data must have 0 bytes, not 2"),
    ],
)
def test_requests_that_cannot_be_made(values, message):
    with pytest.raises(ValueError, match=message):
        Request(Operation.READ_MEMORY, **values)
