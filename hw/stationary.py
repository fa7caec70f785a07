"""Stationary products: dWS, dIS, sWS and sIS."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .compressed_operand import matrix_layout, vector_layout
from .config import AcceleratorConfig
from .family import family_members
from .gather_reader import gather_layout, place_layout
from .isa import Flow
from .operand_fetch import OperandFetch
from .partial_sums import tag_layout
from .stationary_loader import StationaryLoader, stationary_product_layout
from .stationary_streamer import StationaryStreamer

INSTRUCTIONS_AHEAD = 4
"""Instructions whose operands may be read while the array works on one."""

_FROM_STREAMER = ("stream", "swap", "begin", "tag")


class Stationary(wiring.Component):
    """Keeps a tile of B in the grid while rows of A stream past it, the next tile loaded meanwhile.

    Tiles of K are innermost: their sums meet in the memory of partial sums.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    matrices : stream of `matrix_layout`, out
    vectors : stream of `vector_layout`, in
    gathers, places : streams to the gather reader, out
    load, load_row, stream, swap : the other side of those of `Grid`; the columns are loaded, the
        activations stream.
    begin, ready_given, ready_not, tag : the other side of those of `PartialSums`
    Otherwise see `family_members`.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                **family_members(config),
                "matrices": Out(stream.Signature(matrix_layout(config))),
                "vectors": In(stream.Signature(vector_layout(config))),
                "gathers": Out(stream.Signature(gather_layout(config))),
                "places": Out(stream.Signature(place_layout)),
                "load": Out(1),
                "load_row": Out(range(config.array.rows)),
                "stream": Out(1),
                "swap": Out(1),
                "begin": Out(1),
                "ready_given": In(1),
                "ready_not": In(1),
                "tag": Out(tag_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the fetches of dense operands, the loader and the streamer."""
        m = Module()
        config = self.config
        m.submodules.fetch_a = fetch_a = OperandFetch(config, config.array.rows)
        m.submodules.fetch_b = fetch_b = OperandFetch(config, config.array.columns)
        m.submodules.loader = loader = StationaryLoader(config)
        m.submodules.streamer = streamer = StationaryStreamer(config)
        m.submodules.products = products = BufferedQueue(
            width=stationary_product_layout.size, depth=INSTRUCTIONS_AHEAD
        )
        wiring.connect(m, fetch_a.bursts, wiring.flipped(self.a.bursts))
        wiring.connect(m, fetch_b.bursts, wiring.flipped(self.b.bursts))
        wiring.connect(m, fetch_b.chunks, loader.chunks)
        wiring.connect(m, loader.places, wiring.flipped(self.places))
        wiring.connect(m, loader.tile, streamer.tile)
        self._dispatch(m, fetch_a, fetch_b, products)
        m.d.comb += [
            # The streamer counts rows itself.
            fetch_a.chunks.ready.eq(1),
            loader.products.valid.eq(products.r_rdy),
            loader.products.payload.eq(products.r_data),
            products.r_en.eq(loader.products.ready),
            loader.vectors.payload.eq(self.vectors.payload),
            loader.vectors.valid.eq(self.vectors.valid),
            streamer.vectors.payload.eq(self.vectors.payload),
            streamer.vectors.valid.eq(self.vectors.valid),
            # Products with compressed A and with compressed B never meet here.
            self.vectors.ready.eq(loader.vectors.ready | streamer.vectors.ready),
            streamer.coming.eq(loader.coming),
            streamer.coming_last.eq(loader.coming_last),
            streamer.ready_given.eq(self.ready_given),
            streamer.ready_not.eq(self.ready_not),
            streamer.busy.eq(~self.idle),
            self.idle.eq(loader.idle & streamer.idle & ~products.r_rdy & (products.level == 0)),
        ]
        self._connect_operand(m, self.a, streamer.a)
        self._connect_operand(m, self.b, loader.b)
        for user, names in ((loader, ("load", "load_row")), (streamer, _FROM_STREAMER)):
            m.d.comb += [getattr(self, name).eq(getattr(user, name)) for name in names]
        for row, block in enumerate(self.activations):
            m.d.comb += block[0].eq(streamer.activations[row])
        m.d.comb += [
            self.columns.weights.eq(loader.weights),
            self.events.eq(streamer.events),
            self.events.skipped.eq(streamer.events.skipped + loader.skipped),
        ]
        return m

    def _connect_operand(self, m: Module, port, user) -> None:
        """Let `user` have the chunks of an operand."""
        m.d.comb += [
            user.available.eq(port.available),
            user.elements.eq(port.elements),
            port.take.eq(user.take),
            port.step.eq(user.step),
        ]

    def _dispatch(self, m: Module, fetch_a, fetch_b, products: BufferedQueue) -> None:
        """Give an instruction to all that work on it at their own pace."""
        array = self.config.array
        word = self.product.payload.word
        product = Signal(stationary_product_layout)
        compressed_a, compressed_b, taken = Signal(), Signal(), Signal()
        column_tiles = (word.n + array.columns - 1) // array.columns
        ready = (
            products.w_rdy
            & (fetch_a.matrices.ready | compressed_a | compressed_b)
            & (fetch_b.matrices.ready | compressed_b)
            & (self.matrices.ready | ~(compressed_a | compressed_b))
            & (self.gathers.ready | ~compressed_b)
        )
        m.d.comb += [
            compressed_a.eq(word.flow == Flow.SPARSE_INPUT_STATIONARY),
            compressed_b.eq(word.flow == Flow.SPARSE_WEIGHT_STATIONARY),
            self.product.ready.eq(ready),
            taken.eq(self.product.valid & self.product.ready),
            product.m.eq(word.m),
            product.single.eq(word.m == 1),
            product.n.eq(word.n),
            product.k.eq(word.k),
            product.compressed_a.eq(compressed_a),
            product.compressed_b.eq(compressed_b),
            products.w_en.eq(taken),
            products.w_data.eq(product),
            fetch_a.matrices.valid.eq(taken & ~compressed_a & ~compressed_b),
            fetch_a.matrices.payload.address.eq(word.a_address),
            fetch_a.matrices.payload.pitch.eq(word.a_pitch),
            # Rows of the grid are places along K, steps are rows of A.
            fetch_a.matrices.payload.transposed.eq(~word.a_transposed),
            fetch_a.matrices.payload.elements.eq(word.k),
            fetch_a.matrices.payload.steps.eq(word.m),
            fetch_a.matrices.payload.repeats.eq(column_tiles),
            fetch_b.matrices.valid.eq(taken & ~compressed_b),
            fetch_b.matrices.payload.address.eq(word.b_address),
            fetch_b.matrices.payload.pitch.eq(word.b_pitch),
            fetch_b.matrices.payload.transposed.eq(word.b_transposed),
            fetch_b.matrices.payload.elements.eq(word.n),
            fetch_b.matrices.payload.steps.eq(word.k),
            fetch_b.matrices.payload.repeats.eq(1),
            self.gathers.valid.eq(taken & compressed_b),
            self.gathers.payload.address.eq(word.a_address),
            self.gathers.payload.pitch.eq(word.a_pitch),
            self.gathers.payload.rows.eq(word.m),
        ]
        matrix = self.matrices.payload
        strips = Mux(compressed_a, (word.k + array.rows - 1) // array.rows, column_tiles)
        m.d.comb += [
            self.matrices.valid.eq(taken & (compressed_a | compressed_b)),
            matrix.address.eq(Mux(compressed_a, word.a_address, word.b_address)),
            matrix.words.eq(word.compressed_words),
            matrix.bitmap.eq(1),
            matrix.rows.eq(compressed_a),
            matrix.pieces.eq(strips),
            matrix.passes.eq(Mux(compressed_a, column_tiles, 1)),
            matrix.length.eq(Mux(compressed_a, word.m, word.k)),
            matrix.index.eq(self.product.payload.index),
        ]
