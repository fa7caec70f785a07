"""Fetches what the drain of the array needs, tile by tile, ahead of time."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .config import AcceleratorConfig
from .drain_walk import SHORTS_IN_WORD, DrainWalk, Kind, tile_layout
from .isa import Matmul, ScaleWord
from .ports import ReadPortSignature, read_request_layout
from .requantise import RESULT_BITS, scale_layout
from .response_tags import ResponseTags
from .stream_register import stream_stage

INSTRUCTIONS_AHEAD = 4
"""Instructions that wait for the drain while the array works on them."""

TILES_AHEAD = 4
"""Tiles whose scales may be fetched before they are drained."""

_NEEDED = (
    "flow",
    "y_transposed",
    "m",
    "n",
    "fraction",
    "residual_enable",
    "row_scale_address",
    "column_scale_address",
    "y_address",
    "y_pitch",
    "residual_address",
    "residual_pitch",
)


_tag_layout = data.StructLayout({"kind": Kind, "parts": SHORTS_IN_WORD, "transposed": 1})
"""What goes with a read: of a residual, which of four rows come back, and in which order."""


def scaled_tile_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A tile with the scales of its rows and columns."""
    array = config.array
    return data.StructLayout(
        {
            "tile": tile_layout(config),
            "row_scales": data.ArrayLayout(scale_layout, array.rows),
            "column_scales": data.ArrayLayout(scale_layout, array.columns),
        }
    )


def residual_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """A row of a tile of the residual."""
    return data.ArrayLayout(RESULT_BITS, config.array.columns)


