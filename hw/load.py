"""The load unit: DRAM to scratchpad."""

from amaranth.hdl import Fragment, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .axi import NORMAL_MEMORY, AxiReadSignature, Burst, Response
from .block_writer import BlockWriter
from .burst_issuer import BurstIssuer
from .config import WORD_BYTES, AcceleratorConfig
from .isa import ErrorCode
from .ports import UnitSignature, WritePortSignature, fault_layout
from .queue import Queue
from .stream_buffer import StreamBuffer
from .transfer import TransferCheck, block_layout
from .window import windows_layout

QUEUED_TRANSFERS = 4
"""Transfers whose bursts may be issued while an earlier one still arrives."""


class Load(wiring.Component):
    """Executes LOAD: copies rows of words from a window of DRAM to rows of the scratchpad.

    One beat a cycle, over rows and as long as the bus and the scratchpad keep up, with up to
    `axi.outstanding` bursts in flight. From the instruction to ARVALID are 7 cycles, from the
    last beat to `done` are 3 when the scratchpad accepts at once. `TransferCheck` has the rules
    for operands, `BurstSplitter` those for bursts.

    An error response stops the unit with `READ_SLAVE_ERROR` or `READ_DECODE_ERROR` and the
    address of the burst. A unit that has stopped or is halted issues no more bursts and discards
    what arrives for those in flight.

    Parameters
    ----------
    config : AcceleratorConfig
        The parameters of the accelerator.

    Members
    -------
    control : `UnitSignature`
    memory : `AxiReadSignature`
    scratchpad : `WritePortSignature`
    windows : in, array of `window_layout`
    events : out
        `bytes` that arrived in this cycle and belong to a row.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        events = data.StructLayout({"bytes": range(config.axi_bytes + 1)})
        super().__init__(
            {
                "control": Out(UnitSignature()),
                "memory": Out(AxiReadSignature(config)),
                "scratchpad": Out(WritePortSignature(config)),
                "windows": In(windows_layout(config)),
                "events": Out(events),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Fragment:
        """Return the pipeline: check, issue, buffer, write."""
        m = Module()
        config = self.config
        m.submodules.check = check = TransferCheck(config, "readable")
        m.submodules.issuer = issuer = BurstIssuer(config)
        m.submodules.blocks = blocks = Queue(
            width=block_layout(config).size, depth=QUEUED_TRANSFERS
        )
        m.submodules.writer = writer = BlockWriter(config)
        beat_layout = data.StructLayout(
            {"data": config.axi.data_width, "response": Response, "last": 1}
        )
        m.submodules.buffer = buffer = StreamBuffer(beat_layout)

        bus_fault = Signal(fault_layout)
        stopping = self.control.halt | bus_fault.valid
        clear = Signal()
        m.d.comb += clear.eq(self.control.halt & issuer.quiet)

        # The instruction, and its two halves: bursts and rows.
        instruction = self.control.instruction
        wiring.connect(m, writer.write, wiring.flipped(self.scratchpad))
        m.d.comb += [
            check.instruction.payload.eq(instruction.payload),
            check.instruction.valid.eq(instruction.valid & ~stopping),
            instruction.ready.eq(check.instruction.ready & ~stopping),
            check.windows.eq(self.windows),
            check.settled.eq(issuer.idle & ~blocks.r_rdy & writer.idle),
            check.transfer.ready.eq(issuer.transfer.ready & blocks.w_rdy),
            issuer.transfer.payload.eq(check.transfer.payload),
            issuer.transfer.valid.eq(check.transfer.valid & blocks.w_rdy),
            issuer.hold.eq(stopping),
            blocks.w_data.eq(check.transfer.payload.block),
            blocks.w_en.eq(check.transfer.valid & issuer.transfer.ready),
            writer.block.payload.eq(blocks.r_data),
            writer.block.valid.eq(blocks.r_rdy),
            blocks.r_en.eq(writer.block.ready),
        ]

        m.d.comb += [
            self.memory.araddr.eq(issuer.channel.payload.address),
            self.memory.arlen.eq(issuer.channel.payload.length),
            self.memory.arsize.eq((config.axi_bytes - 1).bit_length()),
            self.memory.arburst.eq(Burst.INCR),
            self.memory.arcache.eq(NORMAL_MEMORY),
            self.memory.arvalid.eq(issuer.channel.valid),
            issuer.channel.ready.eq(self.memory.arready),
            buffer.input.payload.data.eq(self.memory.rdata),
            buffer.input.payload.response.eq(self.memory.rresp),
            buffer.input.payload.last.eq(self.memory.rlast),
            buffer.input.valid.eq(self.memory.rvalid),
            self.memory.rready.eq(buffer.input.ready),
        ]

        # A beat goes to the writer, or is discarded. A failed one waits for the lines before it,
        # so that earlier instructions are done before the unit stops.
        beat = buffer.output
        failed = beat.payload.response.as_value()[1]
        discard = stopping | (failed & ~writer.pending)
        m.d.comb += [
            writer.beat.payload.eq(beat.payload.data),
            writer.beat.valid.eq(beat.valid & ~failed & ~stopping),
            beat.ready.eq(Mux(failed | stopping, discard, writer.beat.ready)),
            issuer.retire.eq(beat.valid & beat.ready & beat.payload.last),
        ]
        with m.If(beat.valid & failed & discard & ~stopping):
            m.d.sync += [
                bus_fault.valid.eq(1),
                bus_fault.index.eq(issuer.oldest.index),
                bus_fault.address.eq(issuer.oldest.address),
                bus_fault.code.eq(ErrorCode.READ_SLAVE_ERROR),
            ]
            with m.If(beat.payload.response == Response.DECERR):
                m.d.sync += bus_fault.code.eq(ErrorCode.READ_DECODE_ERROR)

        m.d.comb += [
            self.control.done.eq(writer.done & ~bus_fault.valid),
            self.control.busy.eq(~check.idle | ~check.settled | bus_fault.valid),
            self.control.fault.eq(check.fault),
        ]
        with m.If(bus_fault.valid):
            m.d.comb += self.control.fault.eq(bus_fault)
        m.d.sync += self.events.bytes.eq(writer.words * WORD_BYTES)
        return ResetInserter(clear)(m)
