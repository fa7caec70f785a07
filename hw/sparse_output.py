"""Sparse output stationary products: sOS and csOS."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .compressed_operand import matrix_layout, vector_layout
from .config import AcceleratorConfig
from .family import columns_layout, family_members, step_members
from .isa import Flow
from .matmul_events import step_events_layout
from .panel import Panel
from .panel_filler import PanelFiller

INSTRUCTIONS_AHEAD = 4
"""Instructions whose operands may be read while the array works on one."""


def _product_layout(config: AcceleratorConfig) -> data.StructLayout:
    blocks = config.array.panel_blocks
    return data.StructLayout({"m": 16, "n": 16, "k": 16, "blocks": range(blocks + 1), "bitmap": 1})


def _step_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A step on its way from the vector to the grid."""
    return data.StructLayout(
        {
            "columns": columns_layout(config),
            "first": 1,
            "last": 1,
            "events": step_events_layout(config),
        }
    )


class SparseOutput(wiring.Component):
    """Multiplies a block of each row by vectors that say what they want of it.

    Row tiles are outermost: the panel keeps all inputs of a row tile while the compressed operand
    passes. A bitmap vector wants one input of a block in all columns, a slot one of its own in
    each column. A tile of no vectors is one step of zeros.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    matrices : stream of `matrix_layout`, out
    vectors : stream of `vector_layout`, in
    Otherwise see `family_members` and `step_members`.

    Throughput: a vector a cycle, between products a pause of a cycle if ``array.pipelined``.
    Latency from a vector to its step: two cycles.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                **family_members(config),
                **step_members(),
                "matrices": Out(stream.Signature(matrix_layout(config))),
                "vectors": In(stream.Signature(vector_layout(config))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the panel with its filler, the loops over tiles and the pipeline of steps."""
        m = Module()
        m.submodules.filler = filler = PanelFiller(self.config)
        m.submodules.panel = panel = Panel(self.config)
        wiring.connect(m, filler.a, wiring.flipped(self.a))
        products = self._dispatch(m, filler)

        product = Signal(_product_layout(self.config))
        working = Signal()
        enable, goes_on, accept, ended = Signal(), Signal(), Signal(), Signal()
        offered = Signal(_step_layout(self.config))
        m.d.comb += [
            filler.room.eq(panel.room),
            panel.write.eq(filler.write),
            panel.blocks.eq(filler.blocks),
            panel.enable.eq(enable),
            panel.count.eq(product.blocks),
            products.r_en.eq(~working if self.config.array.pipelined else ~working | ended),
        ]
        with m.If(ended):
            m.d.sync += working.eq(0)
        with m.If(products.r_en):
            m.d.sync += [working.eq(products.r_rdy), product.eq(products.r_data)]
        self._offer(m, panel, product, products, working, goes_on, accept, ended, offered)
        busy = self._move(m, panel, enable, goes_on, accept, offered)
        m.d.comb += self.idle.eq(~working & ~products.r_rdy & (products.level == 0) & ~busy)
        return m

    def _dispatch(self, m: Module, filler: PanelFiller) -> BufferedQueue:
        """Give an instruction to all that work on it at their own pace."""
        config = self.config
        array = config.array
        word = self.product.payload.word
        matrix = self.matrices.payload
        bitmap = word.flow == Flow.SPARSE_OUTPUT_STATIONARY
        product = Signal(_product_layout(config))
        blocks = (word.k + array.block - 1) // array.block
        m.submodules.products = products = BufferedQueue(
            width=product.shape().size, depth=INSTRUCTIONS_AHEAD
        )
        taken = self.product.valid & self.product.ready
        m.d.comb += [
            self.product.ready.eq(filler.matrices.ready & self.matrices.ready & products.w_rdy),
            filler.matrices.valid.eq(taken),
            filler.matrices.payload.address.eq(word.a_address),
            filler.matrices.payload.pitch.eq(word.a_pitch),
            filler.matrices.payload.transposed.eq(word.a_transposed),
            filler.matrices.payload.elements.eq(word.m),
            filler.matrices.payload.steps.eq(word.k),
            filler.matrices.payload.repeats.eq(1),
            self.matrices.valid.eq(taken),
            matrix.address.eq(word.b_address),
            matrix.words.eq(word.compressed_words),
            matrix.bitmap.eq(bitmap),
            matrix.rows.eq(0),
            matrix.pieces.eq((word.n + array.columns - 1) // array.columns),
            matrix.passes.eq((word.m + array.rows - 1) // array.rows),
            matrix.length.eq(Mux(bitmap, word.k, blocks)),
            matrix.index.eq(self.product.payload.index),
            product.m.eq(word.m),
            product.n.eq(word.n),
            product.k.eq(word.k),
            product.blocks.eq(blocks),
            product.bitmap.eq(bitmap),
            products.w_en.eq(taken),
            products.w_data.eq(product),
        ]
        return products

    def _offer(self, m, panel, product, products, working, goes_on, accept, ended, offered) -> None:
        """Make a step of the vector that is there; follow rows and columns that are left."""
        array = self.config.array
        vector = self.vectors.payload
        index_bits = (array.block - 1).bit_length()
        m_left, n_left, k_left = (Signal(16, name=f"{name}_left") for name in "mnk")
        first, whole = Signal(init=1), Signal()
        # Known from the vector before, or with the product; `only_n`: its first part is the last.
        last_n, only_n, last_m, more = Signal(), Signal(), Signal(), Signal()
        next_product = data.View(product.shape(), products.r_data)
        m.d.comb += [
            panel.block.eq(Mux(product.bitmap, vector.place >> index_bits, vector.place)),
            # The row tile may only be given up once all of it has come.
            whole.eq(~(vector.last & last_n) | panel.complete),
            self.vectors.ready.eq(working & goes_on & whole & (panel.present | vector.empty)),
            accept.eq(self.vectors.valid & self.vectors.ready),
            panel.release.eq(accept & vector.last & last_n),
            ended.eq(panel.release & last_m),
            offered.first.eq(first),
            offered.last.eq(vector.last),
            offered.events.active.eq(1),
            offered.events.rows.eq(Mux(vector.empty, 0, Mux(last_m, m_left, array.rows))),
            offered.events.columns.eq(Mux(last_n, n_left, array.columns)),
            # Words that no encoder writes may have more slots than there are inputs.
            offered.events.skipped.eq(Mux(vector.last & more, k_left - ~vector.empty, 0)),
        ]
        for column in range(array.columns):
            own = vector.indices[column]
            common = vector.place[:index_bits]
            m.d.comb += [
                offered.columns.weights[column].eq(vector.elements[column]),
                offered.columns.indices[column].eq(Mux(product.bitmap, common, own)),
            ]
        with m.If(accept):
            m.d.sync += first.eq(vector.last)
            m.d.sync += [
                k_left.eq(Mux(vector.last, product.k, k_left - more)),
                more.eq(Mux(vector.last, product.k != 0, k_left > 1)),
            ]
            with m.If(vector.last):
                m.d.sync += [
                    n_left.eq(Mux(last_n, product.n, n_left - array.columns)),
                    last_n.eq(Mux(last_n, only_n, n_left <= 2 * array.columns)),
                ]
            with m.If(vector.last & last_n):
                m.d.sync += [m_left.eq(m_left - array.rows), last_m.eq(m_left <= 2 * array.rows)]
        with m.If(products.r_en):
            m.d.sync += [
                m_left.eq(next_product.m),
                n_left.eq(next_product.n),
                k_left.eq(next_product.k),
                last_m.eq(next_product.m <= array.rows),
                last_n.eq(next_product.n <= array.columns),
                only_n.eq(next_product.n <= array.columns),
                more.eq(next_product.k != 0),
            ]

    def _move(self, m, panel, enable, goes_on, accept, offered) -> Signal:
        """Move a step beside what the panel reads for it; return that some are on their way."""
        reading = Signal(_step_layout(self.config), reset_less=True)
        given = Signal(_step_layout(self.config), reset_less=True)
        reading_valid, given_valid, busy = Signal(), Signal(), Signal()
        # For control alone, which has a longer way to go than the many registers of a step.
        asks = Signal()
        m.d.comb += [
            enable.eq(~(given_valid & given.first) | self.ready),
            goes_on.eq(~asks | self.ready),
            busy.eq(reading_valid | given_valid),
            self.step.eq(given_valid & enable),
            self.first.eq(given.first),
            self.last.eq(given.last),
            self.columns.eq(given.columns),
            self.activations.eq(panel.activations),
        ]
        with m.If(enable):
            m.d.sync += [
                reading_valid.eq(accept),
                reading.eq(offered),
                given_valid.eq(reading_valid),
                given.eq(reading),
                asks.eq(reading_valid & reading.first),
            ]
        stalled = Signal()
        m.d.comb += stalled.eq(given_valid & ~enable)
        m.d.sync += self.events.eq(0)
        with m.If(self.step):
            m.d.sync += self.events.eq(given.events)
        m.d.sync += self.events.drain_stall.eq(stalled)
        m.d.sync += self.events.operand_stall.eq(~given_valid & ~self.idle)
        return busy
