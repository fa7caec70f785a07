"""Loads tiles of the operand that stays into the grid, ahead of their use."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .compressed_operand import vector_layout
from .config import AcceleratorConfig
from .gather_reader import place_layout
from .matmul_events import SKIPPED_BITS
from .operand_reader import OperandSignature
from .ports import WORD_BITS, address_width
from .processing_element import OPERAND_BITS

stationary_product_layout = data.StructLayout(
    {"m": 16, "single": 1, "n": 16, "k": 16, "compressed_a": 1, "compressed_b": 1}
)
"""A product of a stationary flow; `single`: m is 1.

`compressed_a`, `compressed_b`: that operand comes as vectors.
"""


def stationary_tile_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A tile that waits in the grid.

    `m` vectors pass it, or, if `compressed_a`, as many as are useful; `single`: m is 1. It has
    `rows` times `columns` weights; `first` and `last` mark the tiles that begin and end a sum.
    """
    array = config.array
    return data.StructLayout(
        {
            "m": 16,
            "single": 1,
            "compressed_a": 1,
            "rows": range(array.rows + 1),
            "columns": range(array.columns + 1),
            "first": 1,
            "last": 1,
        }
    )


class StationaryLoader(wiring.Component):
    """Fills the pending registers of the grid row by row; rows without weights become zero.

    A dense operand gives a row for each of the next places along K. Of a compressed one the
    useful vectors fill the tile, and their places are passed on.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    products : stream of `stationary_product_layout`, in
    b : the other side of `OperandSignature`, without its bursts
    chunks : stream of the steps of the chunks of B, in
    vectors : stream of `vector_layout`, in; useful vectors of B.
    places : stream of `place_layout`, out
    load, load_row, weights : the other side of those of `Grid`
    tile : stream of `stationary_tile_layout`, out; taken with the first vector that passes it.
    coming, coming_last : out; `tile` is valid in the next cycle if it is not taken in this one, and
        its `last` then. All else of it is there already.
    skipped : out; dense steps that vectors without weights saved. What a product saved is reported
        in parts, one a cycle, as soon as its last tile is taken.
    idle : out; no product is worked on, and all that was saved has been reported.

    Throughput: a row a cycle. A dense tile may be taken in the cycle after its first row, and the
    next follows its last row; a packed one may be taken after its last row.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        super().__init__(
            {
                "products": In(stream.Signature(stationary_product_layout)),
                "b": In(OperandSignature(config, array.columns)),
                "chunks": In(stream.Signature(range(config.chunk + 1))),
                "vectors": In(stream.Signature(vector_layout(config))),
                "places": Out(stream.Signature(place_layout)),
                "load": Out(1),
                "load_row": Out(range(array.rows)),
                "weights": Out(data.ArrayLayout(signed(OPERAND_BITS), array.columns)),
                "tile": Out(stream.Signature(stationary_tile_layout(config))),
                "coming": Out(1),
                "coming_last": Out(1),
                "skipped": Out(SKIPPED_BITS),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the loops over tiles of columns and of K, and the row that is loaded."""
        m = Module()
        array = self.config.array
        product = Signal(stationary_product_layout)
        working, owing = Signal(), Signal()
        n_left, k_left, tiles_left = Signal(16), Signal(16), Signal(16)
        # Whether these are the last part, known from the part before; `only_k`: so is the first.
        last_n, last_k, only_k = Signal(), Signal(), Signal()
        first, exhausted, loaded, given = Signal(init=1), Signal(), Signal(), Signal()
        row, used = Signal(range(array.rows)), Signal(range(array.rows + 1))
        useful, last_row, last_vector = Signal(), Signal(), Signal()
        # What is known of a dense tile before it is loaded, and of a packed one after.
        dense_rows, ended = Signal.like(used), Signal()
        done, shown, ends = Signal(), Signal(), Signal()
        taken = self.tile.valid & self.tile.ready
        tile = self.tile.payload
        m.d.sync += [
            dense_rows.eq(Mux(last_k, k_left, array.rows)),
            only_k.eq(product.k <= array.rows),
        ]
        m.d.comb += [
            self.idle.eq(~working & ~owing),
            self.products.ready.eq(~working & ~owing),
            last_row.eq(row == array.rows - 1),
            self.load_row.eq(row),
            self.tile.valid.eq(shown),
            tile.m.eq(product.m),
            tile.single.eq(product.single),
            tile.compressed_a.eq(product.compressed_a),
            tile.rows.eq(Mux(product.compressed_b, used, dense_rows)),
            tile.columns.eq(Mux(last_n, n_left, array.columns)),
            tile.first.eq(first),
            tile.last.eq(ends),
            done.eq((given | taken) & (loaded | (self.load & last_row))),
        ]
        # A dense tile lies in one chunk: once a row is loaded, one follows in each cycle.
        follows = (
            loaded | (self.load & last_row) | (~product.compressed_b & (self.load | row.any()))
        )
        ends_packed = ended | (self.load & last_vector)
        m.d.comb += [
            self.coming.eq(follows & ~given),
            self.coming_last.eq(Mux(product.compressed_b, ends_packed, last_k)),
        ]
        m.d.sync += [
            shown.eq(self.coming & ~taken),
            ends.eq(Mux(product.compressed_b, ends_packed & ~done, last_k)),
        ]
        loading = working & ~loaded
        last_place = last_k & (row + 1 == k_left[: len(used)])
        m.d.comb += [useful.eq(~exhausted), last_vector.eq(~exhausted & last_place)]
        self._slice(m, loading, exhausted)
        with m.If(product.compressed_b):
            self._pack(m, loading, exhausted, last_row, last_n, useful, last_vector)
        with m.If(taken):
            m.d.sync += given.eq(1)
        with m.If(self.load):
            m.d.sync += [row.eq(row + 1), used.eq(used + useful), loaded.eq(last_row)]
            m.d.sync += exhausted.eq(exhausted | last_vector)
            with m.If(last_vector):
                m.d.sync += ended.eq(1)
        with m.If(done):
            m.d.sync += [loaded.eq(0), row.eq(0), used.eq(0), exhausted.eq(0), ended.eq(0)]
            m.d.sync += [given.eq(0), first.eq(tile.last), tiles_left.eq(tiles_left - 1)]
            m.d.sync += [
                k_left.eq(Mux(ends, product.k, k_left - array.rows)),
                last_k.eq(Mux(ends, only_k, k_left <= 2 * array.rows)),
            ]
            with m.If(tile.last):
                m.d.sync += [
                    n_left.eq(n_left - array.columns),
                    last_n.eq(n_left <= 2 * array.columns),
                ]
        strip_ended = taken & ends & product.compressed_b
        self._count_skipped(m, product, strip_ended, last_n, tiles_left - used.any(), owing)
        next_product = self.products.payload
        tiles = (next_product.k + array.rows - 1) // array.rows
        with m.If(done & tile.last):
            m.d.sync += tiles_left.eq((product.k + array.rows - 1) // array.rows)
        with m.If(done & tile.last & last_n):
            m.d.sync += working.eq(0)
        # A product stays where its last tile can be seen until the next one comes.
        with m.If(self.products.ready & self.products.valid):
            m.d.sync += [working.eq(1), product.eq(next_product)]
            m.d.sync += [n_left.eq(next_product.n), tiles_left.eq(tiles)]
            m.d.sync += [
                k_left.eq(next_product.k),
                last_n.eq(next_product.n <= array.columns),
                last_k.eq(next_product.k <= array.rows),
            ]
        return m

    def _slice(self, m: Module, loading: Value, exhausted: Signal) -> None:
        """Load the next place along K of the chunk in use, and zeros beyond the last one."""
        steps, some, one = Signal(range(self.config.chunk + 1)), Signal(), Signal()
        over = ~some | (self.b.step & one)
        m.d.comb += [
            self.b.take.eq(over & self.chunks.valid & self.b.available),
            self.chunks.ready.eq(self.b.take),
            self.load.eq(loading & (exhausted | some)),
            # Only a dense operand has chunks.
            self.b.step.eq(loading & ~exhausted & some),
        ]
        with m.If(~exhausted):
            m.d.comb += self.weights.eq(self.b.elements)
        with m.If(self.b.take):
            given = self.chunks.payload
            m.d.sync += [steps.eq(given), some.eq(1), one.eq(given == 1)]
        with m.Elif(self.b.step):
            m.d.sync += [steps.eq(steps - 1), some.eq(~one), one.eq(steps == 2)]

    def _pack(self, m, loading, exhausted, last_row, last_n, useful, last_vector) -> None:
        """Load the next useful vector instead, and zeros where the strip has no more."""
        vector = self.vectors.payload
        offered = self.vectors.valid & self.places.ready
        m.d.comb += [
            useful.eq(~exhausted & ~vector.empty),
            self.load.eq(loading & (exhausted | offered)),
            self.vectors.ready.eq(loading & ~exhausted & self.places.ready),
            self.places.valid.eq(loading & ~exhausted & self.vectors.valid),
            last_vector.eq(~exhausted & vector.last),
            self.places.payload.k.eq(vector.place),
            self.places.payload.last.eq(last_row | vector.last),
            self.places.payload.final.eq(vector.last & last_n),
        ]
        with m.If(~exhausted):
            m.d.comb += [
                self.weights[column].eq(vector.elements[column])
                for column in range(self.config.array.columns)
            ]

    def _count_skipped(self, m, product, strip_ended, last_n, saved, owing) -> None:
        """Add up the tiles that strips did without; at last report vectors times tiles.

        A cycle reports one bit of the number of tiles, so that all of it is known before the sums
        of the last tile are.
        """
        # Each word of a compressed operand has the bits of so many vectors.
        tiles = Signal(address_width(self.config) + WORD_BITS.bit_length() - 1)
        rows = Signal(SKIPPED_BITS)
        with m.If(strip_ended):
            m.d.sync += [tiles.eq(tiles + saved), rows.eq(product.m), owing.eq(last_n)]
        with m.If(owing):
            m.d.comb += self.skipped.eq(Mux(tiles[0], rows, 0))
            m.d.sync += [tiles.eq(tiles >> 1), rows.eq(rows << 1), owing.eq(tiles[1:].any())]
