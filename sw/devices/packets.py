"""Packets of the UART bridge as bytes; `hw.uart_packet` says what they mean."""

import binascii
import struct
from dataclasses import dataclass

from ...hw.uart_packet import (
    ANSWER_SYNC,
    CRC_BYTES,
    CRC_INIT,
    INTERRUPT,
    PACKET_WORDS,
    READS,
    REQUEST_SYNC,
    WORD_BYTES,
    WRITES,
    Operation,
    Status,
)

ANSWER_HEADER_BYTES = 3


def checksum(data: bytes) -> bytes:
    """Return the two bytes that follow `data` in a packet."""
    return struct.pack(">H", binascii.crc_hqx(data, CRC_INIT))


@dataclass(frozen=True)
class Request:
    """A request.

    Parameters
    ----------
    operation : Operation
    tag : int
        0 to 255; the answer has it too.
    address : int
        Byte address, a multiple of four below 2^32.
    words : int
        1 to 256; of no meaning for a poll.
    data : bytes
        What is written, four bytes a word.

    Raises
    ------
    ValueError
        If the number of words or the length of the data is wrong.
    """

    operation: Operation
    tag: int = 0
    address: int = 0
    words: int = 1
    data: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.words <= PACKET_WORDS:
            raise ValueError(f"words must be from 1 to {PACKET_WORDS}, not {self.words}")
        wanted = WORD_BYTES * self.words if self.operation in WRITES else 0
        if len(self.data) != wanted:
            raise ValueError(f"data must have {wanted} bytes, not {len(self.data)}")

    def to_bytes(self) -> bytes:
        """Return the packet."""
        head = struct.pack(
            "<BBBBI",
            REQUEST_SYNC,
            self.operation.value,
            self.tag,
            self.words - 1,
            self.address,
        )
        return head + self.data + checksum(head + self.data)

    @property
    def answer_bytes(self) -> int:
        """Bytes of data in an answer whose status is OK."""
        return WORD_BYTES * self.words if self.operation in READS else 0


@dataclass(frozen=True)
class Answer:
    """An answer.

    Parameters
    ----------
    status : Status
    tag : int
        That of the request; 0 if it did not get that far.
    interrupt : bool
        Whether the accelerator's interrupt was high.
    data : bytes
        What was read.
    """

    status: Status
    tag: int = 0
    interrupt: bool = False
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the packet."""
        status = self.status.value | (INTERRUPT if self.interrupt else 0)
        body = bytes([ANSWER_SYNC, status, self.tag]) + self.data
        return body + checksum(body)


def data_bytes(status: int, request: Request) -> int:
    """Return how many bytes of data follow an answer's status byte."""
    return request.answer_bytes if status & ~INTERRUPT == Status.OK.value else 0


def parse_answer(packet: bytes) -> Answer | None:
    """Return the answer that a packet of the right length is; None if it was damaged."""
    body = packet[:-CRC_BYTES]
    known = {status.value for status in Status}
    if checksum(body) != packet[-CRC_BYTES:] or body[0] != ANSWER_SYNC:
        return None
    if body[1] & ~INTERRUPT not in known:
        return None
    status = Status(body[1] & ~INTERRUPT)
    return Answer(status, body[2], bool(body[1] & INTERRUPT), body[ANSWER_HEADER_BYTES:])
