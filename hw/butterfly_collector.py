"""Takes the results of the butterfly chain: headroom, words."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_chain import pairs_layout
from .butterfly_feeder import local_number
from .butterfly_format import DATA_BITS
from .butterfly_order import WORD_BITS
from .butterfly_plan import (
    BEAT_BITS,
    HEADROOM_BITS,
    INDEX_BITS,
    place_bits,
    slot_bits,
    turn_layout,
    words_held,
)
from .config import AcceleratorConfig

MARGIN = 8
"""What rounding may add to the bound on a magnitude in one pass."""


def magnitude_bound(larger: Value, smaller: Value) -> Value:
    """Return a bound on the magnitude of a complex number, at most 9 % too large."""
    return (larger + (smaller >> 1) - (smaller >> 4) + MARGIN)[: DATA_BITS + 1]


class ButterflyCollector(wiring.Component):
    """Walks the beats of results; hands them to a `ButterflyScatter`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : stream of `turn_layout`, in
    input : stream of `butterfly_chain.pairs_layout`, in
    write, first, second, points : out, as a `ButterflyScatter` takes them
    completed : out; words of a group that is complete.
    freed : in; words that have been read.
    headroom_valid, headroom : out
        For one cycle a turn, once all its results have come: the bits that all magnitudes leave
        unused, signed.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.butterfly.lanes
        super().__init__(
            {
                "turn": In(stream.Signature(turn_layout(config, "collector"))),
                "input": In(stream.Signature(pairs_layout(lanes))),
                "write": Out(1),
                "first": Out(place_bits(config.butterfly)),
                "second": Out(place_bits(config.butterfly)),
                "points": Out(4 * DATA_BITS * lanes),
                "completed": Out(range(words_held(config.butterfly) + 1)),
                "freed": In(1),
                "headroom_valid": Out(1),
                "headroom": Out(signed(HEADROOM_BITS)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the counters and the reduction of magnitudes."""
        m = Module()
        turn = self.turn.payload
        taken = Signal()
        places, size, completes = self._count(m, taken)
        numbers = [
            number if index % 2 == 0 else Mux(turn.planes, number, 0)[:DATA_BITS]
            for pair in self.input.payload
            for index, number in enumerate(pair)
        ]
        m.d.comb += [
            self.write.eq(taken),
            self.first.eq(places[0]),
            self.second.eq(places[1]),
            self.points.eq(Cat(numbers)),
        ]
        m.d.sync += self.completed.eq(Mux(taken & completes, size, 0))
        self._reduce(m, numbers, taken, self.turn.ready)
        return m

    def _count(self, m: Module, taken: Signal):
        """Walk the beats; return the two places, the words of a group, and whether to tell of them.

        The last four beats of a folded pass take six cycles, whenever they come, and finish the
        words in an order in which they can be read a line a cycle from the first of them on; with
        one line a word, from the second on.
        """
        turn = self.turn.payload
        group, beat = Signal(INDEX_BITS), Signal(BEAT_BITS)
        base = Signal(slot_bits(self.config.butterfly))
        held = words_held(self.config.butterfly)
        room = Signal(range(held + 1), init=held)
        size, begins, ends, allowed = Signal(4), Signal(), Signal(), Signal()
        completes, last_group = Signal(), Signal()
        m.d.comb += [
            size.eq(Mux(turn.wide, 8, 4)),
            begins.eq(beat == 0),
            ends.eq(beat == Mux(turn.wide, 15, 7)),
            completes.eq(beat == Mux(turn.wide, Mux(turn.planes, 12, 13), 7)),
            allowed.eq(self.turn.valid & (~begins | (room >= size))),
            self.input.ready.eq(allowed),
            taken.eq(allowed & self.input.valid),
            self.turn.ready.eq(taken & ends & last_group),
        ]
        # Asked for in the last beat of a group.
        m.d.sync += last_group.eq(group == turn.groups)
        m.d.sync += room.eq(room + self.freed - Mux(taken & begins, size, 0))
        with m.If(taken):
            m.d.sync += beat.eq(beat + 1)
            with m.If(ends):
                m.d.sync += [beat.eq(0), base.eq(base + size)]
                m.d.sync += group.eq(Mux(last_group, 0, group + 1))
        places = []
        for value in range(2):
            local = local_number(turn.result, beat, value)
            slot = Signal.like(base, name=f"slot_{value}")
            m.d.comb += slot.eq(base + local[WORD_BITS:])
            places.append(Cat(local[:WORD_BITS], slot))
        return places, size, completes

    def _reduce(self, m: Module, numbers: list[Value], valid: Value, ends: Value) -> None:
        """Find the bits that the largest magnitude of a turn needs.

        The bits of the largest bound are those of all bounds or-ed together.
        """
        bounds = []
        for index in range(0, len(numbers), 2):
            parts = []
            for number in numbers[index : index + 2]:
                part = Signal(DATA_BITS - 1, reset_less=True, name=f"part_{index}")
                sign = number[-1].replicate(DATA_BITS - 1)
                m.d.sync += part.eq(number[:-1] ^ sign)
                parts.append(part)
            larger = Signal(DATA_BITS - 1, reset_less=True, name=f"larger_{index}")
            smaller = Signal(DATA_BITS - 1, reset_less=True, name=f"smaller_{index}")
            bound = Signal(DATA_BITS + 1, reset_less=True, name=f"bound_{index}")
            order = parts[0] > parts[1]
            m.d.sync += [
                larger.eq(Mux(order, parts[0], parts[1])),
                smaller.eq(Mux(order, parts[1], parts[0])),
                bound.eq(magnitude_bound(larger, smaller)),
            ]
            bounds.append(bound)
        flags = Cat(valid, ends)
        for _ in range(3):
            later = Signal(2, name="flags")
            m.d.sync += later.eq(flags)
            flags = later
        total = Signal(DATA_BITS + 1)
        union = Signal(DATA_BITS + 1)
        m.d.comb += union.eq(_union(bounds) | total)
        with m.If(flags[0]):
            m.d.sync += total.eq(Mux(flags[1], 0, union))
        used = Signal(range(DATA_BITS + 2))
        for bit in range(DATA_BITS + 1):
            with m.If(union[bit]):
                m.d.comb += used.eq(bit + 1)
        m.d.sync += [
            self.headroom_valid.eq(flags[0] & flags[1]),
            self.headroom.eq(DATA_BITS - 1 - used),
        ]


def _union(values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = result | value
    return result
