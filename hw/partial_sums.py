"""Sums of the stationary flows: rows of one tile grow while those of another are drained."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError
from .grid import stream_latency

_HALVES = 2
_QUEUE = 1  # The memory that rows in order go through.
# Nothing depends on what a read gives of a row that is written in the same cycle.
_ATTRIBUTES = {"no_rw_check": 1}
_UNWRITTEN = 3  # Vectors, one a cycle, whose sums are read before what they give is written.


def tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What belongs to a vector: see `PartialSums`."""
    rows = config.array.partial_rows
    return data.StructLayout(
        {"row": range(rows), "first": 1, "final": 1, "last": 1, "rows": range(rows + 1)}
    )


class _Output:
    """Two stages behind the address of a row: what a memory gives, and `PartialSums.row`.

    `fetch`: a row is read now, `asked` says which; `free`: one may be. `valid`: `row` is one;
    `row_free`: it is none, or is taken. `started`: the drain is inside one of its tiles.
    """

    def __init__(self) -> None:
        layout = data.StructLayout({"half": 1, "closing": 1, "last": 1})
        self.fetch, self.free = Signal(name="fetch"), Signal(name="fetch_free")
        self.asked, self.fetched = Signal(layout, name="asked"), Signal(layout, name="fetched")
        self.fetched_valid = Signal(name="fetched_valid")
        self.valid, self.row_free = Signal(name="row_valid"), Signal(name="row_free")
        self.started = Signal(name="started")


