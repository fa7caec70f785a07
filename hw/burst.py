"""Splits the rows of a transfer in AXI bursts."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import INDEX_BITS
from .transfer import transfer_layout


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One burst: AxADDR, AxLEN, whether it ends its transfer, and of which instruction it is."""
    return data.StructLayout(
        {"address": config.axi.address_width, "length": 8, "last": 1, "index": INDEX_BITS}
    )


class BurstSplitter(wiring.Component):
    """Walks the rows of a transfer and cuts each where its bursts end.

    A burst ends with its row or at an address that is a multiple of the longest burst
    (`axi.burst_beats` beats, at most 2 KiB), and so never crosses 4 KiB. Bursts of full beats;
    the last beat of a row may hold words beyond it.

    One burst a cycle, the first two cycles after the transfer; one idle cycle between transfers.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the beat and the longest burst.

    Members
    -------
    transfer : in, stream of `transfer_layout`
    burst : out, stream of `burst_layout`
    idle : out
        Nothing is held.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "burst": Out(stream.Signature(burst_layout(config))),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the walk over rows and bursts."""
        m = Module()
        beat_bits = (self.config.axi_bytes - 1).bit_length()
        longest = self.config.axi.burst_beats
        taken = self.transfer.payload
        active = Signal()
        current = Signal(transfer_layout(self.config))
        address, next_row = Signal.like(taken.dram_address), Signal.like(taken.dram_address)
        beats_left = Signal(16)
        row_beats = Signal(16)
        # Beats up to the next multiple of the longest burst, whether the row ends before that, and
        # whether it is the last one: registers, set together with address and count.
        room = Signal(range(longest + 1))
        ends_row, last_row = Signal(), Signal()

        m.d.comb += [
            self.transfer.ready.eq(~active),
            self.idle.eq(~active & ~self.burst.valid),
        ]
        beat_words = self.config.axi_bytes // WORD_BYTES
        beats = (taken.block.row_words + (beat_words - 1)) >> (beat_words - 1).bit_length()
        unit = beat_bits + (longest - 1).bit_length()
        rest = Signal.like(beats_left)
        m.d.comb += rest.eq(beats_left - room)
        with m.If(~self.burst.valid | self.burst.ready):
            m.d.sync += [
                self.burst.valid.eq(active),
                self.burst.payload.address.eq(address),
                self.burst.payload.length.eq(Mux(ends_row, beats_left, room) - 1),
                self.burst.payload.last.eq(ends_row & last_row),
                self.burst.payload.index.eq(current.index),
            ]
            # What is counted means nothing while there is no transfer.
            with m.If(ends_row):
                m.d.sync += [
                    address.eq(next_row),
                    next_row.eq(next_row + current.dram_stride),
                    beats_left.eq(row_beats),
                    room.eq(self._room(next_row)),
                    ends_row.eq(row_beats <= self._room(next_row)),
                    current.block.rows.eq(current.block.rows - 1),
                    last_row.eq(current.block.rows == 2),
                    active.eq(active & ~last_row),
                ]
            with m.Else():
                m.d.sync += [
                    address.eq(((address >> unit) + 1) << unit),
                    beats_left.eq(rest),
                    room.eq(longest),
                    ends_row.eq(rest <= longest),
                ]
        with m.If(self.transfer.valid & self.transfer.ready):
            m.d.sync += [
                active.eq(1),
                current.eq(taken),
                address.eq(taken.dram_address),
                next_row.eq(taken.dram_address + taken.dram_stride),
                beats_left.eq(beats),
                row_beats.eq(beats),
                room.eq(self._room(taken.dram_address)),
                ends_row.eq(beats <= self._room(taken.dram_address)),
                last_row.eq(taken.block.rows == 1),
            ]
        return m

    def _room(self, address: Value) -> Value:
        """Return the beats from `address` to the next multiple of the longest burst."""
        longest, beat_bits = self.config.axi.burst_beats, (self.config.axi_bytes - 1).bit_length()
        return longest - address[beat_bits:][: (longest - 1).bit_length()]
