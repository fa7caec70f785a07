"""Finds the block of each slot of a tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .compressed_reader import ADVANCE_BITS, SIZE_BITS, piece_layout
from .config import AcceleratorConfig

place_layout = data.StructLayout(
    {"place": SIZE_BITS, "bitmap": 1, "last": 1, "empty": 1, "wrong": 1}
)
"""Where a vector belongs: block, or number in its strip.

`last` of its piece; `empty`: the piece has no vector, `place` is 0; `wrong`: here the piece is
wrong, and what follows means nothing.
"""


class SlotPlaces(wiring.Component):
    """Adds up the advances of slots.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    pieces : stream of `piece_layout`, in; tiles, each taken with its last place.
    advances : stream of 8 bits, in
    places : stream of `place_layout`, out

    Latency one cycle, throughput one place a cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "pieces": In(stream.Signature(piece_layout(config))),
                "advances": In(stream.Signature(ADVANCE_BITS)),
                "places": Out(stream.Signature(place_layout)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the sum and the count of slots."""
        m = Module()
        piece, place = self.pieces.payload, self.places.payload
        block = Signal(SIZE_BITS)
        here = Signal(SIZE_BITS + 1)
        number = Signal(len(piece.count), init=1)
        empty, last, give = Signal(), Signal(), Signal()
        m.d.comb += [
            here.eq(block + self.advances.payload),
            empty.eq(piece.wrong | (piece.count == 0)),
            last.eq(empty | (number == piece.count)),
            give.eq(
                self.pieces.valid
                & (empty | self.advances.valid)
                & (~self.places.valid | self.places.ready)
            ),
            self.advances.ready.eq(give & ~empty),
            self.pieces.ready.eq(give & last),
        ]
        with m.If(give):
            m.d.sync += [
                place.place.eq(Mux(empty, 0, here)),
                place.last.eq(last),
                place.empty.eq(empty),
                place.wrong.eq(piece.wrong | (~empty & (here >= piece.length))),
                block.eq(Mux(last, 0, here)),
                number.eq(Mux(last, 1, number + 1)),
                self.places.valid.eq(1),
            ]
        with m.Elif(self.places.ready):
            m.d.sync += self.places.valid.eq(0)
        return m