class PartialSums(wiring.Component):
    """Adds the sums of each vector to a row of a tile of C columns, and gives complete ones away.

    Two memories of `array.partial_rows` rows. *In order*, each stationary tile is passed by all
    rows from 0 on. One memory adds up; what the last stationary tile leaves goes through the other
    one, a queue, so that a tile of the drain follows its last vector. *In any order*, no row is
    complete before all are: one memory takes sums, in the other a complete tile waits for the
    drain or is swept, row 0 first, and left zero.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    in_order : in; vectors come in order. Changes only while `idle`.
    stream : in; a vector is given to the grid in this cycle. `tag.row` is the row that its sums
        are added to: any row, also that of the vector before, if not in order. `tag.first`: it is
        the first of its tile that is added to this row; in order all of these are marked.
        `tag.final`: in order, it is the last one that is added to this row. `tag.last`: it is the
        last vector of a tile, and, if not in order, `tag.rows` rows of that are to be drained.
    tag : `tag_layout`, in; with `stream`.
    begin : in; with `stream`, the vector is the first of a tile.
    ready : out; in order, a vector that is `final` may be given, else the next tile may begin. No
        other vector has to ask.
    ready_given, ready_not : out; `ready` in the next cycle, if a vector is given in this one, and
        if none is.
    sums : signed(accumulator_width) [columns], in; those of the vector that was given
        `stream_latency(config)` cycles before. What they are added to wraps.
    full : out; `row` is a row of a complete tile of the drain.
    full_next : out; `full` in the next cycle.
    row : signed(accumulator_width) [columns], out
    shift : in; `row` is taken, if there is one. The rows of a tile of the drain are taken one every
        `ArrayConfig.drain_turns` cycles.
    release : in; with `shift`, that was the last row of a tile of the drain.
    idle : out; no complete sums wait or are on their way, and no tile in any order is under way.

    Throughput: a vector and a row a cycle. In order, vectors wait only where the drain is
    `array.partial_rows` rows behind, and the first row of a tile of the drain can be taken
    `stream_latency(config)` + 3 cycles after its last vector. In any order the first row of a tile
    can be taken `stream_latency(config)` + 5 cycles after its last vector, and tiles follow each
    other without a pause if each has so many vectors more than rows; with as many vectors as rows,
    whole tiles of the drain, every second tile waits seven cycles. Both memories are zero, and the
    first tile in any order may begin, `array.partial_rows` cycles after reset or the change to it.

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
                "in_order": In(1),
                "stream": In(1),
                "tag": In(tag_layout(config)),
                "begin": In(1),
                "ready": Out(1),
                "ready_given": Out(1),
                "ready_not": Out(1),
                "sums": In(row),
                "full": Out(1),
                "full_next": Out(1),
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
        """Return two memories, the adder in front of them, and the sweep and the queue behind."""
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
        begun = Signal()
        m.d.comb += [
            begun.eq(self.stream & self.begin & ~self.in_order),
            current.eq((half ^ begun) & ~self.in_order),
        ]
        # The first tile in any order goes to the half that is swept first.
        m.d.sync += half.eq(current | self.in_order)
        last_rows = Signal(data.ArrayLayout(range(array.partial_rows), _HALVES))
        with m.If(self.stream & self.tag.last):
            m.d.sync += last_rows[current].eq(self.tag.rows - 1)

        for read in reads:
            m.d.comb += read.en.eq(0)
        output = _Output()
        valid, tag, total = self._add(m, current, reads)
        final = Signal()
        m.d.comb += final.eq(valid & tag.final)
        completed = self._put_back(m, valid & ~tag.final, tag, total, writes)
        clearing = self._sweep(m, completed, last_rows, output, reads, writes)
        room, whole_next, empty = self._queue(m, final, tag.closing, total, output, reads, writes)
        swept, emptying = self._show(m, output, whole_next, reads)

        # Whether a vector is given is known last.
        waiting = Signal(range(_HALVES + 2))
        following = []
        for number, (is_given, ready) in enumerate(((0, self.ready_not), (1, self.ready_given))):
            waiting_next = Signal(range(_HALVES + 2), name=f"waiting_{number}")
            begins = is_given & self.begin & ~self.in_order
            m.d.comb += waiting_next.eq(waiting + begins - swept)
            # While the drain is inside the last of its tiles, nothing stops the sweep, and all rows
            # are gone before the sums of a vector that is given now arrive, if each takes a cycle.
            soon = (waiting_next == _HALVES) & emptying & (array.drain_turns == 1)
            may_begin = ~clearing & ((waiting_next < _HALVES) | soon)
            m.d.comb += ready.eq(Mux(self.in_order, room[number], may_begin))
            following.append(waiting_next)
        m.d.sync += [
            waiting.eq(Mux(self.stream, following[1], following[0])),
            self.ready.eq(Mux(self.stream, self.ready_given, self.ready_not)),
        ]
        m.d.comb += self.idle.eq((waiting == 0) & empty & ~output.valid)
        return m

    def _add(self, m: Module, current: Signal, reads) -> tuple:
        """Read a sum two cycles before what is added to it comes.

        Return whether there is a total, what belongs to its vector, and the total, one cycle after.
        """
        row = range(self.config.array.partial_rows)
        flags = dict.fromkeys(("half", "first", "final", "last", "closing"), 1)
        layout = data.StructLayout({"row": row, **flags})
        arriving = stream_latency(self.config)
        reading, writing = arriving - 2, arriving + 1
        # Vectors by their age in cycles.
        tags = [Signal(layout, name=f"tag_{age}", reset_less=True) for age in range(writing + 1)]
        valid = [Signal(name=f"valid_{age}") for age in range(writing + 1)]
        row_bits = (self.config.array.rows - 1).bit_length()
        m.d.comb += [tags[0][name].eq(self.tag[name]) for name in ("row", "first", "last")]
        m.d.comb += [
            valid[0].eq(self.stream),
            tags[0].half.eq(current),
            tags[0].final.eq(self.tag.final & self.in_order),
            tags[0].closing.eq(self.tag.row[:row_bits].all() | self.tag.last),
        ]
        for age in range(1, writing + 1):
            m.d.sync += [valid[age].eq(valid[age - 1]), tags[age].eq(tags[age - 1])]

        # A vector of the same row, 1 to 3 cycles older, is not in the memory yet.
        older = Signal(_UNWRITTEN)
        adjacent, nothing = Signal(), Signal()
        now = tags[reading]
        for distance in range(_UNWRITTEN):
            other = tags[reading + 1 + distance]
            same = (now.row == other.row) & (now.half == other.half)
            m.d.sync += older[distance].eq(valid[reading + 1 + distance] & same & ~now.first)
        m.d.sync += [adjacent.eq(older[0]), nothing.eq(now.first)]

        remembered = Signal(self.row.shape(), reset_less=True)
        total = Signal(self.row.shape(), reset_less=True)
        written = Signal(self.row.shape(), reset_less=True)
        m.d.sync += written.eq(total)
        with m.If(nothing):
            m.d.sync += remembered.eq(0)
        with m.Elif(older[1]):
            m.d.sync += remembered.eq(total)
        with m.Elif(older[2]):
            m.d.sync += remembered.eq(written)
        with m.Else():
            read = Mux(tags[reading + 1].half, reads[1].data, reads[0].data)
            m.d.sync += Value.cast(remembered).eq(read)
        for column, sums in enumerate(self.sums):
            before = Mux(adjacent, total[column], remembered[column])
            m.d.sync += total[column].eq(before + sums)
        for half, read in enumerate(reads):
            with m.If(valid[reading] & (now.half == half)):
                m.d.comb += [read.en.eq(1), read.addr.eq(now.row)]
        return valid[writing], tags[writing], total

    def _put_back(self, m: Module, valid: Value, tag, total: Signal, writes) -> Signal:
        """Write totals that are not final; return of which half a tile is complete."""
        completed = Signal(_HALVES)
        for half, write in enumerate(writes):
            takes = valid & (tag.half == half)
            with m.If(takes):
                m.d.comb += [write.en.eq(1), write.addr.eq(tag.row), write.data.eq(total)]
            m.d.comb += completed[half].eq(takes & tag.last)
        return completed

    def _sweep(self, m: Module, completed: Signal, last_rows, output: _Output, reads, writes):
        """Show the rows of complete tiles one after the other and put zeros in their place.

        Return whether the memories are still to be cleared in the next cycle.
        """
        rows = range(self.config.array.partial_rows)
        row_bits = (self.config.array.rows - 1).bit_length()
        complete = Signal(_HALVES)
        clean, clearing, sweeping, sweep_half = Signal(), Signal(), Signal(), Signal()
        sweep_row, last_row = Signal(rows), Signal(rows)
        fetch, finishing, cleared = Signal(), Signal(), Signal()
        m.d.comb += [
            clearing.eq(~clean & ~self.in_order),
            cleared.eq(clean | (clearing & sweep_row.all())),
            fetch.eq(sweeping & output.free),
            finishing.eq(fetch & (sweep_row == last_row)),
        ]
        next_half = sweep_half ^ finishing
        with m.If(self.in_order):
            m.d.sync += [clean.eq(0), sweep_row.eq(0), sweep_half.eq(0)]
        with m.Elif(clearing):
            m.d.sync += [sweep_row.eq(sweep_row + 1), clean.eq(cleared)]
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
                m.d.comb += [read.en.eq(output.free), read.addr.eq(sweep_row)]

        # A tile of the drain is aligned to the rows of the array.
        with m.If(sweeping):
            m.d.comb += [
                output.fetch.eq(fetch),
                output.asked.half.eq(sweep_half),
                output.asked.closing.eq(sweep_row[row_bits:] == last_row[row_bits:]),
                output.asked.last.eq(sweep_row == last_row),
            ]
        return ~cleared

    def _queue(
        self, m: Module, final: Signal, closing, total: Signal, output: _Output, reads, writes
    ) -> tuple:
        """Let rows in order through, a tile of the drain when all of it is there.

        `closing`: the row is the last of such a tile. Return whether a row has room in the next
        cycle, where no vector is given now and where one is, whether a whole tile is there then,
        and whether no row is on its way.
        """
        depth = self.config.array.partial_rows
        read, write = reads[_QUEUE], writes[_QUEUE]
        head, tail = Signal(range(depth)), Signal(range(depth))
        present, promised = Signal(range(depth + 1)), Signal(range(depth + 1))
        filled = Signal()
        fetch, begins, ends = Signal(), Signal(), Signal()
        # There is a tile of the drain, there is another one.
        whole, whole_next, another = Signal(), Signal(), Signal()
        tiles, tiles_left = Signal(range(depth + 1)), Signal(range(depth + 1))
        final_given = self.tag.final & self.in_order
        given = self.stream & final_given
        fills = promised == depth - 1
        taken = self.shift & output.valid & self.in_order
        m.d.comb += [
            fetch.eq(present.any() & output.free),
            begins.eq(taken & ~output.started),
            tiles_left.eq(tiles + ends - begins),
            whole_next.eq(ends | Mux(begins, another, whole)),
        ]
        m.d.sync += [
            # One cycle late, so that the second of two rows comes from the memory in time.
            ends.eq(final & closing),
            head.eq(head + fetch),
            tail.eq(tail + final),
            present.eq(present + final - fetch),
            promised.eq(promised + given - taken),
            filled.eq(~taken & (filled | (given & fills))),
            tiles.eq(tiles_left),
            whole.eq(whole_next),
            another.eq(tiles_left > 1),
        ]
        with m.If(final):
            m.d.comb += [write.en.eq(1), write.addr.eq(tail), write.data.eq(total)]
        with m.If(present.any()):
            m.d.comb += [
                read.en.eq(output.free),
                read.addr.eq(head),
                output.fetch.eq(fetch),
                output.asked.half.eq(_QUEUE),
            ]
        return (
            (taken | ~filled, taken | ~(filled | (final_given & fills))),
            whole_next,
            promised == 0,
        )

    def _show(self, m: Module, output: _Output, whole_next: Signal, reads) -> tuple:
        """Move rows to `row`. `whole_next`: in the next cycle, a tile in order is there.

        Return whether the last row of a tile in any order leaves its memory, and whether the drain
        is inside the last of its tiles of that in the next cycle.
        """
        closing, closing_next = Signal(), Signal()
        started_next = Mux(self.shift & output.valid, ~self.release, output.started)
        m.d.comb += [
            output.row_free.eq(~output.valid | self.shift),
            output.free.eq(~output.fetched_valid | output.row_free),
            self.full_next.eq(
                (~output.row_free | output.fetched_valid)
                & (~self.in_order | started_next | whole_next)
            ),
        ]
        fetched_closing = output.fetched.closing & ~output.fetched.last
        m.d.comb += closing_next.eq(Mux(output.row_free, fetched_closing, closing))
        m.d.sync += [
            self.full.eq(self.full_next),
            output.started.eq(started_next),
            closing.eq(closing_next),
        ]
        with m.If(output.free):
            m.d.sync += [output.fetched_valid.eq(output.fetch), output.fetched.eq(output.asked)]
        with m.If(output.row_free):
            shown = Mux(output.fetched.half, reads[1].data, reads[0].data)
            m.d.sync += [
                output.valid.eq(output.fetched_valid),
                Value.cast(self.row).eq(shown),
            ]
        swept = output.row_free & output.fetched_valid & output.fetched.last
        return swept, started_next & closing_next
