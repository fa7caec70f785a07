"""Writes requantised rows to the scratchpad, as they are or transposed."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .config import AcceleratorConfig
from .drain_walk import SHORTS_IN_WORD
from .ports import WORD_BITS, WritePortSignature, address_width
from .requantise import RESULT_BITS, Requantise

QUEUE_LATENCY = 5
"""Cycles from a row that is requantised until its place in the queue of writes is free again."""


def write_rows(config: AcceleratorConfig) -> int:
    """Rows on their way from the grid to the scratchpad: a tile, and those that precede it."""
    return config.array.rows + Requantise.LATENCY + QUEUE_LATENCY


def place_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Where a row of results goes.

    A row of C results is C / 4 words, which lanes 0 to C / 4 - 1 write. A `transposed` one is a
    quarter, number `part`, of C words: word c is written by lane c. Words are written with the
    row that makes them `complete`; parts that have not come by then are zero, and only the
    address, pitch and mask of that row have a meaning. `last`: the write ends an instruction.
    """
    return data.StructLayout(
        {
            "address": address_width(config),
            "pitch": 16,
            "mask": config.array.columns,
            "transposed": 1,
            "part": range(SHORTS_IN_WORD),
            "complete": 1,
            "last": 1,
        }
    )


class ResultWriter(wiring.Component):
    """Queues rows of results and where they go, and puts transposed ones together.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    places : stream of `place_layout`, in; when a row leaves the accumulators.
    results : stream of int16 [columns], in; the rows, in the order of their places, at most
        `Requantise.LATENCY` cycles later.
    room : out; a full tile of rows may follow the place given in this cycle.
    write : write port of the scratchpad
    done : out; a write that ends an instruction is visible.

    Throughput: a row a cycle. Latency from a row to the request to write: 2 cycles.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        results = data.ArrayLayout(signed(RESULT_BITS), config.array.columns)
        super().__init__(
            {
                "places": In(stream.Signature(place_layout(config), always_ready=True)),
                "results": In(stream.Signature(results, always_ready=True)),
                "room": Out(1),
                "write": Out(WritePortSignature(config)),
                "done": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return two queues that are filled in the same order, and the words under way."""
        m = Module()
        depth = write_rows(self.config)
        place = Signal(place_layout(self.config))
        row = Signal(data.ArrayLayout(RESULT_BITS, self.config.array.columns))
        width, row_width = len(Value.cast(place)), len(Value.cast(row))
        m.submodules.places = places = BufferedQueue(width=width, depth=depth)
        m.submodules.rows = rows = BufferedQueue(width=row_width, depth=depth)

        request = self.write.request
        taken, available = Signal(), Signal()
        m.d.comb += [
            places.w_data.eq(self.places.payload),
            places.w_en.eq(self.places.valid),
            places.r_en.eq(taken),
            rows.w_data.eq(self.results.payload),
            rows.w_en.eq(self.results.valid),
            rows.r_en.eq(taken),
            place.eq(places.r_data),
            Value.cast(row).eq(rows.r_data),
            available.eq(places.r_rdy & rows.r_rdy),
            taken.eq(available & (request.ready | ~place.complete)),
            request.valid.eq(available & place.complete),
            request.payload.address.eq(place.address),
            request.payload.pitch.eq(place.pitch),
            request.payload.mask.eq(place.mask),
        ]
        self._assemble(m, place, row, taken)
        m.d.sync += self.done.eq(taken & place.last)

        under_way = Signal(range(depth + 1))
        m.d.sync += under_way.eq(under_way + self.places.valid - taken)
        m.d.comb += self.room.eq(under_way < depth - self.config.array.rows)
        return m

    def _assemble(self, m: Module, place, row, taken: Signal) -> None:
        """Keep the parts of words that are not complete; they are zero between words."""
        columns = self.config.array.columns
        chosen = Signal(SHORTS_IN_WORD)
        kept = Signal(data.ArrayLayout(row.shape(), SHORTS_IN_WORD - 1))
        m.d.comb += chosen.eq(place.transposed << place.part)
        for part in range(SHORTS_IN_WORD - 1):
            with m.If(taken & place.complete):
                m.d.sync += kept[part].eq(0)
            with m.Elif(taken & chosen[part]):
                m.d.sync += kept[part].eq(row)

        straight = Value.cast(row) & ~place.transposed.replicate(len(Value.cast(row)))
        for column in range(columns):
            parts = [
                row[column] & chosen[part].replicate(RESULT_BITS) for part in range(SHORTS_IN_WORD)
            ]
            word = Cat(parts) | Cat(kept[part][column] for part in range(SHORTS_IN_WORD - 1))
            if column < columns // SHORTS_IN_WORD:
                word |= straight.word_select(column, WORD_BITS)
            m.d.comb += self.write.request.payload.data[column].eq(word)
