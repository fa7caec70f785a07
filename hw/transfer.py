"""Two-dimensional transfers between DRAM and the scratchpad: their layout and their checks."""

from typing import Literal

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .isa import ErrorCode, Load, Store
from .ports import INDEX_BITS, address_width, fault_layout, issue_layout
from .window import DRAM_BITS, LAST_BITS, WindowCheck, require_permission, windows_layout


def block_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The scratchpad side of a transfer: `rows` rows of `row_words`, `pitch` words apart."""
    return data.StructLayout(
        {"rows": 16, "row_words": 16, "address": address_width(config), "pitch": 16}
    )


def transfer_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A transfer that was found legal: physical byte address, stride, block and instruction."""
    return data.StructLayout(
        {
            "dram_address": config.axi.address_width,
            "dram_stride": 32,
            "block": block_layout(config),
            "index": INDEX_BITS,
        }
    )


class TransferCheck(wiring.Component):
    """Turns a LOAD or STORE instruction into a transfer, or refuses it.

    Rules, in the order in which they are checked:

    - rows and row words above zero; offset, stride and the window's base multiples of an AXI
      beat: else `ILLEGAL_OPERAND` with the offset;
    - the last word in the scratchpad: else `SCRATCHPAD_RANGE` with the address of that word;
    - the window exists, has the permission and holds the last byte of the last row: else
      `WINDOW` with the offset of that byte.

    Latency four cycles; one instruction every five cycles, while earlier transfers go on.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the beat, the scratchpad and the windows.
    permission : "readable" or "writable"
        What the window must be: readable for LOAD, writable for STORE.

    Members
    -------
    instruction : in, stream of `issue_layout`
    windows : in, array of `window_layout`
    transfer : out, stream of `transfer_layout`
    settled : in
        All earlier transfers are finished. A fault waits for it, so that faults are precise.
    fault : out, `fault_layout`
        Stays valid until reset.
    idle : out
        No instruction is held.

    Raises
    ------
    ConfigError
        If the permission is another word.
    """

    def __init__(
        self, config: AcceleratorConfig, permission: Literal["readable", "writable"]
    ) -> None:
        require_permission(permission)
        self._config = config
        self._permission = permission
        super().__init__(
            {
                "instruction": In(stream.Signature(issue_layout)),
                "windows": In(windows_layout(config)),
                "transfer": Out(stream.Signature(transfer_layout(config))),
                "settled": In(1),
                "fault": Out(fault_layout),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def permission(self) -> Literal["readable", "writable"]:
        """What the window must be."""
        return self._permission

    def elaborate(self, platform: object) -> Module:
        """Return the sequence of the checks."""
        m = Module()
        m.submodules.window = window = WindowCheck(self.config, self.permission)
        layout = Load if self.permission == "readable" else Store
        word = Signal(layout)
        last_row = Signal(16)
        dram_span = Signal(48)
        block_span = Signal(32)
        row_end_byte = Signal(DRAM_BITS + 1)
        row_end_word = Signal(33)
        last_byte = Signal(LAST_BITS)
        last_word = Signal(34)
        illegal, outside, forbidden = Signal(), Signal(), Signal()

        m.d.comb += [
            window.windows.eq(self.windows),
            window.window.eq(word.dram_address.window),
            window.last.eq(last_byte),
            self.transfer.payload.dram_stride.eq(word.dram_stride),
            self.transfer.payload.block.rows.eq(word.rows),
            self.transfer.payload.block.row_words.eq(word.row_words),
            self.transfer.payload.block.address.eq(word.address),
            self.transfer.payload.block.pitch.eq(word.pitch),
            self.fault.index.eq(self.transfer.payload.index),
        ]

        beat_bits = (self.config.axi_bytes - 1).bit_length()
        places = word.dram_address.offset | word.dram_stride | window.base
        misaligned = places[:beat_bits].any()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.instruction.ready.eq(1)]
                taken = layout(self.instruction.payload.word[: layout.as_shape().size])
                m.d.sync += [
                    word.eq(taken),
                    last_row.eq(taken.rows - 1),
                    self.transfer.payload.index.eq(self.instruction.payload.index),
                ]
                with m.If(self.instruction.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    dram_span.eq(last_row * word.dram_stride),
                    block_span.eq(last_row * word.pitch),
                    row_end_byte.eq(word.dram_address.offset + word.row_words * WORD_BYTES),
                    row_end_word.eq(word.address + word.row_words),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    last_byte.eq(row_end_byte + dram_span - 1),
                    last_word.eq(row_end_word + block_span - 1),
                    self.transfer.payload.dram_address.eq(word.dram_address.offset + window.base),
                ]
                m.next = "JUDGE"
            with m.State("JUDGE"):
                # What is wrong is found out now and acted on in the next state.
                m.d.sync += [
                    illegal.eq((word.rows == 0) | (word.row_words == 0) | misaligned),
                    outside.eq(last_word >= self.config.scratchpad_words),
                    forbidden.eq(~window.allowed),
                ]
                m.next = "OFFER"
            with m.State("OFFER"):
                refused = illegal | outside | forbidden
                m.d.comb += [
                    self.transfer.valid.eq(~refused),
                    self.fault.valid.eq(refused & self.settled),
                ]
                with m.If(self.transfer.ready & ~refused):
                    m.next = "IDLE"
        m.d.comb += [
            self.fault.code.eq(ErrorCode.WINDOW),
            self.fault.address.eq(last_byte),
        ]
        with m.If(illegal):
            m.d.comb += [
                self.fault.code.eq(ErrorCode.ILLEGAL_OPERAND),
                self.fault.address.eq(word.dram_address.offset),
            ]
        with m.Elif(outside):
            m.d.comb += [
                self.fault.code.eq(ErrorCode.SCRATCHPAD_RANGE),
                self.fault.address.eq(last_word),
            ]
        return m
