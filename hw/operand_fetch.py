"""Asks for a dense operand, tile by tile and chunk by chunk."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .config import AcceleratorConfig
from .countdown import count_down
from .operand_reader import burst_layout, lines_of
from .operand_walk import Move, OperandWalk
from .ports import address_width

CHUNKS_AHEAD = 4
"""Chunks that may be asked for before their use begins."""


def dense_matrix_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An operand of `elements` times `steps`, to be walked `repeats` times.

    `transposed`: steps lie across rows, elements along them.
    """
    return data.StructLayout(
        {
            "address": address_width(config),
            "pitch": 16,
            "transposed": 1,
            "elements": 16,
            "steps": 16,
            "repeats": 16,
        }
    )


class OperandFetch(wiring.Component):
    """Chunks of steps inside tiles of elements, the whole operand again and again.

    Parameters
    ----------
    config : AcceleratorConfig
    vector : int
        Elements of a tile: rows or columns of the array.

    Members
    -------
    matrices : stream of `dense_matrix_layout`, in; accepted when the last one has been walked.
    bursts : stream of `burst_layout`, out
    chunks : stream of the number of steps of a chunk, out; one for each burst.

    Throughput: a chunk a cycle. Latency: two cycles from matrix to burst.
    """

    def __init__(self, config: AcceleratorConfig, vector: int) -> None:
        self._config = config
        self._vector = vector
        super().__init__(
            {
                "matrices": In(stream.Signature(dense_matrix_layout(config))),
                "bursts": Out(stream.Signature(burst_layout(config))),
                "chunks": Out(stream.Signature(range(config.chunk + 1))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def vector(self) -> int:
        """Elements of a tile."""
        return self._vector

    def elaborate(self, platform: object) -> Module:
        """Return the loops, the address walk and a queue of chunks."""
        m = Module()
        config = self.config
        matrix = Signal(dense_matrix_layout(config))
        walking, starting, asked = Signal(), Signal(), Signal()
        repeats, tile_asked = Signal(16), Signal()
        steps, last_chunk = count_down(
            m, "steps", matrix.steps, config.chunk, starting=starting, advances=asked
        )
        _, last_tile = count_down(
            m, "elements", matrix.elements, self.vector, starting=starting, advances=tile_asked
        )
        m.submodules.queue = queue = BufferedQueue(
            width=len(self.chunks.payload), depth=CHUNKS_AHEAD
        )
        m.submodules.walk = walk = OperandWalk(config, self.vector)
        burst = self.bursts.payload
        in_chunk = queue.w_data
        at_end = Mux(last_tile, Move.FIRST_TILE, Move.TILE)
        m.d.comb += [
            self.matrices.ready.eq(~walking),
            self.chunks.valid.eq(queue.r_rdy),
            self.chunks.payload.eq(queue.r_data),
            queue.r_en.eq(self.chunks.ready),
            in_chunk.eq(Mux(last_chunk, steps, config.chunk)),
            self.bursts.valid.eq(walking & ~starting & queue.w_rdy),
            asked.eq(self.bursts.valid & self.bursts.ready),
            tile_asked.eq(asked & last_chunk),
            queue.w_en.eq(asked),
            walk.base.eq(matrix.address),
            walk.pitch.eq(matrix.pitch),
            walk.transposed.eq(matrix.transposed),
            walk.start.eq(starting),
            walk.advance.eq(asked),
            walk.move.eq(Mux(last_chunk, at_end, Move.CHUNK)),
            burst.address.eq(walk.address),
            burst.part.eq(walk.part),
            burst.pitch.eq(walk.pitch),
            burst.transposed.eq(matrix.transposed),
            burst.lines.eq(lines_of(config, in_chunk, matrix.transposed, self.vector)),
        ]
        with m.If(~walking):
            m.d.sync += [matrix.eq(self.matrices.payload), walking.eq(self.matrices.valid)]
            m.d.sync += starting.eq(self.matrices.valid)
        with m.Elif(starting):
            m.d.sync += [
                starting.eq(0),
                repeats.eq(matrix.repeats),
            ]
        with m.If(tile_asked & last_tile):
            m.d.sync += [repeats.eq(repeats - 1), walking.eq(repeats != 1)]
        return m
