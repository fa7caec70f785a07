"""Sums of the stationary flows: rows of one tile grow while those of another are drained."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError
from .grid import stream_latency

_HALVES = 2
# Nothing depends on what a read gives of a row that is written in the same cycle.
_ATTRIBUTES = {"no_rw_check": 1}
_UNWRITTEN = 3  # Vectors, one a cycle, whose sums are read before what they give is written.


def tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What belongs to a vector: see `PartialSums`."""
    rows = config.array.partial_rows
    return data.StructLayout({"row": range(rows), "last": 1, "rows": range(rows + 1)})


class PartialSums(wiring.Component):
    """Adds the sums of each vector to a row of a tile of C columns, and gives away whole tiles.

    Two memories of `array.partial_rows` rows: one takes sums, in the other a complete tile waits
    for the drain or is swept, row 0 first, and left zero. Tiles follow each other without a pause
    if each has at least `stream_latency(config)` + 5 vectors more than rows. With as many vectors
    as rows, whole tiles of the drain, every second tile waits seven cycles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    stream : in; a vector is given to the grid in this cycle. `tag.row` is the row that its sums
        are added to: any row, also that of the vector before. `tag.last`: it is the last vector of
        a tile, and `tag.rows` rows of that are to be drained.
    tag : `tag_layout`, in; with `stream`.
    begin : in; with `stream`, the vector is the first of a tile.
    ready : out; the next tile may begin. Only the first vector of a tile has to ask.
    sums : signed(accumulator_width) [columns], in; those of the vector that was given
        `stream_latency(config)` cycles before. What they are added to wraps.
    full : out; `row` is a row of a complete tile.
    row : signed(accumulator_width) [columns], out
    shift : in; `row` is taken. The rows of a tile of the drain are taken in successive cycles.
    release : in; with `shift`, that was the last row of a tile of the drain.
    idle : out; neither a tile under way nor one that waits.

    Throughput: a vector and a row a cycle. Latency from the last vector of a tile to its first
    row: `stream_latency(config)` + 5 cycles. After reset `array.partial_rows` cycles go by until
    both memories are zero and the first tile may begin.

    Raises
    ------
    ConfigError
        If `array.partial_rows` is 0, which leaves out the stationary flows.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        array = config.array
        if array.partial_rows == 0:
            raise ConfigError("array.partial_rows must be at least 16 to keep partial sums, not 0")
        self._config = config
        row = data.ArrayLayout(signed(array.accumulator_width), array.columns)
        super().__init__(
            {
                "stream": In(1),
                "tag": In(tag_layout(config)),
                "begin": In(1),
                "ready": Out(1),
                "sums": In(row),
                "full": Out(1),
                "row": Out(row),
                "shift": In(1),
                "release": In(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return two memories, the adder in front of them and the sweep behind."""
        m = Module()
        array = self.config.array
        memories = []
        for half in range(_HALVES):
            shape = unsigned(len(Value.cast(self.row)))
            memory = Memory(shape=shape, depth=array.partial_rows, init=[], attrs=_ATTRIBUTES)
            m.submodules[f"memory_{half}"] = memory
            memories.append(memory)
        reads = [memory.read_port() for memory in memories]
        writes = [memory.write_port() for memory in memories]

        # The half that takes the sums of the vectors given now.
        current, half = Signal(), Signal(init=1)
        begun, completed = Signal(), Signal(_HALVES)
        m.d.comb += [begun.eq(self.stream & self.begin), current.eq(half ^ begun)]
        m.d.sync += half.eq(current)
        last_rows = Signal(data.ArrayLayout(range(array.partial_rows), _HALVES))
        with m.If(self.stream & self.tag.last):
            m.d.sync += last_rows[current].eq(self.tag.rows - 1)

        for read in reads:
            m.d.comb += read.en.eq(0)
        self._add(m, current, reads, writes, completed)
        clearing, swept, emptying = self._sweep(m, completed, last_rows, reads, writes)

        waiting = Signal(range(_HALVES + 2))
        m.d.sync += waiting.eq(waiting + begun - swept)
        # While the drain is inside the last of its tiles, nothing stops the sweep, and all rows
        # are gone before the sums of a vector that is given now arrive.
        soon = (waiting == _HALVES) & emptying
        m.d.comb += [
            self.ready.eq(~clearing & ((waiting < _HALVES) | soon)),
            self.idle.eq((waiting == 0) & ~self.full),
        ]
        return m

    def _add(self, m: Module, current: Signal, reads, writes, completed: Signal) -> None:
        """Read a sum two cycles before what is added to it comes, and write it one cycle after."""
        rows = range(self.config.array.partial_rows)
        layout = data.StructLayout({"row": rows, "half": 1, "last": 1})
        arriving = stream_latency(self.config)
        reading, writing = arriving - 2, arriving + 1
        # Vectors by their age in cycles.
        tags = [Signal(layout, name=f"tag_{age}", reset_less=True) for age in range(writing + 1)]
        valid = [Signal(name=f"valid_{age}") for age in range(writing + 1)]
        m.d.comb += [
            valid[0].eq(self.stream),
            tags[0].row.eq(self.tag.row),
            tags[0].half.eq(current),
            tags[0].last.eq(self.tag.last),
        ]
        for age in range(1, writing + 1):
            m.d.sync += [valid[age].eq(valid[age - 1]), tags[age].eq(tags[age - 1])]

        # A vector of the same row, 1 to 3 cycles older, is not in the memory yet.
        older = Signal(_UNWRITTEN)
        adjacent = Signal()
        for distance in range(_UNWRITTEN):
            other = tags[reading + 1 + distance]
            same = (tags[reading].row == other.row) & (tags[reading].half == other.half)
            m.d.sync += older[distance].eq(valid[reading + 1 + distance] & same)
        m.d.sync += adjacent.eq(older[0])

        remembered = Signal(self.row.shape(), reset_less=True)
        total = Signal(self.row.shape(), reset_less=True)
        written = Signal(self.row.shape(), reset_less=True)
        m.d.sync += written.eq(total)
        with m.If(older[1]):
            m.d.sync += remembered.eq(total)
        with m.Elif(older[2]):
            m.d.sync += remembered.eq(written)
        with m.Else():
            read = Mux(tags[reading + 1].half, reads[1].data, reads[0].data)
            m.d.sync += Value.cast(remembered).eq(read)
        for column, sums in enumerate(self.sums):
            before = Mux(adjacent, total[column], remembered[column])
            m.d.sync += total[column].eq(before + sums)

        for half, (read, write) in enumerate(zip(reads, writes, strict=True)):
            takes = valid[writing] & (tags[writing].half == half)
            with m.If(takes):
                m.d.comb += [
                    write.en.eq(1),
                    write.addr.eq(tags[writing].row),
                    write.data.eq(total),
                ]
            m.d.comb += completed[half].eq(takes & tags[writing].last)
            with m.If(valid[reading] & (tags[reading].half == half)):
                m.d.comb += [read.en.eq(1), read.addr.eq(tags[reading].row)]

    def _sweep(self, m: Module, completed: Signal, last_rows, reads, writes) -> tuple:
        """Show the rows of complete tiles one after the other and put zeros in their place.

        Return whether the memories are being cleared, a tile has left its memory, and the drain
        is inside the last of its tiles of what it takes.
        """
        rows = range(self.config.array.partial_rows)
        row_bits = (self.config.array.rows - 1).bit_length()
        complete = Signal(_HALVES)
        clearing, sweeping, sweep_half = Signal(init=1), Signal(), Signal()
        sweep_row, last_row = Signal(rows), Signal(rows)

        # Two stages behind the address: the output of the memory, and `row`.
        fetched = Signal(data.StructLayout({"half": 1, "closing": 1, "last": 1}))
        fetched_valid, fetched_free, row_free = Signal(), Signal(), Signal()
        fetch, finishing = Signal(), Signal()
        m.d.comb += [
            row_free.eq(~self.full | self.shift),
            fetched_free.eq(~fetched_valid | row_free),
            fetch.eq(sweeping & fetched_free),
            finishing.eq(fetch & (sweep_row == last_row)),
        ]
        next_half = sweep_half ^ finishing
        with m.If(clearing):
            m.d.sync += [sweep_row.eq(sweep_row + 1), clearing.eq(~sweep_row.all())]
        with m.Elif(~sweeping | finishing):
            m.d.sync += [
                sweeping.eq(complete.bit_select(next_half, 1)),
                sweep_half.eq(next_half),
                sweep_row.eq(0),
                last_row.eq(last_rows[next_half]),
            ]
        with m.Elif(fetch):
            m.d.sync += sweep_row.eq(sweep_row + 1)

        zeroed = Signal(rows)
        m.d.sync += zeroed.eq(sweep_row)
        for half, (read, write) in enumerate(zip(reads, writes, strict=True)):
            begins = ~clearing & (~sweeping | finishing) & (next_half == half)
            zero = Signal(name=f"zero_{half}")
            m.d.sync += [
                complete[half].eq((complete[half] & ~begins) | completed[half]),
                zero.eq(clearing | (fetch & (sweep_half == half))),
            ]
            with m.If(zero):
                m.d.comb += [write.en.eq(1), write.addr.eq(zeroed)]
            with m.If(sweeping & (sweep_half == half)):
                m.d.comb += [read.en.eq(fetched_free), read.addr.eq(sweep_row)]

        # A tile of the drain is aligned to the rows of the array.
        closing = Signal()
        with m.If(fetched_free):
            m.d.sync += [
                fetched_valid.eq(sweeping),
                fetched.half.eq(sweep_half),
                fetched.closing.eq(sweep_row[row_bits:] == last_row[row_bits:]),
                fetched.last.eq(sweep_row == last_row),
            ]
        with m.If(row_free):
            output = Mux(fetched.half, reads[1].data, reads[0].data)
            m.d.sync += [
                self.full.eq(fetched_valid),
                Value.cast(self.row).eq(output),
                closing.eq(fetched.closing & ~fetched.last),
            ]
        started = Signal()
        with m.If(self.shift):
            m.d.sync += started.eq(~self.release)
        swept = row_free & fetched_valid & fetched.last
        return clearing, swept, started & closing
