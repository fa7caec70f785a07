"""Finds the words of a strip's vector bits that have any."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .byte_expander import BYTE, count_ones
from .compressed_reader import SIZE_BITS, VECTOR_COUNT_BITS, piece_layout
from .config import AcceleratorConfig
from .ports import WORD_BITS

_PLACE_BITS = (WORD_BITS - 1).bit_length()

scanned_layout = data.StructLayout(
    {
        "bits": WORD_BITS,
        "ones": WORD_BITS.bit_length(),
        "number": SIZE_BITS - _PLACE_BITS,
        "last": 1,
        "count": VECTOR_COUNT_BITS,
        "wrong": 1,
    }
)
"""A word of vector bits that are not all zero, of which `ones` are set, and its number.

`last` of its strip, and zero if the strip has no useful vector; `count`: useful vectors of the
strip by its header. `wrong`: a bit is set beyond the strip, or the strip's header is wrong.
"""


class BitmapScanner(wiring.Component):
    """Passes over words without vectors, so that who follows knows the last vector of a strip.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    pieces : stream of `piece_layout`, in; strips
    words : stream of 64 bits, in
    scanned : stream of `scanned_layout`, out
    busy : out; a strip has been begun, or `scanned` is valid.

    A strip takes a cycle a word and one more.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "pieces": In(stream.Signature(piece_layout(config))),
                "words": In(stream.Signature(WORD_BITS)),
                "scanned": Out(stream.Signature(scanned_layout)),
                "busy": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the walk; a word with bits waits until it is known whether another follows."""
        m = Module()
        piece, scanned = self.pieces.payload, self.scanned.payload
        word = self.words.payload
        number = Signal(len(scanned.number))
        waiting = Signal(WORD_BITS)
        waiting_number = Signal.like(number)
        # Set bits of each byte: their sum comes a cycle later.
        waiting_ones = Signal(data.ArrayLayout(BYTE.bit_length(), WORD_BITS // BYTE))
        read, beyond = Signal(), Signal()
        room, take, give = Signal(), Signal(), Signal()

        final = (piece.length - 1)[_PLACE_BITS:] == number
        used = piece.length[:_PLACE_BITS]
        unused = Cat((used != 0) & (used <= place) for place in range(WORD_BITS))
        finish = read | piece.wrong
        m.d.comb += [
            room.eq(~self.scanned.valid | self.scanned.ready),
            self.words.ready.eq(
                self.pieces.valid & ~finish & (room | ~waiting.any() | ~word.any())
            ),
            take.eq(self.words.valid & self.words.ready),
            self.pieces.ready.eq(finish & room),
            give.eq((self.pieces.valid & self.pieces.ready) | (take & word.any() & waiting.any())),
            self.busy.eq(self.scanned.valid | waiting.any() | read | number.any()),
        ]
        with m.If(give):
            m.d.sync += [
                self.scanned.valid.eq(1),
                scanned.bits.eq(waiting),
                scanned.ones.eq(_sum(list(waiting_ones))),
                scanned.number.eq(waiting_number),
                scanned.last.eq(finish),
                scanned.count.eq(piece.count),
                scanned.wrong.eq(beyond | piece.wrong),
            ]
        with m.Elif(self.scanned.ready):
            m.d.sync += self.scanned.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                read.eq(final),
                beyond.eq(final & (word & unused).any()),
                number.eq(Mux(final, 0, number + 1)),
            ]
            with m.If(word.any()):
                m.d.sync += [waiting.eq(word), waiting_number.eq(number)]
                for place, ones in enumerate(waiting_ones):
                    m.d.sync += ones.eq(count_ones(word.word_select(place, BYTE)))
        with m.If(self.pieces.valid & self.pieces.ready):
            m.d.sync += [read.eq(0), beyond.eq(0), waiting.eq(0), waiting_number.eq(0)]
            m.d.sync += waiting_ones.eq(0)
        return m


def _sum(values: list[Value]) -> Value:
    """Return the sum of a power of two of values, as a balanced tree of adders."""
    half = len(values) // 2
    return _sum(values[:half]) + _sum(values[half:]) if half else values[0]
