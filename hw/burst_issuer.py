"""Puts the bursts of transfers on an AXI address channel and remembers those in flight."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .burst import BurstSplitter, burst_layout
from .config import AcceleratorConfig
from .queue import Queue
from .transfer import transfer_layout


class BurstIssuer(wiring.Component):
    """Issues bursts as long as fewer than `axi.outstanding` are in flight.

    One burst a cycle. Answers are expected in the order of issue (one AXI identifier).

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the AXI port and the limit.

    Members
    -------
    transfer : in, stream of `transfer_layout`
    hold : in
        Issue nothing more. A burst whose `channel.valid` is already high remains.
    channel : out, stream of `burst_layout`
        To the address channel; registered.
    issued : out
        One cycle for each burst that enters `channel`; `issued_length` is its AxLEN.
    oldest : out, `burst_layout`
        The oldest burst in flight.
    retire : in
        The oldest burst is finished.
    quiet : out
        No burst is in flight or waits in `channel`.
    idle : out
        Quiet, and nothing is left to issue.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        layout = burst_layout(config)
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "hold": In(1),
                "channel": Out(stream.Signature(layout)),
                "issued": Out(1),
                "issued_length": Out(8),
                "oldest": Out(layout),
                "retire": In(1),
                "quiet": Out(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the splitter, the channel register and the queue of bursts in flight."""
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self.config)
        layout = burst_layout(self.config)
        depth = self.config.axi.outstanding
        m.submodules.in_flight = in_flight = Queue(width=layout.size, depth=depth)
        wiring.connect(m, wiring.flipped(self.transfer), splitter.transfer)

        free = ~self.channel.valid | self.channel.ready
        m.d.comb += [
            self.issued.eq(splitter.burst.valid & in_flight.w_rdy & free & ~self.hold),
            self.issued_length.eq(splitter.burst.payload.length),
            splitter.burst.ready.eq(self.issued),
            in_flight.w_en.eq(self.issued),
            in_flight.w_data.eq(splitter.burst.payload),
            in_flight.r_en.eq(self.retire),
            self.oldest.eq(in_flight.r_data),
            self.quiet.eq(~self.channel.valid & ~in_flight.r_rdy),
            self.idle.eq(self.quiet & splitter.idle),
        ]
        with m.If(self.issued):
            m.d.sync += [
                self.channel.valid.eq(1),
                self.channel.payload.eq(splitter.burst.payload),
            ]
        with m.Elif(self.channel.ready):
            m.d.sync += self.channel.valid.eq(0)
        return m
