"""A device at the other end of a serial line: the machine on a board."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol

from ...hw.config import AcceleratorConfig
from ...hw.uart_packet import (
    CRC_BYTES,
    PACKET_WORDS,
    STATUS_MEANINGS,
    WORD_BYTES,
    Operation,
    Status,
)
from ..driver import DriverError
from .packets import ANSWER_HEADER_BYTES, Answer, Request, data_bytes, parse_answer

PACKET_BYTES = WORD_BYTES * PACKET_WORDS

ATTEMPTS = 3
"""How often a request is sent that was not carried out."""

NOT_CARRIED_OUT = (Status.CHECKSUM, Status.BROKEN, Status.OPERATION)
"""Answers after which a request may be sent again, whatever it asks for."""

REPEATABLE = (Operation.POLL, Operation.READ_MEMORY, Operation.WRITE_MEMORY)
"""What may be done twice: registers are not among it, because reading may clear them."""

READ_SECONDS = 1.0
"""How long an answer may take: longer than the silence after which a board answers anything."""


class LineError(DriverError):
    """The board does not answer, or not what it was asked."""


class ByteStream(Protocol):
    """A serial line, as pyserial's ``Serial`` is one."""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer if the others do not come in time."""

    def write(self, data: bytes) -> Any:
        """Send `data`."""


def open_port(port: str, baud: int) -> ByteStream:
    """Open a serial port with pyserial.

    Parameters
    ----------
    port : str
        Such as ``/dev/ttyUSB0``, or any address that pyserial knows.
    baud : int

    Raises
    ------
    LineError
        If pyserial is missing, or the port cannot be opened.
    """
    try:
        import serial
    except ImportError:
        raise LineError("pyserial is not installed: pip install pyserial") from None
    try:
        return serial.serial_for_url(port, baudrate=baud, timeout=READ_SECONDS)
    except (OSError, ValueError) as error:
        raise LineError(f"{port} cannot be opened: {error}") from None


class UartDevice:
    """Talks to a board over a serial line; see `sw.driver.Device`.

    Requests that the board has not carried out are sent again. Memory is written and read in
    packets of 1 KiB.

    Parameters
    ----------
    line : ByteStream
        With a timeout of its own for reading.
    config : AcceleratorConfig
        The machine on the board; `sw.driver.load_program` checks that it is this one.
    memory_bytes : int
        The memory on the board, a multiple of four.
    memory_base : int
        Its address.

    Attributes
    ----------
    repeated : int
        Requests that were sent again.
    """

    def __init__(
        self,
        line: ByteStream,
        config: AcceleratorConfig,
        memory_bytes: int,
        memory_base: int = 0,
    ) -> None:
        self.config = config
        self.memory_base = memory_base
        self.memory_bytes = memory_bytes
        self.repeated = 0
        self._line = line
        self._tag = 0
        self._greeted = False

    def __enter__(self) -> UartDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the line, if it can be closed."""
        close = getattr(self._line, "close", None)
        if close is not None:
            close()

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte `offset`.

        Raises
        ------
        LineError
            If the board does not answer, as in all other calls.
        """
        answer = self._ask(Operation.READ_REGISTERS, offset, 1)
        return int.from_bytes(answer.data, "little")

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte `offset`."""
        self._ask(Operation.WRITE_REGISTERS, offset, 1, value.to_bytes(WORD_BYTES, "little"))

    def read_memory(self, address: int, size: int) -> bytes:
        """Return `size` bytes from physical `address` on."""
        start = address - address % WORD_BYTES
        end = -(-(address + size) // WORD_BYTES) * WORD_BYTES
        found = bytearray()
        for place in range(start, end, PACKET_BYTES):
            words = min(PACKET_BYTES, end - place) // WORD_BYTES
            found += self._ask(Operation.READ_MEMORY, place, words).data
        return bytes(found[address - start : address - start + size])

    def write_memory(self, address: int, data: bytes) -> None:
        """Write `data` at physical `address`; words that it has a part of keep the rest."""
        if not data:
            return
        before = address % WORD_BYTES
        after = -(address + len(data)) % WORD_BYTES
        start = address - before
        head = self.read_memory(start, before)
        tail = self.read_memory(address + len(data), after)
        whole = head + bytes(data) + tail
        for place in range(0, len(whole), PACKET_BYTES):
            part = whole[place : place + PACKET_BYTES]
            self._ask(Operation.WRITE_MEMORY, start + place, len(part) // WORD_BYTES, part)

    def wait_for_interrupt(self, timeout: float) -> bool:
        """Ask until the interrupt is high; return False after `timeout` seconds without."""
        end = time.monotonic() + timeout
        while not self._ask(Operation.POLL, 0, 1).interrupt:
            if time.monotonic() >= end:
                return False
        return True

    def _ask(self, operation: Operation, address: int, words: int, data: bytes = b"") -> Answer:
        """Send a request until it is carried out; return the answer."""
        if not self._greeted:
            # A poll may be repeated: it ends what an earlier user of the line has left behind.
            self._greeted = True
            self._ask(Operation.POLL, 0, 1)
        what = f"{operation.name.lower().replace('_', ' ')} at {address:#x}"
        reason = ""
        for attempt in range(ATTEMPTS):
            self.repeated += attempt > 0
            self._tag = (self._tag + 1) & 0xFF
            request = Request(operation, self._tag, address, words, data)
            self._line.write(request.to_bytes())
            answer, reason = self._receive(request)
            if answer is not None and answer.status is Status.OK:
                return answer
            if answer is None and operation not in REPEATABLE:
                break
            if answer is not None and answer.status not in NOT_CARRIED_OUT:
                break
            self._drain()
        raise LineError(f"{what}: {reason}")

    def _receive(self, request: Request) -> tuple[Answer | None, str]:
        """Return the answer to a request, and what is wrong with it or with its absence."""
        head = self._line.read(ANSWER_HEADER_BYTES)
        if not head:
            return None, "the board does not answer; is it on, configured, and at this baud rate?"
        wanted = CRC_BYTES
        if len(head) == ANSWER_HEADER_BYTES:
            wanted += data_bytes(head[1], request)
        rest = self._line.read(wanted)
        if len(head + rest) < ANSWER_HEADER_BYTES + wanted:
            return None, "the answer of the board was cut off"
        answer = parse_answer(head + rest)
        if answer is None:
            return None, "the answer of the board was damaged"
        if answer.status is Status.OK and answer.tag != request.tag:
            return None, "the board answered an earlier request"
        return answer, STATUS_MEANINGS[answer.status]

    def _drain(self) -> None:
        """Take what still comes, until nothing does."""
        while self._line.read(PACKET_BYTES):
            pass
