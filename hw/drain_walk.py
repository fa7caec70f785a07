"""Walks the tiles of a product for its drain."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .isa import Matmul
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

    `residual`: a row of the residual is added to each row. `last`: the tile ends an instruction.
    """
    return data.StructLayout(
        {
            "rows": range(config.array.rows + 1),
            "columns": range(config.array.columns + 1),
            "address": address_width(config),
            "pitch": 16,
            "fraction": 8,
            "residual": 1,
            "last": 1,
        }
    )


def drain_line_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A line to read, at pitch 1, for `tile`."""
    return data.StructLayout(
        {"kind": Kind, "address": address_width(config), "tile": tile_layout(config)}
    )


class DrainWalk(wiring.Component):
    """Names the lines of each tile: row scales, column scales, residual rows.

    The first residual row of an instruction waits until all that the instructions before it write
    is visible, so that a product may add to the result of the one before.

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
        m_left, n_left = Signal(16), Signal(16)
        rows, columns = Signal(range(array.rows + 1)), Signal(range(array.columns + 1))
        row = Signal(range(array.rows))
        last_m, last_n = Signal(), Signal()
        m.d.comb += [
            last_m.eq(m_left <= array.rows),
            last_n.eq(n_left <= array.columns),
            rows.eq(Mux(last_m, m_left, array.rows)),
            columns.eq(Mux(last_n, n_left, array.columns)),
        ]

        accepted = self.lines.valid & self.lines.ready
        tile_done = Signal()
        with m.Switch(kind):
            with m.Case(Kind.COLUMN_SCALES):
                m.d.comb += tile_done.eq(accepted & ~word.residual_enable)
            with m.Case(Kind.RESIDUAL):
                m.d.comb += tile_done.eq(accepted & (rows == row + 1))
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
        with m.If(tile_done):
            m.d.sync += [kind.eq(Kind.ROW_SCALES), row.eq(0)]
            m.d.sync += m_left.eq(Mux(last_m, word.m, m_left - array.rows))
            with m.If(last_m):
                m.d.sync += n_left.eq(n_left - array.columns)
        with m.Elif(accepted), m.Switch(kind):
            with m.Case(Kind.ROW_SCALES):
                m.d.sync += kind.eq(Kind.COLUMN_SCALES)
            with m.Case(Kind.COLUMN_SCALES):
                m.d.sync += kind.eq(Kind.RESIDUAL)
            with m.Case(Kind.RESIDUAL):
                m.d.sync += row.eq(row + 1)

        next_column = tile_done & last_m
        self._point(m, word, kind, starting, accepted, tile_done, next_column)
        m.d.comb += [
            self.lines.payload.tile.rows.eq(rows),
            self.lines.payload.tile.columns.eq(columns),
            self.lines.payload.tile.pitch.eq(word.y_pitch),
            self.lines.payload.tile.fraction.eq(word.fraction),
            self.lines.payload.tile.residual.eq(word.residual_enable),
            self.lines.payload.tile.last.eq(last_m & last_n),
        ]
        return m

    def _point(self, m, word, kind, starting, accepted, tile_done, next_column) -> None:
        """Keep a pointer to each kind of line and to the first row of the tile."""
        array = self.config.array
        width = address_width(self.config)
        row_scales, column_scales = Signal(width), Signal(width)
        y, y_column = Signal(width), Signal(width)
        residual, residual_column = Signal(width), Signal(width)
        column_words = array.columns // SHORTS_IN_WORD
        with m.If(starting):
            m.d.sync += [
                row_scales.eq(word.row_scale_address),
                column_scales.eq(word.column_scale_address),
                y.eq(word.y_address),
                y_column.eq(word.y_address),
                residual.eq(word.residual_address),
                residual_column.eq(word.residual_address),
            ]
        with m.Elif(next_column):
            m.d.sync += [
                row_scales.eq(word.row_scale_address),
                column_scales.eq(column_scales + array.columns),
                y.eq(y_column + column_words),
                y_column.eq(y_column + column_words),
                residual.eq(residual_column + column_words),
                residual_column.eq(residual_column + column_words),
            ]
        with m.Else():
            with m.If(tile_done):
                m.d.sync += row_scales.eq(row_scales + array.rows)
                m.d.sync += y.eq(y + word.y_pitch * array.rows)
            with m.If(accepted & (kind == Kind.RESIDUAL)):
                m.d.sync += residual.eq(residual + word.residual_pitch)
        pointers = {
            Kind.ROW_SCALES: row_scales,
            Kind.COLUMN_SCALES: column_scales,
            Kind.RESIDUAL: residual,
        }
        m.d.comb += self.lines.payload.tile.address.eq(y)
        with m.Switch(kind):
            for this, pointer in pointers.items():
                with m.Case(this):
                    m.d.comb += self.lines.payload.address.eq(pointer)