class DrainFetch(wiring.Component):
    """Reads scale words and residual rows in the order in which the array finishes tiles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `isa.Matmul`, in
    read : read port of the scratchpad
    tiles : stream of `scaled_tile_layout`, out; valid when the tile's residual is there as well.
    residual : stream of `residual_layout`, out; a row for each row of a tile that has one.
    residual_ends : in; the row that is taken is the last one of its tile.
    done : in; the oldest instruction has been written.

    Throughput: a line a cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(Matmul)),
                "read": Out(ReadPortSignature(config)),
                "tiles": Out(stream.Signature(scaled_tile_layout(config))),
                "residual": Out(stream.Signature(residual_layout(config))),
                "residual_ends": In(1),
                "done": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def residual_rows(self) -> int:
        """Residual rows there is room for: those of the tile in the drain and of the next."""
        return 2 * self.config.array.rows

    def elaborate(self, platform: object) -> Module:
        """Return the queue of instructions, the walk, and a queue for each kind of line."""
        m = Module()
        m.submodules.walk = walk = DrainWalk(self.config)
        m.submodules.tags = tags = ResponseTags(_tag_layout)
        m.d.comb += walk.done.eq(self.done)
        self._queue_instructions(m, walk)

        line = walk.lines.payload
        permitted = Signal(len(Kind))
        accepted = Signal(len(Kind))
        returned = Signal(len(Kind))
        layout = data.StructLayout({"line": read_request_layout(self.config), "tag": _tag_layout})
        request, asked = stream_stage(m, "request", layout, self.config.scratchpad.pipelined)
        may_ask = permitted.bit_select(Value.cast(line.kind), 1)
        m.d.comb += [
            request.valid.eq(walk.lines.valid & may_ask),
            request.payload.line.address.eq(line.address),
            request.payload.line.pitch.eq(line.pitch),
            request.payload.tag.kind.eq(line.kind),
            request.payload.tag.parts.eq(line.parts),
            request.payload.tag.transposed.eq(line.tile.transposed),
            walk.lines.ready.eq(request.ready & may_ask),
            self.read.request.valid.eq(asked.valid),
            self.read.request.payload.eq(asked.payload.line),
            asked.ready.eq(self.read.request.ready),
            tags.accepted.eq(asked.valid & asked.ready),
            tags.request.eq(asked.payload.tag),
        ]
        for kind in Kind:
            m.d.comb += [
                accepted[kind.value].eq(request.valid & request.ready & (line.kind == kind)),
                returned[kind.value].eq(tags.valid & (tags.response.kind == kind)),
            ]
        self._queue_tiles(m, line.tile, permitted, accepted, returned, tags.response.parts)
        begins = line.parts[0]
        self._queue_residual(m, permitted, accepted, returned, begins, tags.response)
        return m

    def _queue_instructions(self, m: Module, walk: DrainWalk) -> None:
        fields = [Value.cast(self.instruction.payload[name]) for name in _NEEDED]
        entry = Cat(*fields)
        m.submodules.instructions = queue = BufferedQueue(
            width=len(entry), depth=INSTRUCTIONS_AHEAD
        )
        m.d.comb += [
            self.instruction.ready.eq(queue.w_rdy),
            queue.w_en.eq(self.instruction.valid),
            queue.w_data.eq(entry),
            queue.r_en.eq(walk.instruction.ready),
            walk.instruction.valid.eq(queue.r_rdy),
            Cat(Value.cast(walk.instruction.payload[name]) for name in _NEEDED).eq(queue.r_data),
        ]

    def _scales(self, count: int) -> Value:
        """Return the first `count` scales of the line that came back."""
        words = (ScaleWord(self.read.response.payload[lane]) for lane in range(count))
        return Cat(Cat(word.mantissa, word.exponent, word.bias) for word in words)

    def _queue_tiles(self, m, tile, permitted, accepted, returned, come) -> None:
        """Pair each tile with its scales; its residual has to have come as well."""
        array = self.config.array
        row_scales, column_scales = self._scales(array.rows), self._scales(array.columns)
        output = self.tiles.payload
        parts = (
            ("tile_queue", output.tile, Value.cast(tile), accepted[Kind.ROW_SCALES.value]),
            ("row_queue", output.row_scales, row_scales, returned[Kind.ROW_SCALES.value]),
            (
                "column_queue",
                output.column_scales,
                column_scales,
                returned[Kind.COLUMN_SCALES.value],
            ),
        )
        taken = Signal()
        ready = Signal(len(parts))
        for index, (name, part, entry, strobe) in enumerate(parts):
            m.submodules[name] = queue = BufferedQueue(width=len(entry), depth=TILES_AHEAD)
            m.d.comb += [
                queue.w_data.eq(entry),
                queue.w_en.eq(strobe),
                queue.r_en.eq(taken),
                Value.cast(part).eq(queue.r_data),
                ready[index].eq(queue.r_rdy),
            ]

        ahead = Signal(range(TILES_AHEAD + 1))
        # Residual rows that have come and belong to no tile that was taken.
        rows = Signal(range(self.residual_rows + 1))
        rows_come = Mux(returned[Kind.RESIDUAL.value], sum(come), 0)
        rows_taken = Mux(output.tile.residual, output.tile.rows, 0)
        m.d.sync += [
            ahead.eq(ahead + accepted[Kind.ROW_SCALES.value] - taken),
            # Whether it is taken is known last.
            rows.eq(Mux(taken, rows + rows_come - rows_taken, rows + rows_come)),
        ]
        m.d.comb += [
            # A power of two.
            permitted[Kind.ROW_SCALES.value].eq(~ahead[-1]),
            permitted[Kind.COLUMN_SCALES.value].eq(1),
            self.tiles.valid.eq(ready.all() & (~output.tile.residual | (rows >= output.tile.rows))),
            taken.eq(self.tiles.valid & self.tiles.ready),
        ]

    def _queue_residual(self, m, permitted, accepted, returned, begins, response) -> None:
        """Queue the rows of a residual, row r of a tile in queue r modulo four.

        A transposed line has a row for each queue, any other line a row for one. Room is kept for
        four rows at a time: `begins` says that a line has the first of them.
        """
        columns = self.config.array.columns
        groups = self.residual_rows // SHORTS_IN_WORD
        words = self.read.response.payload
        straight = Value.cast(words)[: RESULT_BITS * columns]
        part, taken = Signal(range(SHORTS_IN_WORD)), Signal()
        rows, ready = [], []
        for number in range(SHORTS_IN_WORD):
            transposed = Cat(
                words[column].word_select(number, RESULT_BITS) for column in range(columns)
            )
            m.submodules[f"residual_queue_{number}"] = queue = BufferedQueue(
                width=RESULT_BITS * columns, depth=groups
            )
            m.d.comb += [
                queue.w_data.eq(Mux(response.transposed, transposed, straight)),
                queue.w_en.eq(returned[Kind.RESIDUAL.value] & response.parts[number]),
                queue.r_en.eq(taken & (part == number)),
            ]
            rows.append(queue.r_data)
            ready.append(queue.r_rdy)
        reserved = Signal(range(groups + 1))
        m.d.comb += [
            permitted[Kind.RESIDUAL.value].eq(~begins | ~reserved[-1]),
            self.residual.valid.eq(Array(ready)[part]),
            Value.cast(self.residual.payload).eq(Array(rows)[part]),
            taken.eq(self.residual.valid & self.residual.ready),
        ]
        leaves = taken & (self.residual_ends | part.all())
        m.d.sync += reserved.eq(reserved + (accepted[Kind.RESIDUAL.value] & begins) - leaves)
        with m.If(taken):
            m.d.sync += part.eq(Mux(self.residual_ends, 0, part + 1))
