"""Walks the tiles of a dense output stationary product: what to read and what to compute."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .config import AcceleratorConfig
from .countdown import count_down
from .isa import Matmul
from .matmul_events import limit
from .operand_reader import burst_layout, lines_of, words_of
from .operand_walk import Move, OperandWalk

CHUNKS_AHEAD = 4
"""Chunks whose reads may be under way before their first step."""


def chunk_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What the array does with a chunk: `steps` of K, with `rows` times `columns` of use in each.

    `first` and `last` mark the chunks that begin and end a tile. `wide`, only with
    ``array.wide_rows``: A has two planes.
    """
    array = config.array
    members: dict[str, Any] = {
        "steps": range(config.chunk + 1),
        "rows": range(array.rows + 1),
        "columns": range(array.columns + 1),
        "first": 1,
        "last": 1,
    }
    if array.wide_rows:
        members["wide"] = 1
    return data.StructLayout(members)


class DenseOutputSequencer(wiring.Component):
    """Dense output stationary: tiles m inside n, chunks of K inside a tile.

    A chunk of a wide product has half the steps, for A brings two planes.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `isa.Matmul`, in; accepted when the last one has been walked.
    a, b : streams of `burst_layout`, out; a chunk of each operand
    chunks : stream of `chunk_layout`, out; one for each pair of bursts.
    busy : out; an instruction is being walked or chunks wait to be taken.

    Throughput: a chunk a cycle. Latency: two cycles from instruction to burst.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(Matmul)),
                "a": Out(stream.Signature(burst_layout(config))),
                "b": Out(stream.Signature(burst_layout(config))),
                "chunks": Out(stream.Signature(chunk_layout(config))),
                "busy": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the loops over tiles and chunks, the address walks and a queue of chunks."""
        m = Module()
        array = self.config.array
        word = Signal(Matmul)
        walking, starting = Signal(), Signal()
        offered, chunk_done = Signal(), Signal()
        chunk = Signal(chunk_layout(self.config))
        size = Signal(range(self.config.chunk + 1))
        m.submodules.queue = queue = BufferedQueue(width=chunk.shape().size, depth=CHUNKS_AHEAD)
        m.d.comb += [
            self.chunks.valid.eq(queue.r_rdy),
            self.chunks.payload.eq(queue.r_data),
            queue.r_en.eq(self.chunks.ready),
            queue.w_data.eq(chunk),
            queue.w_en.eq(chunk_done),
            offered.eq(walking & ~starting & queue.w_rdy),
            self.a.valid.eq(offered & self.b.ready),
            self.b.valid.eq(offered & self.a.ready),
            self.instruction.ready.eq(~walking),
            self.busy.eq(walking | queue.r_rdy | (queue.level != 0)),
        ]

        first, m_done, n_done = Signal(), Signal(), Signal()
        k_left, last_k = count_down(m, "k", word.k, size, starting=starting, advances=chunk_done)
        m_left, last_m = count_down(m, "m", word.m, array.rows, starting=starting, advances=m_done)
        n_left, last_n = count_down(
            m, "n", word.n, array.columns, starting=starting, advances=n_done
        )
        m.d.comb += [
            size.eq(self.config.chunk),
            m_done.eq(chunk_done & last_k),
            n_done.eq(m_done & last_m),
            chunk_done.eq(offered & self.a.ready & self.b.ready),
            chunk.steps.eq(Mux(last_k, k_left, size)),
            chunk.first.eq(first),
            chunk.last.eq(last_k),
            chunk.rows.eq(limit(m_left, array.rows)),
            chunk.columns.eq(limit(n_left, array.columns)),
        ]
        self._walk_operands(m, word, starting, chunk_done, last_k, last_m, chunk.steps)
        if array.wide_rows:
            self._widen(m, word, chunk, size)

        with m.If(~walking):
            m.d.sync += [word.eq(self.instruction.payload), walking.eq(self.instruction.valid)]
            m.d.sync += starting.eq(self.instruction.valid)
        with m.Elif(starting):
            m.d.sync += [starting.eq(0), first.eq(1)]
        with m.If(chunk_done):
            m.d.sync += first.eq(last_k)
        with m.If(n_done & last_n):
            m.d.sync += walking.eq(0)
        return m

    def _widen(self, m: Module, word: data.View, chunk: data.View, size: Signal) -> None:
        """Fetch both planes of A for half as many steps."""
        a = self.a.payload
        m.d.comb += [
            chunk.wide.eq(word.wide),
            a.wide.eq(word.wide),
            a.low_address.eq(a.address + word.plane_words),
        ]
        with m.If(word.wide):
            m.d.comb += [size.eq(self.config.chunk // 2), a.lines.eq(words_of(chunk.steps) << 1)]

    def _walk_operands(self, m, word, starting, chunk_done, last_k, last_m, steps) -> None:
        """Name the lines of each chunk. A starts over for each n; B stays until m has passed."""
        array = self.config.array
        operands = (
            ("a", array.rows, Move.TILE, Move.FIRST_TILE),
            ("b", array.columns, Move.SAME_TILE, Move.TILE),
        )
        for name, vector, more, end in operands:
            m.submodules[f"walk_{name}"] = walk = OperandWalk(self.config, vector)
            burst = getattr(self, name).payload
            transposed = word[f"{name}_transposed"]
            m.d.comb += [
                walk.base.eq(word[f"{name}_address"]),
                walk.pitch.eq(word[f"{name}_pitch"]),
                walk.transposed.eq(transposed),
                walk.halved.eq(word.wide if array.wide_rows else 0),
                walk.start.eq(starting),
                walk.advance.eq(chunk_done),
                walk.move.eq(Mux(last_k, Mux(last_m, end, more), Move.CHUNK)),
                burst.address.eq(walk.address),
                burst.part.eq(walk.part),
                burst.pitch.eq(walk.pitch),
                burst.transposed.eq(transposed),
                burst.lines.eq(lines_of(self.config, steps, transposed, vector)),
            ]
