"""Finds the useful vectors of a strip."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bitmap_scanner import BitmapScanner, scanned_layout
from .compressed_reader import piece_layout
from .config import AcceleratorConfig
from .ports import WORD_BITS
from .slot_places import place_layout
from .stream_buffer import StreamBuffer


class BitmapPlaces(wiring.Component):
    """Gives the places of the set vector bits, from the lowest on.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    pieces : stream of `piece_layout`, in; strips
    words : stream of 64 bits, in
    places : stream of `place_layout`, out
    busy : out; there is a strip, or a place.

    Latency 4 cycles from a strip's first word, 5 if ``array.pipelined``. Throughput one place a
    cycle, if the words of a strip, and one more, are no more than its places.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "pieces": In(stream.Signature(piece_layout(config))),
                "words": In(stream.Signature(WORD_BITS)),
                "places": Out(stream.Signature(place_layout)),
                "busy": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the scanner, the word in use, and the count of places."""
        m = Module()
        m.submodules.scanner = scanner = BitmapScanner(self.config)
        wiring.connect(m, wiring.flipped(self.pieces), scanner.pieces)
        wiring.connect(m, wiring.flipped(self.words), scanner.words)
        following, place = scanner.scanned, self.places.payload
        if self.config.array.pipelined:
            m.submodules.scanned = buffer = StreamBuffer(scanned_layout)
            wiring.connect(m, scanner.scanned, buffer.input)
            following = buffer.output

        using, rest = Signal(scanned_layout), Signal(WORD_BITS)
        valid, ends, give = Signal(), Signal(), Signal()
        number = Signal(len(using.count), init=1)
        empty, last, counted = Signal(), Signal(), Signal()
        left = Signal(len(using.ones))
        m.d.comb += [
            rest.eq(using.bits & (using.bits - 1)),
            empty.eq(left == 0),
            last.eq(ends & using.last),
            counted.eq(number == using.count),
            give.eq(valid & (~self.places.valid | self.places.ready)),
            following.ready.eq(~valid | (give & ends)),
            self.busy.eq(scanner.busy | following.valid | valid | self.places.valid),
        ]
        with m.If(following.ready):
            given = following.payload
            m.d.sync += [
                using.eq(given),
                valid.eq(following.valid),
                left.eq(given.ones),
                ends.eq(given.ones <= 1),
            ]
        with m.Elif(give):
            m.d.sync += [using.bits.eq(rest), left.eq(left - 1), ends.eq(left == 2)]

        none = using.count == 0
        miscounted = Mux(empty, ~none, none | (last != counted))
        with m.If(give):
            m.d.sync += [
                place.place.eq(Cat(_number((using.bits & -using.bits)[:WORD_BITS]), using.number)),
                place.bitmap.eq(1),
                place.last.eq(last),
                place.empty.eq(empty),
                place.wrong.eq(using.wrong | miscounted),
                number.eq(Mux(last, 1, number + 1)),
                self.places.valid.eq(1),
            ]
        with m.Elif(self.places.ready):
            m.d.sync += self.places.valid.eq(0)
        return m


def _number(single: Value) -> Value:
    """Return the number of the only bit that is set in `single`; 0 if there is none."""
    bits = (len(single) - 1).bit_length()
    return Cat(
        Cat(single[place] for place in range(len(single)) if place >> bit & 1).any()
        for bit in range(bits)
    )
