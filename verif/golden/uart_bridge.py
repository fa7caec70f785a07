"""Model of the UART bridge: what comes on the line, what it does to the buses, what it answers."""

from collections.abc import Callable, Iterable
from enum import Enum

from ...hw.registers import ADDRESS_BITS as REGISTER_BITS
from ...hw.uart_packet import (
    ADDRESS_BITS,
    HEADER_BYTES,
    READS,
    REQUEST_SYNC,
    WORD_BYTES,
    WRITES,
    Operation,
    Status,
)
from ...sw.devices.packets import Answer, checksum


class Event(Enum):
    """What the line may bring besides bytes."""

    FRAMING_ERROR = "a byte without a stop bit"
    SILENCE = "nothing, for as long as the bridge waits"


class BusError(Exception):
    """The bus answers with an error."""


Read = Callable[[bool, int], int]
Write = Callable[[bool, int, int], None]


class Bridge:
    """Carries out requests.

    Parameters
    ----------
    read : callable
        Gets whether memory is meant, and an address; returns a word, or raises `BusError`.
    write : callable
        Gets whether memory is meant, an address and a word; may raise `BusError`.
    """

    def __init__(self, read: Read, write: Write) -> None:
        self._read = read
        self._write = write
        self._packet = bytearray()
        self._failed: Status | None = None

    def take(self, items: Iterable[int | Event]) -> list[Answer]:
        """Return the answers to bytes and events; a request may begin or end in another call."""
        return [answer for item in items if (answer := self._step(item)) is not None]

    def _step(self, item: int | Event) -> Answer | None:
        if item is Event.SILENCE:
            return self._silence()
        if not self._packet and self._failed is None:
            if item == REQUEST_SYNC:
                self._packet.append(REQUEST_SYNC)
            return None
        if self._failed is not None:
            return None
        if isinstance(item, Event):
            self._failed = Status.BROKEN
            return None
        self._packet.append(item)
        return self._advance()

    def _silence(self) -> Answer | None:
        if not self._packet:
            return None
        return self._end(self._failed or Status.BROKEN)

    def _advance(self) -> Answer | None:
        """Return the answer if the packet is complete."""
        packet = self._packet
        if len(packet) <= HEADER_BYTES:
            return None
        if packet[1] not in {operation.value for operation in Operation}:
            self._failed = Status.OPERATION
            return None
        operation = Operation(packet[1])
        words = packet[3] + 1
        size = 1 + HEADER_BYTES + (WORD_BYTES * words if operation in WRITES else 0)
        if len(packet) < size + 2:
            return None
        if checksum(bytes(packet[:size])) != packet[size:]:
            self._failed = Status.CHECKSUM
            return None
        return self._execute(operation, words, bytes(packet[1 + HEADER_BYTES : size]))

    def _execute(self, operation: Operation, words: int, data: bytes) -> Answer:
        address = int.from_bytes(self._packet[4:8], "little")
        in_memory = operation in (Operation.READ_MEMORY, Operation.WRITE_MEMORY)
        limit = 1 << (ADDRESS_BITS if in_memory else REGISTER_BITS)
        if operation is Operation.POLL:
            return self._end(Status.OK)
        if address % WORD_BYTES or address + WORD_BYTES * words > limit:
            return self._end(Status.ADDRESS)
        found = bytearray()
        try:
            for offset in range(0, WORD_BYTES * words, WORD_BYTES):
                if operation in READS:
                    found += self._read(in_memory, address + offset).to_bytes(4, "little")
                else:
                    word = int.from_bytes(data[offset : offset + WORD_BYTES], "little")
                    self._write(in_memory, address + offset, word)
        except BusError:
            return self._end(Status.BUS)
        return self._end(Status.OK, bytes(found))

    def _end(self, status: Status, data: bytes = b"") -> Answer:
        tag = self._packet[2] if len(self._packet) > 2 else 0
        self._packet.clear()
        self._failed = None
        return Answer(status, tag, data=data)
