"""The packets of the UART bridge: what bytes mean, and the sum that protects them.

A request is ``REQUEST_SYNC, operation, tag, words - 1``, an address of four bytes (little endian),
the words of a write (little endian) and two bytes of CRC. An answer is ``ANSWER_SYNC, status,
tag``, the words of a read whose status is OK, and two bytes of CRC. The CRC is that of
ITU-T V.41 (x^16 + x^12 + x^5 + 1, most significant bit first) from `CRC_INIT` on, over all bytes
before it, high byte first.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Value
from amaranth.lib import enum

REQUEST_SYNC = 0xA5
ANSWER_SYNC = 0x5A
CRC_INIT = 0xFFFF
CRC_BYTES = 2
HEADER_BYTES = 7
"""Bytes of a request between its first one and its data."""

ADDRESS_BITS = 32
WORD_BYTES = 4
PACKET_WORDS = 256
"""Most words in a packet."""

INTERRUPT = 0x80
"""Bit of the status byte that is the accelerator's interrupt."""


class Operation(enum.Enum, shape=8):
    """What a request asks for."""

    POLL = 0
    READ_REGISTERS = 1
    WRITE_REGISTERS = 2
    READ_MEMORY = 3
    WRITE_MEMORY = 4


STATUS_BITS = 3


class Status(enum.Enum, shape=STATUS_BITS):
    """How a request ended; only after `OK` and `BUS` was any of it carried out."""

    OK = 0
    CHECKSUM = 1
    BROKEN = 2
    OPERATION = 3
    ADDRESS = 4
    BUS = 5


STATUS_MEANINGS = {
    Status.OK: "done",
    Status.CHECKSUM: "the checksum of the request was wrong",
    Status.BROKEN: "the request was cut off, or a byte of it had no stop bit",
    Status.OPERATION: "there is no such operation",
    Status.ADDRESS: "the address is no multiple of four, or words lie beyond the last one",
    Status.BUS: "the bus answered with an error",
}

READS = (Operation.READ_REGISTERS, Operation.READ_MEMORY)
WRITES = (Operation.WRITE_REGISTERS, Operation.WRITE_MEMORY)


def is_one_of(operation: Value, choices: Sequence[Operation]) -> Value:
    """Return whether an operation is among some."""
    return Value.cast(operation).matches(*(choice.value for choice in choices))


def crc_step(crc: Value, byte: Value) -> Value:
    """Return the CRC after another byte, a combinational function."""
    bits = [crc[place] for place in range(16)]
    for place in reversed(range(8)):
        feedback = bits[15] ^ byte[place]
        bits = [feedback, *bits[:15]]
        bits[5] = bits[5] ^ feedback
        bits[12] = bits[12] ^ feedback
    return Cat(*bits)
