"""The driver's device at the other end of a serial line, on a line that fails in every way."""

import builtins
from collections import deque

import pytest

from ageha.hw.config import preset
from ageha.hw.uart_packet import Status
from ageha.sw.devices.packets import Answer
from ageha.sw.devices.uart import LineError, UartDevice, open_port
from ageha.sw.driver import DriverError, identify
from ageha.verif.golden.uart_bridge import Bridge, BusError, Event

CONFIG = preset("ulx3s")
MEMORY_BYTES = 8192


class Board:
    """The golden bridge with registers and memory that are plain words, and no line between."""

    def __init__(self):
        self.words = {}
        self.bridge = Bridge(self._read, self._write)
        self.output = deque()
        self.interrupts = deque()
        self.damage = deque()
        self.closed = False

    def _read(self, in_memory, address):
        if in_memory and address >= MEMORY_BYTES:
            raise BusError
        return self.words.get((in_memory, address), 0)

    def _write(self, in_memory, address, word):
        self.words[in_memory, address] = word

    def write(self, data):
        """Take a request as the line leaves it, and have the answer ready."""
        spoil = self.damage.popleft() if self.damage else lambda request, answer: (request, answer)
        request, _ = spoil(data, b"")
        interrupt = self.interrupts.popleft() if self.interrupts else False
        answers = self.bridge.take(request) + self.bridge.take([Event.SILENCE])
        answer = b"".join(
            Answer(each.status, each.tag, interrupt, each.data).to_bytes() for each in answers
        )
        self.output += spoil(b"", answer)[1]

    def read(self, size):
        """Give what there is, at most `size` bytes."""
        return bytes(self.output.popleft() for _ in range(min(size, len(self.output))))

    def close(self):
        """Note that the line was closed."""
        self.closed = True


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def device(board):
    made = UartDevice(board, CONFIG, MEMORY_BYTES)
    assert not made.wait_for_interrupt(0)
    return made


def request_flipped(request, answer):
    return request[:-1] + bytes([request[-1] ^ 1]) if request else request, answer


def request_cut(request, answer):
    return request[:-3], answer


def answer_flipped(request, answer):
    return request, answer[:-1] + bytes([answer[-1] ^ 1]) if answer else answer


def answer_cut(request, answer):
    return request, answer[:-1]


def nothing(request, answer):
    return request, b""


def late(request, answer):
    """An answer to another request than the last."""
    data = bytes(max(0, len(answer) - len(Answer(Status.OK).to_bytes())))
    return request, Answer(Status.OK, 77, data=data).to_bytes() if answer else answer


def test_memory_of_any_place_and_length(device, board):
    for address, size in (
        (0, 1),
        (1, 2),
        (3, 5),
        (1000, 3000),
        (5, 1024),
        (8, 0),
        (MEMORY_BYTES - 3, 3),
    ):
        data = bytes(range(7, 7 + size % 249)) * (size // max(1, size % 249) + 1)
        data = data[:size]
        around = device.read_memory(max(0, address - 4), 4)
        device.write_memory(address, data)
        assert device.read_memory(address, size) == data
        if address >= 4:
            assert device.read_memory(address - 4, 4) == around
    assert device.repeated == 0


@pytest.mark.parametrize("left", [b"\x5a", b"\x5a\x00\x05", bytes(40)])
def test_what_another_user_left_on_the_line(board, left):
    board.words[False, 0x10] = 7
    board.output += left
    device = UartDevice(board, CONFIG, MEMORY_BYTES)
    assert device.read_register(0x10) == 7


def test_registers(device, board):
    device.write_register(0x20, 0xDEADBEEF)
    assert board.words == {(False, 0x20): 0xDEADBEEF}
    assert device.read_register(0x20) == 0xDEADBEEF


def test_the_interrupt_is_asked_for(device, board):
    board.interrupts.extend([False, False, True])
    assert device.wait_for_interrupt(10)
    assert not device.wait_for_interrupt(0)


@pytest.mark.parametrize("damage", [request_flipped, request_cut])
def test_what_was_not_carried_out_is_sent_again(device, board, damage):
    board.damage.append(damage)
    device.write_register(0x20, 5)
    assert (device.read_register(0x20), device.repeated) == (5, 1)


@pytest.mark.parametrize("damage", [answer_flipped, answer_cut, nothing, late])
def test_memory_is_asked_again(device, board, damage):
    device.write_memory(0, b"abcdefgh")
    board.damage.append(damage)
    assert (device.read_memory(0, 8), device.repeated) == (b"abcdefgh", 1)


@pytest.mark.parametrize(
    "damage, message",
    [
        (nothing, "read registers at 0x10: the board does not answer; is it on, configured"),
        (answer_cut, "read registers at 0x10: the answer of the board was cut off"),
        (answer_flipped, "read registers at 0x10: the answer of the board was damaged"),
        (late, "read registers at 0x10: the board answered an earlier request"),
    ],
)
def test_a_register_is_not_read_twice(device, board, damage, message):
    board.damage.append(damage)
    with pytest.raises(LineError, match=message):
        device.read_register(0x10)
    assert device.repeated == 0


def test_a_line_that_stays_bad(device, board):
    board.damage.extend([request_flipped] * 3)
    with pytest.raises(LineError, match="the checksum of the request was wrong"):
        device.write_register(0x20, 5)
    assert device.repeated == 2


def test_what_the_board_refuses(device, board):
    with pytest.raises(LineError, match="read memory at 0x2000: the bus answered with an error"):
        device.read_memory(MEMORY_BYTES, 4)
    with pytest.raises(LineError, match="at 0x1000: the address is no multiple of four, or"):
        device.read_register(0x1000)


def test_another_board_is_no_accelerator(device):
    with pytest.raises(DriverError, match="identity of the device is 0x00000000"):
        identify(device)


def test_the_line_is_closed(board):
    with UartDevice(board, CONFIG, MEMORY_BYTES):
        pass
    assert board.closed


def test_a_port_that_is_not_there():
    with pytest.raises(LineError, match="/nowhere/tty cannot be opened"):
        open_port("/nowhere/tty", 115_200)


def test_pyserial_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "serial":
            raise ImportError
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LineError, match="pip install pyserial"):
        open_port("/dev/ttyUSB0", 115_200)
