"""Words that wait in front of the butterfly chain, and the pairs that are taken from them."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block_queue import BLOCK_MEMORY
from .butterfly_format import DATA_BITS
from .butterfly_order import WORD_BITS
from .butterfly_plan import place_bits, words_held
from .config import ButterflyConfig

NUMBERS = 1 << WORD_BITS
"""Numbers in a word."""


def held(m: Module, value: Value, advance: Value) -> Signal:
    """Return a register that takes `value` with what block RAM reads."""
    register = Signal(len(value), reset_less=True, name="held")
    with m.If(advance):
        m.d.sync += register.eq(value)
    return register


class ButterflyGather(wiring.Component):
    """Holds `words_held` words a lane, real and imaginary parts; gives any two of their points.

    A memory for each number of a word and each part, for all lanes together since they share
    places, with two read ports.

    Parameters
    ----------
    config : ButterflyConfig
        Gives the lanes, and whether the memories are block RAM.

    Members
    -------
    write, imaginary, slot, words : in
        Write a word of each lane, 64 bits each, lane 0 lowest, of one part.
    advance : in; with block RAM, `first` and `second` are taken now.
    first, second : in; slot and number in the word (lowest) of two points.
    points : out; (re, im) of the first and of the second point of each lane, 16 bits each, lane 0
        and its first point lowest. Combinational, or with block RAM those of the places that were
        taken, as they were in the cycle before these were taken; nobody writes there meanwhile.
    """

    def __init__(self, config: ButterflyConfig) -> None:
        self._config = config
        self._points = 4 * DATA_BITS * config.lanes
        super().__init__(
            {
                "write": In(1),
                "imaginary": In(1),
                "slot": In(range(words_held(config))),
                "words": In(NUMBERS * DATA_BITS * config.lanes),
                "advance": In(1),
                "first": In(place_bits(config)),
                "second": In(place_bits(config)),
                "points": Out(self._points),
            }
        )

    @property
    def config(self) -> ButterflyConfig:
        """Lanes and stages."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the memories and the choice of numbers."""
        m = Module()
        lanes = self.config.lanes
        width = DATA_BITS * lanes
        block = self.config.block_memory
        places = [self._taken(m, place) for place in (self.first, self.second)]
        chosen: dict[tuple[int, int], list] = {}
        for part in range(2):
            for number in range(NUMBERS):
                memory = Memory(
                    shape=width,
                    depth=words_held(self.config),
                    init=[],
                    attrs=BLOCK_MEMORY if block else {},
                )
                m.submodules[f"{('real', 'imaginary')[part]}_{number}"] = memory
                write = memory.write_port()
                lane_numbers = [
                    self.words.word_select(NUMBERS * lane + number, DATA_BITS)
                    for lane in range(lanes)
                ]
                m.d.comb += [
                    write.addr.eq(self.slot),
                    write.data.eq(Cat(lane_numbers)),
                    write.en.eq(self.write & (self.imaginary == part)),
                ]
                for point, place in enumerate((self.first, self.second)):
                    read = memory.read_port(domain="sync" if block else "comb")
                    m.d.comb += read.addr.eq(place[WORD_BITS:])
                    if block:
                        m.d.comb += read.en.eq(self.advance)
                    chosen.setdefault((point, part), []).append(read.data)
        parts = {}
        for (point, part), numbers in chosen.items():
            value = Signal(width, name=f"point_{point}_part_{part}")
            place = places[point]
            halves = [Mux(place[0], *reversed(numbers[low : low + 2])) for low in (0, 2)]
            m.d.comb += value.eq(Mux(place[1], halves[1], halves[0]))
            parts[point, part] = value
        m.d.comb += self.points.eq(
            Cat(
                parts[point, part][DATA_BITS * lane : DATA_BITS * (lane + 1)]
                for lane in range(lanes)
                for point in range(2)
                for part in range(2)
            )
        )
        return m

    def _taken(self, m: Module, place: Value) -> Value:
        """Return the number in the word, as old as what is read."""
        number = place[:WORD_BITS]
        return held(m, number, self.advance) if self.config.block_memory else number
