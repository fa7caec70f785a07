"""Streams vectors past the tile that stays in the grid."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .compressed_operand import vector_layout
from .config import AcceleratorConfig
from .matmul_events import step_events_layout
from .operand_reader import OperandSignature
from .partial_sums import tag_layout
from .processing_element import OPERAND_BITS
from .stationary_loader import stationary_tile_layout


class StationaryStreamer(wiring.Component):
    """Gives a vector of A a cycle, all rows of A or the useful ones, tile after tile.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    tile : stream of `stationary_tile_layout`, in; taken with the first vector that passes it.
    coming, coming_last : see `StationaryLoader`
    a : the other side of `OperandSignature`, without its bursts
    vectors : stream of `vector_layout`, in; useful vectors of A.
    stream, swap, activations : to the grid; a vector, the first that passes a tile.
    begin, ready_given, ready_not, tag : the other side of those of `PartialSums`
    busy : in; there is work.
    idle : out; no vector passes.
    events : `step_events_layout`, out; one cycle late.

    Throughput: a vector a cycle, between tiles no pause.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        rows = config.array.rows
        super().__init__(
            {
                "tile": In(stream.Signature(stationary_tile_layout(config))),
                "coming": In(1),
                "coming_last": In(1),
                "a": In(OperandSignature(config, rows)),
                "vectors": In(stream.Signature(vector_layout(config))),
                "stream": Out(1),
                "swap": Out(1),
                "activations": Out(data.ArrayLayout(signed(OPERAND_BITS), rows)),
                "begin": Out(1),
                "ready_given": In(1),
                "ready_not": In(1),
                "tag": Out(tag_layout(config)),
                "busy": In(1),
                "idle": Out(1),
                "events": Out(step_events_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the tile that is passed, and the vector that passes it."""
        m = Module()
        config = self.config
        passed = Signal(stationary_tile_layout(config))
        tile = Signal(stationary_tile_layout(config))
        passing, may_pass, blocked = Signal(), Signal(), Signal()
        offered, last, passing_next = Signal(), Signal(), Signal()
        waits, passed_waits = Signal(), Signal()
        # That of a tile to come is that of the one that is passed: the gate sees to it.
        compressed = self.tile.payload.compressed_a
        row = Signal(16)
        in_use = Signal()
        vector = self.vectors.payload
        m.d.comb += [
            tile.eq(Mux(passing, passed, self.tile.payload)),
            # Useful rows come in any order: the sums of none are complete before the last.
            waits.eq(Mux(compressed, self.tile.payload.first, self.tile.payload.last)),
            # A chunk is in use only if the rows of A come in order.
            offered.eq(in_use | (compressed & self.vectors.valid)),
            self.stream.eq(may_pass & offered),
            self.a.step.eq(may_pass & in_use),
            self.swap.eq(self.stream & ~passing),
            self.begin.eq(~passing & tile.first),
            self.tile.ready.eq(self.swap),
            self.tag.first.eq(tile.first),
            self.tag.final.eq(tile.last),
            self.tag.last.eq(last & tile.last),
            self.tag.rows.eq(tile.m),
            self.idle.eq(~passing),
            passing_next.eq(Mux(self.stream, ~last, passing)),
        ]
        m.d.sync += passing.eq(passing_next)
        with m.If(self.stream):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        last_row, chunk_ends = self._follow_rows(m, row, tile.m, passing_next)
        with m.If(self.swap):
            m.d.sync += [passed.eq(self.tile.payload), passed_waits.eq(waits & ~compressed)]
        with m.If(compressed):
            m.d.comb += [
                self.vectors.ready.eq(may_pass),
                last.eq(vector.last),
                self.tag.row.eq(vector.place),
            ]
            m.d.comb += [
                self.activations[r].eq(vector.elements[r]) for r in range(config.array.rows)
            ]
        with m.Else():
            m.d.comb += [
                last.eq(last_row),
                self.tag.row.eq(row),
                self.activations.eq(self.a.elements),
            ]
        waits_now = Mux(passing, passed_waits, waits & ~compressed)
        self._decide(m, passing, last, waits_now, may_pass, blocked)
        self._take(m, chunk_ends, in_use)
        self._report(m, tile, last, blocked)
        return m

    def _follow_rows(self, m: Module, row: Signal, rows: Value, passing_next: Signal) -> tuple:
        """Return whether the next row of A is the last one, and whether its chunk ends with it."""
        chunk = self.config.chunk
        single = self.tile.payload.single
        last, chunk_ends = Signal(name="last_row"), Signal()
        following = row + 2 == rows
        with m.If(~passing_next):
            m.d.sync += [last.eq(single), chunk_ends.eq(single)]
        with m.Elif(self.stream):
            in_chunk = row[: (chunk - 1).bit_length()]
            m.d.sync += [last.eq(following), chunk_ends.eq(following | (in_chunk == chunk - 2))]
        return last, chunk_ends

    def _decide(self, m: Module, passing, last, waits: Value, may_pass, blocked) -> None:
        """Decide a cycle ahead whether a vector may pass: it moves operand, loader and sums.

        `waits`: the next vector of the tile that is passed, or begun now, needs room for its sums.
        """
        coming = self.tile.payload
        coming_waits = Mux(coming.compressed_a, coming.first, self.coming_last)
        # Whether a vector passes now is known last.
        with m.If(self.stream):
            active = ~last | (passing & self.coming)
            stays = Mux(last, coming_waits, waits) & ~self.ready_given
            m.d.sync += [may_pass.eq(active & ~stays), blocked.eq(active & stays)]
        with m.Else():
            active = passing | self.coming
            stays = Mux(passing, waits, coming_waits) & ~self.ready_not
            m.d.sync += [may_pass.eq(active & ~stays), blocked.eq(active & stays)]

    def _take(self, m: Module, chunk_ends: Signal, in_use: Signal) -> None:
        """Put the next chunk of A in use where one ends; every pass begins with a chunk."""
        ends = self.a.step & chunk_ends
        m.d.comb += self.a.take.eq((~in_use | ends) & self.a.available)
        with m.If(self.a.take):
            m.d.sync += in_use.eq(1)
        with m.Elif(ends):
            m.d.sync += in_use.eq(0)

    def _report(self, m: Module, tile, last: Signal, blocked: Signal) -> None:
        """Count vectors, and the rows for which none was needed."""
        events = self.events
        empty = self.tile.payload.compressed_a & self.vectors.payload.empty
        left = Signal(16)
        now_left = Mux(self.swap, tile.m, left) - ~empty
        with m.If(self.stream):
            m.d.sync += left.eq(now_left)
        m.d.sync += [
            events.active.eq(self.stream),
            events.rows.eq(Mux(empty, 0, tile.rows)),
            events.columns.eq(tile.columns),
            events.operand_stall.eq(self.busy & ~self.stream & ~blocked),
            events.drain_stall.eq(blocked),
            events.skipped.eq(
                Mux(self.stream & last & self.tile.payload.compressed_a, now_left, 0)
            ),
        ]
