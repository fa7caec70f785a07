"""The drain of the array: rows of accumulators are requantised and written to the scratchpad."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .drain_fetch import DrainFetch, scaled_tile_layout
from .drain_walk import SHORTS_IN_WORD
from .grid import CLOSING_ROWS
from .isa import Matmul
from .ports import WORD_BITS, ReadPortSignature, WritePortSignature
from .requantise import Requantise

QUEUE_LATENCY = 5
"""Cycles from a row that is requantised until its place in the queue of writes is free again."""


def write_rows(config: AcceleratorConfig) -> int:
    """Rows on their way from the grid to the scratchpad: a tile, and those that precede it."""
    return config.array.rows + Requantise.LATENCY + QUEUE_LATENCY


class Drain(wiring.Component):
    """Takes a row of a finished tile a cycle, once all that the tile needs is there.

    A tile starts when its scales and residual have come and its rows have room on their way to the
    scratchpad. From then on nothing can stop it, which is what lets the grid begin the next tile
    before the last rows have left.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `isa.Matmul`, in; in the order of the tiles of the grid.
    full, row, shift, release, closing : the other side of those of `Grid`
    read, write : ports of the scratchpad
    done : out; all that the oldest instruction writes is visible.

    Throughput: a row a cycle; between tiles no pause. Latency from `shift` to the request to write:
    `Requantise.LATENCY` + 2 cycles.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        super().__init__(
            {
                "instruction": In(stream.Signature(Matmul)),
                "full": In(1),
                "row": In(data.ArrayLayout(signed(array.accumulator_width), array.columns)),
                "shift": Out(1),
                "release": Out(1),
                "closing": Out(1),
                "read": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
                "done": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the fetch ahead, the lanes and the queue of writes."""
        m = Module()
        m.submodules.fetch = fetch = DrainFetch(self.config)
        m.submodules.requantise = requantise = Requantise(self.config)
        wiring.connect(m, wiring.flipped(self.instruction), fetch.instruction)
        wiring.connect(m, fetch.read, wiring.flipped(self.read))
        m.d.comb += fetch.done.eq(self.done)

        current = Signal(scaled_tile_layout(self.config))
        tile = current.tile
        room = Signal()
        self._sequence(m, fetch, current, room)
        self._write(m, requantise, tile, room)

        residual = Signal(fetch.residual.payload.shape())
        with m.If(tile.residual):
            m.d.comb += residual.eq(fetch.residual.payload)
        m.d.comb += [
            fetch.residual.ready.eq(self.shift & tile.residual),
            requantise.valid.eq(self.shift),
            requantise.accumulators.eq(self.row),
            requantise.row.eq(current.row_scales[0]),
            requantise.columns.eq(current.column_scales),
            requantise.fraction.eq(tile.fraction.as_signed()),
            requantise.residual.eq(residual),
        ]
        for column in range(self.config.array.columns):
            m.d.comb += requantise.enable[column].eq(tile.columns > column)
        return m

    def _sequence(self, m: Module, fetch: DrainFetch, current, room: Signal) -> None:
        """Take tiles and count their rows."""
        tile = current.tile
        loaded, started = Signal(), Signal()
        m.d.comb += [
            self.shift.eq(loaded & (started | (self.full & room))),
            self.release.eq(self.shift & (tile.rows == 1)),
            self.closing.eq(self.shift & (tile.rows <= CLOSING_ROWS)),
            fetch.tiles.ready.eq(~loaded | self.release),
        ]
        with m.If(self.shift):
            m.d.sync += [
                started.eq(~self.release),
                tile.rows.eq(tile.rows - 1),
                tile.address.eq(tile.address + tile.pitch),
                Value.cast(current.row_scales).eq(
                    Value.cast(current.row_scales) >> current.row_scales[0].shape().size
                ),
            ]
        with m.If(fetch.tiles.ready):
            m.d.sync += [loaded.eq(fetch.tiles.valid), current.eq(fetch.tiles.payload)]

    def _write(self, m: Module, requantise: Requantise, tile, room: Signal) -> None:
        """Queue rows and where they go; both queues are filled in the same order."""
        columns = self.config.array.columns
        depth = write_rows(self.config)
        words = columns // SHORTS_IN_WORD
        mask = Cat(tile.columns > SHORTS_IN_WORD * word for word in range(words))
        place = Cat(tile.address, mask, tile.last & self.release)
        results = Value.cast(requantise.results)
        m.submodules.places = places = SyncFIFOBuffered(width=len(place), depth=depth)
        m.submodules.rows = rows = SyncFIFOBuffered(width=len(results), depth=depth)

        request = self.write.request
        accepted = request.valid & request.ready
        last = Signal()
        m.d.comb += [
            places.w_data.eq(place),
            places.w_en.eq(self.shift),
            places.r_en.eq(accepted),
            rows.w_data.eq(results),
            rows.w_en.eq(requantise.result_valid),
            rows.r_en.eq(accepted),
            request.valid.eq(places.r_rdy & rows.r_rdy),
            Cat(request.payload.address, request.payload.mask[:words], last).eq(places.r_data),
            request.payload.pitch.eq(1),
            Value.cast(request.payload.data)[: words * WORD_BITS].eq(rows.r_data),
        ]
        m.d.sync += self.done.eq(accepted & last)

        # A full tile has room, were a row taken in this cycle.
        under_way = Signal(range(depth + 1))
        m.d.sync += [
            under_way.eq(under_way + self.shift - accepted),
            room.eq(under_way < depth - self.config.array.rows),
        ]
