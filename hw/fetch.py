"""Fetches a program: checks its header and hands on its instructions."""

from amaranth.hdl import Module, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiReadSignature, Response
from .config import INSTRUCTION_BYTES, AcceleratorConfig
from .isa import MAGIC, VERSION, DramAddress, ErrorCode, ProgramHeader
from .ports import INDEX_BITS, fault_layout, issue_layout
from .window import WindowCheck, windows_layout
from .word_reader import WordReader

ALIGNMENT_BITS = (INSTRUCTION_BYTES - 1).bit_length()
"""Low bits of the physical address of a program, which are zero."""


def header_offset(field: str) -> int:
    """Return the byte offset of a field of the program header."""
    return ProgramHeader.as_shape()[field].offset // 8


class Fetch(wiring.Component):
    """Reads the words of a program over AXI4 and hands them on in order.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the AXI bus and the parameter hash that a program must carry.

    Members
    -------
    axi : the read channels of an AXI4 master
    windows : the windows that the host has opened
    start : strobe; begins with the program at `address` (of its header), which has `length`
        instructions. Both must stay as they are until the unit is idle.
    instruction : stream of `hw.ports.issue_layout`
    exhausted : all instructions of the program have been handed on.
    busy, halt, fault : as in `hw.ports.UnitSignature`

    Faults
    ------
    WINDOW, ILLEGAL_OPERAND : the window does not hold the whole program or is not readable, or the
        physical address is no multiple of `INSTRUCTION_BYTES`; address = the offset.
    PROGRAM_HEADER : a field of the header is wrong; address = its byte offset in the header.
    READ_SLAVE_ERROR, READ_DECODE_ERROR : index = the instruction that was fetched, address = the
        physical address of its word.

    Latency: from `start` to the first AXI address 5 cycles. Throughput: that of
    `hw.word_reader.WordReader`.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(AxiReadSignature(config)),
                "windows": In(windows_layout(config)),
                "start": In(1),
                "address": In(DramAddress),
                "length": In(INDEX_BITS),
                "instruction": Out(stream.Signature(issue_layout)),
                "exhausted": Out(1),
                "busy": Out(1),
                "halt": In(1),
                "fault": Out(fault_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the fetch unit."""
        m = Module()
        m.submodules.check = check = WindowCheck(self.config, "readable")
        m.submodules.reader = reader = WordReader(self.config)
        wiring.connect(m, wiring.flipped(self.axi), reader.axi)
        first = Signal(self.config.axi.address_width)
        index = Signal(INDEX_BITS)
        received = reader.words.payload
        m.d.comb += [
            check.windows.eq(self.windows),
            check.window.eq(self.address.window),
            reader.address.eq(first),
            reader.count.eq(self.length + 1),
            self.instruction.payload.word.eq(received.word),
            self.instruction.payload.index.eq(index),
        ]
        m.d.sync += [
            check.last.eq(self.address.offset + ((self.length + 1) << ALIGNMENT_BITS) - 1),
            first.eq(check.base + self.address.offset),
        ]

        failed = received.response[1]
        with m.FSM() as states:
            with m.State("IDLE"), m.If(self.start):
                m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.next = "ADD"
            with m.State("ADD"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += index.eq(0)
                m.next = "HEADER"
                with m.If(self.length == 0):
                    self._fail(m, ErrorCode.PROGRAM_HEADER, header_offset("instructions"))
                with m.Elif(~check.allowed):
                    self._fail(m, ErrorCode.WINDOW, self.address.offset)
                with m.Elif(first[:ALIGNMENT_BITS].any()):
                    self._fail(m, ErrorCode.ILLEGAL_OPERAND, self.address.offset)
                with m.Else():
                    m.d.comb += reader.start.eq(1)
            with m.State("HEADER"):
                m.d.comb += reader.words.ready.eq(1)
                with m.If(reader.words.valid):
                    m.next = "RUN"
                    self._check_header(m, received.word)
                    with m.If(failed):
                        self._fail_read(m, received.response, first, 0)
                with m.If(self.halt):
                    m.next = "DRAIN"
            with m.State("RUN"):
                m.d.comb += [
                    self.instruction.valid.eq(reader.words.valid & ~failed & ~self.fault.valid),
                    reader.words.ready.eq(self.instruction.valid & self.instruction.ready),
                    self.exhausted.eq((index == self.length) & ~self.fault.valid),
                ]
                with m.If(reader.words.ready):
                    m.d.sync += index.eq(index + 1)
                with m.If(reader.words.valid & failed & ~self.fault.valid):
                    place = first + ((index + 1) << ALIGNMENT_BITS)
                    self._fail_read(m, received.response, place, index)
                with m.If(self.halt):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += self.fault.valid.eq(0)
                with m.If(~reader.busy):
                    m.next = "IDLE"
            m.d.comb += [
                self.busy.eq(~states.ongoing("IDLE")),
                reader.halt.eq(self.halt | states.ongoing("DRAIN")),
            ]
        return m

    def _check_header(self, m: Module, word: Value) -> None:
        """Compare the header with this accelerator; the first field that differs counts."""
        header = data.View(ProgramHeader, word[: ProgramHeader.as_shape().size])
        expected = {
            "magic": MAGIC,
            "version": VERSION,
            "parameter_hash": self.config.hash,
            "instructions": self.length,
        }
        for field, value in reversed(expected.items()):
            with m.If(header[field] != value):
                self._fail(m, ErrorCode.PROGRAM_HEADER, header_offset(field))

    def _fail_read(self, m: Module, response: Value, address: Value, index: ValueLike) -> None:
        """Report the answer of the slave."""
        with m.If(response == Response.DECERR):
            self._fail(m, ErrorCode.READ_DECODE_ERROR, address, index)
        with m.Else():
            self._fail(m, ErrorCode.READ_SLAVE_ERROR, address, index)

    def _fail(self, m: Module, code: ErrorCode, address: ValueLike, index: ValueLike = 0) -> None:
        m.d.sync += [
            self.fault.valid.eq(1),
            self.fault.code.eq(code),
            self.fault.index.eq(index),
            self.fault.address.eq(address),
        ]
