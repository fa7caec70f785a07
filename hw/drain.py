"""The drain of the array: rows of accumulators are requantised and written to the scratchpad."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .drain_fetch import DrainFetch, scaled_tile_layout
from .drain_walk import SHORTS_IN_WORD
from .grid import CLOSING_ROWS
from .isa import Matmul
from .ports import ReadPortSignature, WritePortSignature
from .requantise import Requantise
from .result_writer import ResultWriter


class Drain(wiring.Component):
    """Takes the rows of a finished tile, once all that the tile needs is there.

    A tile starts when its scales and residual have come and its rows have room on their way to the
    scratchpad. From then on nothing can stop it, which is what lets the grid begin the next tile
    before the last rows have left.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `isa.Matmul`, in; in the order of the tiles of the grid.
    full_next, row, shift, release, closing : the other side of those of `Grid`
    read, write : ports of the scratchpad
    done : out; all that the oldest instruction writes is visible.

    Throughput: a row in `ArrayConfig.drain_turns` cycles; between tiles no pause.
    Latency from `shift` to the request to write: `Requantise.LATENCY` + 2 cycles.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        super().__init__(
            {
                "instruction": In(stream.Signature(Matmul)),
                "full_next": In(1),
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
        m.submodules.writer = writer = ResultWriter(self.config)
        wiring.connect(m, wiring.flipped(self.instruction), fetch.instruction)
        wiring.connect(m, fetch.read, wiring.flipped(self.read))
        m.d.comb += [self.done.eq(writer.done), fetch.done.eq(writer.done)]

        current = Signal(scaled_tile_layout(self.config))
        tile = current.tile
        self._sequence(m, fetch, current, requantise, writer)
        wiring.connect(m, writer.write, wiring.flipped(self.write))

        residual = Signal(fetch.residual.payload.shape())
        with m.If(tile.residual):
            m.d.comb += residual.eq(fetch.residual.payload)
        m.d.comb += [
            fetch.residual.ready.eq(self.shift & tile.residual),
            fetch.residual_ends.eq(self.release),
            requantise.accumulators.eq(self.row),
            requantise.row.eq(current.row_scales[0]),
            requantise.columns.eq(current.column_scales),
            requantise.fraction.eq(tile.fraction.as_signed()),
            requantise.residual.eq(residual),
            writer.results.valid.eq(requantise.result_valid),
            writer.results.payload.eq(requantise.results),
        ]
        for column in range(self.config.array.columns):
            m.d.comb += requantise.enable[column].eq(tile.columns > column)
        return m

    def _sequence(
        self, m: Module, fetch: DrainFetch, current, requantise: Requantise, writer: ResultWriter
    ) -> None:
        """Take tiles, count their rows and say where these go."""
        tile = current.tile
        loaded, shifting = Signal(), Signal()
        part = Signal(range(SHORTS_IN_WORD))
        turns = self.config.array.drain_turns
        closing_rows = [(CLOSING_ROWS + turn) // turns for turn in range(turns)]
        # Known from the row before: whether so many rows are left, at most.
        left = {rows: Signal(name=f"at_most_{rows}") for rows in {1, *closing_rows}}
        m.d.comb += [
            requantise.valid.eq(shifting),
            self.shift.eq(requantise.ready),
            self.release.eq(self.shift & left[1]),
            self.closing.eq(shifting & Array(left[rows] for rows in closing_rows)[requantise.turn]),
            fetch.tiles.ready.eq(~loaded | self.release),
        ]
        place = writer.places.payload
        words = self.config.array.columns // SHORTS_IN_WORD
        row_mask = Cat(tile.columns > SHORTS_IN_WORD * word for word in range(words))
        column_mask = Cat(tile.columns > column for column in range(self.config.array.columns))
        m.d.comb += [
            writer.places.valid.eq(self.shift),
            place.address.eq(tile.address),
            place.pitch.eq(Mux(tile.transposed, tile.pitch, 1)),
            place.mask.eq(Mux(tile.transposed, column_mask, row_mask)),
            place.transposed.eq(tile.transposed),
            place.part.eq(part),
            place.complete.eq(~tile.transposed | part.all() | self.release),
            place.last.eq(tile.last & self.release),
        ]
        # Decided a cycle ahead, for what follows reaches the whole grid.
        may_begin = self.full_next & writer.room
        with m.If(fetch.tiles.ready):
            m.d.sync += shifting.eq(fetch.tiles.valid & may_begin)
        with m.Else():
            m.d.sync += shifting.eq(shifting | may_begin)
        with m.If(self.shift):
            m.d.sync += [
                tile.rows.eq(tile.rows - 1),
                *(at_most.eq(tile.rows <= rows + 1) for rows, at_most in left.items()),
                part.eq(Mux(self.release, 0, part + 1)),
                tile.address.eq(tile.address + Mux(tile.transposed, part.all(), tile.pitch)),
                Value.cast(current.row_scales).eq(
                    Value.cast(current.row_scales) >> current.row_scales[0].shape().size
                ),
            ]
        with m.If(fetch.tiles.ready):
            given = fetch.tiles.payload
            m.d.sync += [loaded.eq(fetch.tiles.valid), current.eq(given)]
            m.d.sync += [at_most.eq(given.tile.rows <= rows) for rows, at_most in left.items()]
