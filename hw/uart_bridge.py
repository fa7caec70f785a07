"""From packets on a serial line to the registers of the accelerator and to its memory."""

import binascii

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLiteSignature
from .config import ConfigError
from .registers import ADDRESS_BITS as REGISTER_BITS
from .uart_packet import (
    ADDRESS_BITS,
    ANSWER_SYNC,
    CRC_BYTES,
    CRC_INIT,
    HEADER_BYTES,
    PACKET_WORDS,
    READS,
    REQUEST_SYNC,
    STATUS_BITS,
    WORD_BYTES,
    WRITES,
    Operation,
    Status,
    crc_step,
    is_one_of,
)
from .uart_transfer import UartTransfer

_WORD_BITS = 8 * WORD_BYTES
_LAST = WORD_BYTES - 1
_ANSWER_HEADER_BYTES = 3
_TAG_PLACE = 1
_SYNC_CRC = binascii.crc_hqx(bytes([REQUEST_SYNC]), CRC_INIT)
"""The checksum after the first byte of a request, which is always the same."""


class UartBridge(wiring.Component):
    """Carries out the requests of `hw.uart_packet`, one after the other, and answers each.

    A request is carried out only when all of it has come and its checksum is right. A broken one
    is answered too: the bridge passes over everything until nothing has come for
    `silence_cycles`, and then says what was wrong. So it is ready for the next request at the
    latest that long after the last byte, whatever came. Bytes that come before an answer was
    sent are lost.

    Parameters
    ----------
    silence_cycles : int
        Longest pause inside a request, 16 to 2^24: more than the sender ever pauses.

    Members
    -------
    received : stream of bytes, in; not held back
    framing_error : in, for a cycle
        A byte was received wrongly.
    answer : stream of bytes, out
    registers : AXI4-Lite master of 32 bits for the registers
    memory : AXI4-Lite master of 32 bits for the memory
    interrupt : in
        Shown in every answer.

    A word takes one AXI transaction at a time: much less than its bytes take on the line.
    """

    def __init__(self, silence_cycles: int) -> None:
        if isinstance(silence_cycles, bool) or not isinstance(silence_cycles, int):
            raise ConfigError(f"silence_cycles must be an integer, not {silence_cycles!r}")
        if not 16 <= silence_cycles <= 1 << 24:
            raise ConfigError(f"silence_cycles must be from 16 to 2^24, not {silence_cycles}")
        self._silence_cycles = silence_cycles
        super().__init__(
            {
                "received": In(stream.Signature(8, always_ready=True)),
                "framing_error": In(1),
                "answer": Out(stream.Signature(8)),
                "registers": Out(AxiLiteSignature(REGISTER_BITS)),
                "memory": Out(AxiLiteSignature(ADDRESS_BITS)),
                "interrupt": In(1),
            }
        )

    @property
    def silence_cycles(self) -> int:
        """Longest pause inside a request."""
        return self._silence_cycles

    def elaborate(self, platform: object) -> Module:
        """Return the machine that takes a request apart and puts an answer together."""
        m = Module()
        self._transfer = transfer = UartTransfer()
        m.submodules.transfer = transfer
        wiring.connect(m, transfer.registers, wiring.flipped(self.registers))
        wiring.connect(m, transfer.memory, wiring.flipped(self.memory))

        header = Signal(8 * HEADER_BYTES)
        self._header = header
        self._operation = header[:8]
        self._tag = Signal(8)
        self._status = Signal(Status)
        self._crc = Signal(16)
        self._byte = Signal(range(max(HEADER_BYTES, WORD_BYTES)))
        self._word = Signal(_WORD_BITS)
        self._buffer_word = Signal(range(PACKET_WORDS))
        m.d.comb += [
            transfer.operation.eq(self._operation),
            transfer.words_less_one.eq(header[16:24]),
            transfer.address.eq(header[24:]),
        ]
        self._silent = self._watch_silence(m)
        with m.FSM():
            self._receive(m)
            self._send(m)
        return m

    def _watch_silence(self, m: Module) -> Signal:
        """Return a flag that nothing has come for `silence_cycles`."""
        silence = Signal(range(self._silence_cycles + 1))
        silent = Signal()
        m.d.sync += silent.eq(0)
        with m.If(self.received.valid | self.framing_error):
            m.d.sync += silence.eq(0)
        with m.Elif(silence == self._silence_cycles):
            m.d.sync += silent.eq(1)
        with m.Else():
            m.d.sync += silence.eq(silence + 1)
        return silent

    def _give_up(self, m: Module) -> None:
        """Leave a request that was cut off or has a broken byte."""
        with m.If(self.framing_error):
            m.d.sync += self._status.eq(Status.BROKEN)
            m.next = "DISCARD"
        with m.Elif(self._silent & ~self.received.valid):
            m.d.sync += self._status.eq(Status.BROKEN)
            m.next = "ANSWER"

    def _take(self, m: Module) -> None:
        """Take a byte in the checksum and count it."""
        m.d.sync += [
            self._crc.eq(crc_step(self._crc, self.received.payload)),
            self._byte.eq(self._byte + 1),
        ]

    def _receive(self, m: Module) -> None:
        received, transfer = self.received, self._transfer
        with m.State("IDLE"):
            m.d.sync += [self._byte.eq(0), self._tag.eq(0)]
            with m.If(received.valid & (received.payload == REQUEST_SYNC)):
                m.d.sync += self._crc.eq(_SYNC_CRC)
                m.next = "HEADER"
        with m.State("HEADER"):
            self._give_up(m)
            with m.If(received.valid):
                self._take(m)
                m.d.sync += self._header.eq(Cat(self._header[8:], received.payload))
                # Kept by itself, so that the answer to a request that is cut off has it too.
                with m.If(self._byte == _TAG_PLACE):
                    m.d.sync += self._tag.eq(received.payload)
                with m.If(self._byte == HEADER_BYTES - 1):
                    m.d.sync += self._byte.eq(0)
                    m.next = "SORT"
        with m.State("SORT"):
            m.d.sync += [self._buffer_word.eq(0), self._status.eq(Status.OPERATION)]
            m.next = "DISCARD"
            with m.If(is_one_of(self._operation, WRITES)):
                m.next = "DATA"
            with m.Elif(is_one_of(self._operation, (Operation.POLL, *READS))):
                m.next = "CHECKSUM"
        with m.State("DATA"):
            self._give_up(m)
            with m.If(received.valid):
                self._take(m)
                m.d.sync += self._word.eq(Cat(self._word[8:], received.payload))
                with m.If(self._byte == _LAST):
                    m.d.sync += self._byte.eq(0)
                    m.next = "STORE"
        with m.State("STORE"):
            m.d.comb += transfer.store.eq(1)
            m.d.sync += self._buffer_word.eq(self._buffer_word + 1)
            m.next = "DATA"
            with m.If(self._buffer_word == transfer.words_less_one):
                m.next = "CHECKSUM"
        with m.State("CHECKSUM"):
            self._give_up(m)
            with m.If(received.valid):
                self._take(m)
                with m.If(self._byte == CRC_BYTES - 1):
                    m.next = "CHECK"
        with m.State("CHECK"):
            # Data followed by its own CRC has a CRC of zero.
            m.d.sync += self._status.eq(Status.CHECKSUM)
            m.next = "DISCARD"
            with m.If(self._crc == 0):
                m.d.comb += transfer.start.eq(1)
                m.next = "EXECUTE"
        with m.State("EXECUTE"), m.If(transfer.done):
            m.d.sync += self._status.eq(transfer.status)
            m.next = "ANSWER"
        with m.State("DISCARD"), m.If(self._silent & ~received.valid & ~self.framing_error):
            m.next = "ANSWER"
        m.d.comb += [
            transfer.buffer_word.eq(self._buffer_word),
            transfer.store_data.eq(self._word),
        ]

    def _send(self, m: Module) -> None:
        answer, transfer = self.answer, self._transfer
        status = Cat(self._status, Const(0, 7 - STATUS_BITS), self.interrupt)
        has_data = (self._status == Status.OK) & is_one_of(self._operation, READS)
        with m.State("ANSWER"):
            m.d.sync += [
                self._crc.eq(CRC_INIT),
                self._byte.eq(0),
                self._buffer_word.eq(0),
                self._word.eq(Cat(Const(ANSWER_SYNC, 8), status, self._tag)),
            ]
            m.next = "SEND_HEADER"
        with m.State("SEND_HEADER"):
            self._offer(m, self._word[:8])
            with m.If(answer.ready):
                m.d.sync += self._word.eq(self._word >> 8)
                with m.If(self._byte == _ANSWER_HEADER_BYTES - 1):
                    m.d.sync += self._byte.eq(0)
                    m.next = "SEND_CHECKSUM"
                    with m.If(has_data):
                        m.next = "FETCH"
        with m.State("FETCH"):
            m.next = "FETCHED"
        with m.State("FETCHED"):
            m.d.sync += [self._word.eq(transfer.fetch_data), self._byte.eq(0)]
            m.next = "SEND_DATA"
        with m.State("SEND_DATA"):
            self._offer(m, self._word[:8])
            with m.If(answer.ready):
                m.d.sync += self._word.eq(self._word >> 8)
                with m.If(self._byte == _LAST):
                    m.d.sync += [self._byte.eq(0), self._buffer_word.eq(self._buffer_word + 1)]
                    m.next = "FETCH"
                    with m.If(self._buffer_word == transfer.words_less_one):
                        m.next = "SEND_CHECKSUM"
        with m.State("SEND_CHECKSUM"):
            m.d.comb += [answer.valid.eq(1), answer.payload.eq(self._crc[8:])]
            with m.If(answer.ready):
                m.d.sync += [self._crc.eq(self._crc << 8), self._byte.eq(self._byte + 1)]
                with m.If(self._byte == CRC_BYTES - 1):
                    m.next = "IDLE"

    def _offer(self, m: Module, byte: Value) -> None:
        """Send a byte of an answer, and take it in the checksum."""
        m.d.comb += [self.answer.valid.eq(1), self.answer.payload.eq(byte)]
        with m.If(self.answer.ready):
            m.d.sync += [self._crc.eq(crc_step(self._crc, byte)), self._byte.eq(self._byte + 1)]
