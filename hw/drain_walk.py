"""Walks the tiles of a product for its drain."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .countdown import count_down
from .isa import SPARSE_OUTPUT_FLOWS, Matmul
from .ports import address_width
from .requantise import RESULT_BITS

SHORTS_IN_WORD = 8 * WORD_BYTES // RESULT_BITS

_UNFINISHED_BITS = 8  # A drain of 64 rows holds fewer than 128 instructions.


class Kind(enum.Enum, shape=2):
    """What a line of the drain holds."""

    ROW_SCALES = 0
    COLUMN_SCALES = 1
    RESIDUAL = 2


def tile_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A tile of Y. Its first row goes to `address`, each further one `pitch` words on.

    `residual`: a row of the residual is added to each row. `transposed`: a column of the tile
    begins at `address`, each further one `pitch` words on. `last`: the tile ends an instruction.
    """
    return data.StructLayout(
        {
            "rows": range(config.array.rows + 1),
            "columns": range(config.array.columns + 1),
            "address": address_width(config),
            "pitch": 16,
            "fraction": 8,
            "residual": 1,
            "transposed": 1,
            "last": 1,
        }
    )


def drain_line_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A line to read for `tile`.

    `parts`: which of four rows of a residual it has, counted from a multiple of four.
    """
    return data.StructLayout(
        {
            "kind": Kind,
            "address": address_width(config),
            "pitch": 16,
            "parts": SHORTS_IN_WORD,
            "tile": tile_layout(config),
        }
    )


class _Walk(NamedTuple):
    """Strobes of the walk, and which loop it goes on in after a tile."""

    starting: Value
    tile_done: Value
    inner_ends: Value
    n_inside_m: Value


class DrainWalk(wiring.Component):
    """Names the lines of each tile: row scales, column scales, residual rows.

    A line of a transposed residual has four rows: a word of each column.

    Tiles come m inside n, in sparse output stationary flows n inside m. The first residual row
    of an instruction waits until all that the instructions before it write is visible, so that
    a product may add to the result of the one before.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `isa.Matmul`, in; accepted when the last one has been walked.
    lines : stream of `drain_line_layout`, out
    done : in; the oldest instruction has been written.

    Throughput: a line a cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(Matmul)),
                "lines": Out(stream.Signature(drain_line_layout(config))),
                "done": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the loops and the pointers.

        What ends with a line is known before it is accepted, so that it only enables registers.
        """
        m = Module()
        array = self.config.array
        word = Signal(Matmul)
        walking, starting, offering = Signal(), Signal(), Signal()
        kind = Signal(Kind)
        n_inside_m, line_ends = Signal(), Signal()
        accepted, tile_done = Signal(), Signal()
        inner_ends, product_done = Signal(), Signal()
        m_advances, n_advances = Signal(), Signal()
        m_left, last_m = count_down(
            m, "m", word.m, array.rows, starting=starting, advances=m_advances
        )
        n_left, last_n = count_down(
            m, "n", word.n, array.columns, starting=starting, advances=n_advances
        )
        sparse = (flow.value for flow in SPARSE_OUTPUT_FLOWS)
        m.d.comb += [
            accepted.eq(self.lines.valid & self.lines.ready),
            tile_done.eq(accepted & line_ends),
            inner_ends.eq(Mux(n_inside_m, last_n, last_m)),
            m_advances.eq(tile_done & (~n_inside_m | last_n)),
            n_advances.eq(tile_done & (n_inside_m | last_m)),
            product_done.eq(tile_done & last_m & last_n),
            self.instruction.ready.eq(~walking),
            self.lines.payload.kind.eq(kind),
        ]
        unfinished, wait = Signal(_UNFINISHED_BITS), Signal()
        m.d.sync += [
            unfinished.eq(unfinished + product_done - self.done),
            wait.eq(product_done | (wait & ~(self.done & (unfinished == 1)))),
        ]
        m.d.comb += self.lines.valid.eq(offering & ~((kind == Kind.RESIDUAL) & wait))

        with m.If(~walking):
            given = self.instruction.payload
            m.d.sync += [
                word.eq(given),
                walking.eq(self.instruction.valid),
                starting.eq(self.instruction.valid),
                n_inside_m.eq(Value.cast(given.flow).matches(*sparse)),
            ]
        with m.Elif(starting):
            m.d.sync += [starting.eq(0), offering.eq(1)]
        with m.Elif(product_done):
            m.d.sync += [walking.eq(0), offering.eq(0)]

        tile = self.lines.payload.tile
        m.d.comb += [
            tile.rows.eq(Mux(last_m, m_left, array.rows)),
            tile.columns.eq(Mux(last_n, n_left, array.columns)),
            tile.pitch.eq(word.y_pitch),
            tile.fraction.eq(word.fraction),
            tile.residual.eq(word.residual_enable),
            tile.transposed.eq(word.y_transposed),
            tile.last.eq(last_m & last_n),
        ]
        self._follow_lines(m, word, kind, tile.rows, accepted, line_ends)
        walk = _Walk(starting, tile_done, inner_ends, n_inside_m)
        self._point(m, word, walk, kind, accepted)
        return m

    def _follow_lines(self, m: Module, word, kind: Signal, rows, accepted, line_ends) -> None:
        """Go from line to line of a tile; say at which pitch one is read, and which rows it has."""
        line = self.lines.payload
        row, parts = Signal(range(self.config.array.rows)), Signal(SHORTS_IN_WORD)
        turned = word.y_transposed
        rows_of_line = Mux(turned, SHORTS_IN_WORD, 1)
        next_row = Signal(len(row) + 1)
        m.d.comb += [
            next_row.eq(Mux(kind == Kind.RESIDUAL, row + rows_of_line, 0)),
            line.pitch.eq(Mux((kind == Kind.RESIDUAL) & turned, word.residual_pitch, 1)),
            line.parts.eq(parts),
        ]
        with m.If(accepted):
            m.d.sync += [
                row.eq(next_row),
                line_ends.eq(rows <= next_row + rows_of_line),
                parts.eq(
                    Mux(
                        turned,
                        Cat(rows > next_row + part for part in range(SHORTS_IN_WORD)),
                        Mux(kind == Kind.RESIDUAL, parts.rotate_left(1), 1),
                    )
                ),
            ]
            with m.Switch(kind):
                with m.Case(Kind.ROW_SCALES):
                    m.d.sync += [
                        kind.eq(Kind.COLUMN_SCALES),
                        line_ends.eq(~word.residual_enable),
                    ]
                with m.Case(Kind.COLUMN_SCALES):
                    m.d.sync += kind.eq(Kind.RESIDUAL)
            with m.If(line_ends):
                m.d.sync += [kind.eq(Kind.ROW_SCALES), line_ends.eq(0)]

    def _point(self, m: Module, word, walk: _Walk, kind: Signal, accepted: Value) -> None:
        """Keep a pointer to each kind of line and to the first word of the tile."""
        array = self.config.array
        rows, columns = array.rows, array.columns
        row_words, column_words = rows // SHORTS_IN_WORD, columns // SHORTS_IN_WORD
        y_m = Mux(word.y_transposed, row_words, word.y_pitch * rows)
        y_n = Mux(word.y_transposed, word.y_pitch * columns, column_words)
        residual_m = Mux(word.y_transposed, row_words, word.residual_pitch * rows)
        residual_n = Mux(word.y_transposed, word.residual_pitch * columns, column_words)
        row_scale, _ = self._pointer(m, "row_scale", word, walk, rows, 0)
        column_scale, _ = self._pointer(m, "column_scale", word, walk, 0, columns)
        y, _ = self._pointer(m, "y", word, walk, y_m, y_n)
        _, next_residual = self._pointer(m, "residual", word, walk, residual_m, residual_n)
        residual = Signal(address_width(self.config), name="residual_row")
        with m.If(walk.starting | walk.tile_done):
            m.d.sync += residual.eq(next_residual)
        with m.Elif(accepted & (kind == Kind.RESIDUAL)):
            m.d.sync += residual.eq(residual + Mux(word.y_transposed, 1, word.residual_pitch))
        lines = {
            Kind.ROW_SCALES: row_scale,
            Kind.COLUMN_SCALES: column_scale,
            Kind.RESIDUAL: residual,
        }
        m.d.comb += self.lines.payload.tile.address.eq(y)
        with m.Switch(kind):
            for this, address in lines.items():
                with m.Case(this):
                    m.d.comb += self.lines.payload.address.eq(address)

    def _pointer(self, m: Module, name: str, word, walk: _Walk, m_step, n_step):
        """Return a pointer that moves by `m_step` a tile of m and `n_step` a tile of n, its next.

        What `name` begins at is a field of the instruction.
        """
        width = address_width(self.config)
        pointer, following, outer = (
            Signal(width, name=f"{name}{suffix}") for suffix in ("", "_next", "_outer")
        )
        inner_step = Signal(width, name=f"{name}_inner_step")
        outer_step = Signal(width, name=f"{name}_outer_step")
        further = Mux(walk.inner_ends, outer + outer_step, pointer + inner_step)
        m.d.comb += following.eq(Mux(walk.starting, word[f"{name}_address"], further))
        with m.If(walk.starting):
            m.d.sync += [
                inner_step.eq(Mux(walk.n_inside_m, n_step, m_step)),
                outer_step.eq(Mux(walk.n_inside_m, m_step, n_step)),
            ]
        with m.If(walk.starting | walk.tile_done):
            m.d.sync += pointer.eq(following)
        with m.If(walk.starting | (walk.tile_done & walk.inner_ends)):
            m.d.sync += outer.eq(following)
        return pointer, following
