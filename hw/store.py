"""The store unit: scratchpad to DRAM."""

from amaranth.hdl import Fragment, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .axi import NORMAL_MEMORY, AxiWriteSignature, Burst, Response
from .block_reader import BlockReader
from .burst_issuer import BurstIssuer
from .config import WORD_BYTES, AcceleratorConfig
from .isa import ErrorCode
from .ports import ReadPortSignature, UnitSignature, fault_layout
from .queue import Queue
from .transfer import TransferCheck
from .window import windows_layout


class Store(wiring.Component):
    """Executes STORE: copies rows of words from the scratchpad to a window of DRAM.

    One beat a cycle, over rows and as long as the bus and the scratchpad keep up, with up to
    `axi.outstanding` bursts in flight. An instruction is done when its last write response has
    arrived. `TransferCheck` has the rules for operands, `BurstSplitter` those for bursts.

    An error response stops the unit with `WRITE_SLAVE_ERROR` or `WRITE_DECODE_ERROR` and the
    address of the burst. A unit that has stopped or is halted issues no more bursts, completes
    those in flight with all strobes low and awaits their responses.

    Parameters
    ----------
    config : AcceleratorConfig
        The parameters of the accelerator.

    Members
    -------
    control : `UnitSignature`
    memory : `AxiWriteSignature`
    scratchpad : `ReadPortSignature`
    windows : in, array of `window_layout`
    events : out
        `bytes` that were put on the bus with their strobes high.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        events = data.StructLayout({"bytes": range(config.axi_bytes + 1)})
        super().__init__(
            {
                "control": Out(UnitSignature()),
                "memory": Out(AxiWriteSignature(config)),
                "scratchpad": Out(ReadPortSignature(config)),
                "windows": In(windows_layout(config)),
                "events": Out(events),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Fragment:
        """Return the pipeline: check, issue, read, send."""
        m = Module()
        config = self.config
        m.submodules.check = check = TransferCheck(config, "writable")
        m.submodules.issuer = issuer = BurstIssuer(config)
        m.submodules.reader = reader = BlockReader(config)
        wiring.connect(m, reader.read, wiring.flipped(self.scratchpad))

        bus_fault = Signal(fault_layout)
        stopping = self.control.halt | bus_fault.valid
        clear = Signal()
        m.d.comb += clear.eq(self.control.halt & issuer.quiet & reader.quiet)

        instruction = self.control.instruction
        m.d.comb += [
            check.instruction.payload.eq(instruction.payload),
            check.instruction.valid.eq(instruction.valid & ~stopping),
            instruction.ready.eq(check.instruction.ready & ~stopping),
            check.windows.eq(self.windows),
            check.settled.eq(issuer.idle & reader.idle & ~self.control.done),
            check.transfer.ready.eq(issuer.transfer.ready & reader.block.ready),
            issuer.transfer.payload.eq(check.transfer.payload),
            issuer.transfer.valid.eq(check.transfer.valid & reader.block.ready),
            issuer.hold.eq(stopping),
            reader.block.payload.eq(check.transfer.payload.block),
            reader.block.valid.eq(check.transfer.valid & issuer.transfer.ready),
            reader.hold.eq(stopping),
        ]

        m.d.comb += [
            self.memory.awaddr.eq(issuer.channel.payload.address),
            self.memory.awlen.eq(issuer.channel.payload.length),
            self.memory.awsize.eq((config.axi_bytes - 1).bit_length()),
            self.memory.awburst.eq(Burst.INCR),
            self.memory.awcache.eq(NORMAL_MEMORY),
            self.memory.awvalid.eq(issuer.channel.valid),
            issuer.channel.ready.eq(self.memory.awready),
        ]
        self._elaborate_data(m, issuer, reader.beat, stopping)

        # Responses come in the order of the bursts.
        failed = self.memory.bvalid & self.memory.bresp.as_value()[1] & ~stopping
        m.d.comb += [self.memory.bready.eq(1), issuer.retire.eq(self.memory.bvalid)]
        with m.If(failed):
            m.d.sync += [
                bus_fault.valid.eq(1),
                bus_fault.index.eq(issuer.oldest.index),
                bus_fault.address.eq(issuer.oldest.address),
                bus_fault.code.eq(ErrorCode.WRITE_SLAVE_ERROR),
            ]
            with m.If(self.memory.bresp == Response.DECERR):
                m.d.sync += bus_fault.code.eq(ErrorCode.WRITE_DECODE_ERROR)
        m.d.sync += self.control.done.eq(issuer.retire & issuer.oldest.last & ~failed & ~stopping)

        m.d.comb += [
            self.control.busy.eq(~check.idle | ~check.settled | bus_fault.valid),
            self.control.fault.eq(check.fault),
        ]
        with m.If(bus_fault.valid):
            m.d.comb += self.control.fault.eq(bus_fault)
        return ResetInserter(clear)(m)

    def _elaborate_data(self, m: Module, issuer: BurstIssuer, beat, stopping) -> None:
        """Send beats, framed by the bursts that were issued."""
        m.submodules.lengths = lengths = Queue(width=8, depth=self.config.axi.outstanding)
        sent = Signal(8)
        free = ~self.memory.wvalid | self.memory.wready
        send = Signal()
        ends_burst = sent == lengths.r_data
        strobe = Mux(stopping, 0, beat.payload.strobe)
        m.d.comb += [
            lengths.w_data.eq(issuer.issued_length),
            lengths.w_en.eq(issuer.issued),
            send.eq(free & lengths.r_rdy & (beat.valid | stopping)),
            lengths.r_en.eq(send & ends_burst),
            beat.ready.eq(send),
        ]
        with m.If(send):
            m.d.sync += [
                sent.eq(Mux(ends_burst, 0, sent + 1)),
                self.memory.wdata.eq(beat.payload.data),
                self.memory.wstrb.eq(strobe),
                self.memory.wlast.eq(ends_burst),
                self.memory.wvalid.eq(1),
            ]
        with m.Elif(self.memory.wready):
            m.d.sync += self.memory.wvalid.eq(0)
        m.d.sync += self.events.bytes.eq(0)
        with m.If(send):
            m.d.sync += self.events.bytes.eq(sum(strobe[::WORD_BYTES]) * WORD_BYTES)
