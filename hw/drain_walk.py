"""Walks the tiles of a product for its drain."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
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
    """What happens in a cycle of the walk, and how it goes on after a tile."""

    starting: Value
    tile_done: Value
    inner_done: Value
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
        """Return the loops and the pointers."""
        m = Module()
        array = self.config.array
        word = Signal(Matmul)
        walking, starting = Signal(), Signal()
        kind = Signal(Kind)
        n_inside_m = Signal()
        m_left, n_left = Signal(16), Signal(16)
        rows, columns = Signal(range(array.rows + 1)), Signal(range(array.columns + 1))
        row = Signal(range(array.rows))
        last_m, last_n = Signal(), Signal()
        sparse = (flow.value for flow in SPARSE_OUTPUT_FLOWS)
        m.d.comb += [
            n_inside_m.eq(Value.cast(word.flow).matches(*sparse)),
            last_m.eq(m_left <= array.rows),
            last_n.eq(n_left <= array.columns),
            rows.eq(Mux(last_m, m_left, array.rows)),
            columns.eq(Mux(last_n, n_left, array.columns)),
        ]

        accepted = self.lines.valid & self.lines.ready
        tile_done = Signal()
        rows_of_line = Mux(word.y_transposed, SHORTS_IN_WORD, 1)
        with m.Switch(kind):
            with m.Case(Kind.COLUMN_SCALES):
                m.d.comb += tile_done.eq(accepted & ~word.residual_enable)
            with m.Case(Kind.RESIDUAL):
                m.d.comb += tile_done.eq(accepted & (rows <= row + rows_of_line))
        product_done = tile_done & last_m & last_n
        unfinished = Signal(_UNFINISHED_BITS)
        m.d.sync += unfinished.eq(unfinished + product_done - self.done)
        blocked = (kind == Kind.RESIDUAL) & (unfinished != 0)
        m.d.comb += [
            self.instruction.ready.eq(~walking),
            self.lines.valid.eq(walking & ~starting & ~blocked),
            self.lines.payload.kind.eq(kind),
        ]

        with m.If(~walking):
            m.d.sync += [word.eq(self.instruction.payload), walking.eq(self.instruction.valid)]
            m.d.sync += starting.eq(self.instruction.valid)
        with m.Elif(starting):
            m.d.sync += [starting.eq(0), m_left.eq(word.m), n_left.eq(word.n)]
        with m.Elif(product_done):
            m.d.sync += walking.eq(0)
        inner_done = Signal()
        m.d.comb += inner_done.eq(tile_done & Mux(n_inside_m, last_n, last_m))
        with m.If(tile_done):
            m.d.sync += [kind.eq(Kind.ROW_SCALES), row.eq(0)]
            with m.If(~n_inside_m | inner_done):
                m.d.sync += m_left.eq(Mux(last_m, word.m, m_left - array.rows))
            with m.If(n_inside_m | inner_done):
                m.d.sync += n_left.eq(Mux(last_n, word.n, n_left - array.columns))
        with m.Elif(accepted), m.Switch(kind):
            with m.Case(Kind.ROW_SCALES):
                m.d.sync += kind.eq(Kind.COLUMN_SCALES)
            with m.Case(Kind.COLUMN_SCALES):
                m.d.sync += kind.eq(Kind.RESIDUAL)
            with m.Case(Kind.RESIDUAL):
                m.d.sync += row.eq(row + rows_of_line)

        walk = _Walk(starting, tile_done, inner_done, n_inside_m)
        self._point(m, word, walk, kind, accepted & (kind == Kind.RESIDUAL))
        self._describe(m, word, kind, rows, row)
        tile = self.lines.payload.tile
        m.d.comb += [
            tile.rows.eq(rows),
            tile.columns.eq(columns),
            tile.pitch.eq(word.y_pitch),
            tile.fraction.eq(word.fraction),
            tile.residual.eq(word.residual_enable),
            tile.transposed.eq(word.y_transposed),
            tile.last.eq(last_m & last_n),
        ]
        return m

    def _describe(self, m: Module, word, kind: Signal, rows: Signal, row: Signal) -> None:
        """Say at which pitch a line is read, and which rows it has if it is of a residual."""
        line = self.lines.payload
        with m.If((kind == Kind.RESIDUAL) & word.y_transposed):
            m.d.comb += [
                line.pitch.eq(word.residual_pitch),
                line.parts.eq(Cat(rows > row + part for part in range(SHORTS_IN_WORD))),
            ]
        with m.Else():
            m.d.comb += [
                line.pitch.eq(1),
                line.parts.eq(1 << row[: SHORTS_IN_WORD.bit_length() - 1]),
            ]

    def _point(self, m: Module, word, walk: _Walk, kind: Signal, residual_row: Value) -> None:
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
        with m.Elif(residual_row):
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
        m.d.sync += pointer.eq(following)
        with m.If(walk.starting):
            m.d.comb += following.eq(word[f"{name}_address"])
            m.d.sync += [
                inner_step.eq(Mux(walk.n_inside_m, n_step, m_step)),
                outer_step.eq(Mux(walk.n_inside_m, m_step, n_step)),
            ]
        with m.Elif(walk.inner_done):
            m.d.comb += following.eq(outer + outer_step)
        with m.Elif(walk.tile_done):
            m.d.comb += following.eq(pointer + inner_step)
        with m.Else():
            m.d.comb += following.eq(pointer)
        with m.If(walk.starting | walk.inner_done):
            m.d.sync += outer.eq(following)
        return pointer, following
