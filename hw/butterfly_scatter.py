"""Words that are put together behind the butterfly chain."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block_queue import BLOCK_MEMORY
from .butterfly_format import DATA_BITS
from .butterfly_gather import NUMBERS, held
from .butterfly_order import WORD_BITS
from .butterfly_plan import place_bits, words_held
from .config import ButterflyConfig


class ButterflyScatter(wiring.Component):
    """Takes a pair of points a lane and gives words; the reverse of `ButterflyGather`.

    A memory for each number of a word, twice, for first and second points, which come at once.

    Parameters
    ----------
    config : ButterflyConfig
        Gives the lanes, and whether the memories are block RAM.

    Members
    -------
    write : in
    first, second : in; slot and number in the word (lowest) of the two points.
    points : in, as in `ButterflyGather`
    advance : in; with block RAM, the three that follow are taken now.
    slot, imaginary : in; the word to be read, and which of its parts.
    seconds : in, one bit a number; it was a second point.
    words : out; as in `ButterflyGather`: combinational, or with block RAM the word that was taken,
        which nobody writes meanwhile.
    """

    def __init__(self, config: ButterflyConfig) -> None:
        self._config = config
        super().__init__(
            {
                "write": In(1),
                "first": In(place_bits(config)),
                "second": In(place_bits(config)),
                "points": In(4 * DATA_BITS * config.lanes),
                "advance": In(1),
                "slot": In(range(words_held(config))),
                "imaginary": In(1),
                "seconds": In(NUMBERS),
                "words": Out(NUMBERS * DATA_BITS * config.lanes),
            }
        )

    @property
    def config(self) -> ButterflyConfig:
        """Lanes and stages."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the memories and the choice between them."""
        m = Module()
        lanes = self.config.lanes
        point_bits = 2 * DATA_BITS
        block = self.config.block_memory
        imaginary, seconds = self._taken(m, self.imaginary), self._taken(m, self.seconds)
        numbers = []
        for number in range(NUMBERS):
            reads = []
            for point, place in enumerate((self.first, self.second)):
                memory = Memory(
                    shape=point_bits * lanes,
                    depth=words_held(self.config),
                    init=[],
                    attrs=BLOCK_MEMORY if block else {},
                )
                m.submodules[f"number_{number}_{('first', 'second')[point]}"] = memory
                write = memory.write_port()
                read = memory.read_port(domain="sync" if block else "comb")
                if block:
                    m.d.comb += read.en.eq(self.advance)
                m.d.comb += [
                    write.addr.eq(place[WORD_BITS:]),
                    write.en.eq(self.write & (place[:WORD_BITS] == number)),
                    write.data.eq(
                        Cat(
                            self.points.word_select(2 * lane + point, point_bits)
                            for lane in range(lanes)
                        )
                    ),
                    read.addr.eq(self.slot),
                ]
                reads.append(read.data)
            value = Signal(point_bits * lanes, name=f"number_{number}")
            m.d.comb += value.eq(Mux(seconds[number], reads[1], reads[0]))
            numbers.append(value)
        words = []
        for lane in range(lanes):
            for value in numbers:
                parts = [value.word_select(2 * lane + part, DATA_BITS) for part in range(2)]
                words.append(Mux(imaginary, parts[1], parts[0]))
        m.d.comb += self.words.eq(Cat(words))
        return m

    def _taken(self, m: Module, value: Value) -> Value:
        """Return a choice as old as what is read."""
        return held(m, value, self.advance) if self.config.block_memory else value
