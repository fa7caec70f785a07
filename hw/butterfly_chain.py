"""Butterfly stages in a chain, on lanes that share every coefficient."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_commutator import ButterflyCommutator
from .butterfly_format import DATA_BITS, STAGE_BITS
from .butterfly_order import FOLDED
from .butterfly_unit import PAIR_VALUES, ButterflyUnit, control_layout, pair_layout
from .config import ButterflyConfig
from .queue import Queue
from .rounding import saturate

POINT_VALUES = PAIR_VALUES // 2
"""Real numbers in a point."""

FOLDED_BEATS = 4
FOLDED_CYCLES = 6
"""Beats of a folded set, and how long it keeps the stages."""

_FOLDED_REST = 20
"""Cycles after the last beat of a folded set in which its results come back to the first stage."""


def pairs_layout(lanes: int) -> data.ArrayLayout:
    """One pair a lane, as it is in the scratchpad."""
    return data.ArrayLayout(pair_layout(DATA_BITS), lanes)


def factor_places(config: ButterflyConfig) -> int:
    """Return how many factors a beat has controls for."""
    return FOLDED if config.stages > 1 else 1


def beat_layout(config: ButterflyConfig) -> data.StructLayout:
    """A pair a lane, and what is done with the pair of the same number at each factor.

    `folded` tells that the set has three factors.
    """
    return data.StructLayout(
        {
            "pairs": pairs_layout(config.lanes),
            "controls": data.ArrayLayout(control_layout, factor_places(config)),
            "folded": 1,
        }
    )


class ButterflyChain(wiring.Component):
    """One or two stages: two points a lane enter and two leave each cycle.

    A set of two stages is 2 beats. Name the bits of a point's number in its set q0, q1: the point
    enters in value q0 of beat q1, stage j combines the points that differ in qj, and the point
    leaves in value q1 of beat q0. Which bits of an index these are is a matter of addresses alone,
    and so are strides and their order. A stage that a pass does not need is told to PASS.

    A *folded* set has three factors and 4 beats, which follow each other without a gap. A point
    enters in value q0 of beat (q2 q1) and leaves in value q2 of beat (q1 q0), the bit on the right
    lowest. It takes `FOLDED_CYCLES` = 6 cycles, of which each of the two stages works four on its
    own factor and two on the third one: results of the second stage go through another
    commutator, the first two pairs one cycle later to the first stage, the others three cycles
    later to the second, in cycles that sets leave free which begin a multiple of six cycles apart.

    The i-th control of a factor is for the i-th pair that reaches it: value qj, the other
    bits in order, the first lowest. A beat is taken when there is room for its result: nothing
    stalls inside, and beats that are not folded may come with gaps. After a folded set they wait
    until it leaves the first stage alone.

    Parameters
    ----------
    config : ButterflyConfig
        Lanes and stages, 1 or 2.

    Members
    -------
    input : stream of `beat_layout`
    output : stream of `pairs_layout`
        Saturated to `DATA_BITS`. The first result of a set comes `latency` cycles after its
        first beat.
    saturated : out
        For one cycle: a number was limited, in some stage or at the end. Comes before the
        result can be taken.
    """

    def __init__(self, config: ButterflyConfig) -> None:
        self._config = config
        super().__init__(
            {
                "input": In(stream.Signature(beat_layout(config))),
                "output": Out(stream.Signature(pairs_layout(config.lanes))),
                "saturated": Out(1),
            }
        )

    @property
    def config(self) -> ButterflyConfig:
        """Lanes and stages."""
        return self._config

    @property
    def latency(self) -> int:
        """Cycles from the first beat of a set to its first result."""
        return self._depth + 3

    @property
    def folded_latency(self) -> int:
        """Cycles from the first beat of a folded set to its first result."""
        return self._depth + 15

    @property
    def _depth(self) -> int:
        """Cycles from the first beat to the end of the last stage."""
        return ButterflyUnit.LATENCY if self.config.stages == 1 else 2 * ButterflyUnit.LATENCY + 2

    @property
    def capacity(self) -> int:
        """Beats that may be inside, as many as never make a gap."""
        return self.latency + 2 if self.config.stages == 1 else self.folded_latency + 2

    def elaborate(self, platform: object) -> Module:
        """Return the stages, the commutators between them and the queue of results."""
        m = Module()
        taken = self._admit(m)
        # A scratchpad number is the same number with more sign bits.
        numbers = [number for pair in self.input.payload.pairs for number in pair]
        controls = self.input.payload.controls
        if self.config.stages == 1:
            self._deliver(m, *self._stage(m, 0, controls[0], taken, numbers))
            return m
        self._chain(m, taken, numbers, controls)
        return m

    def _admit(self, m: Module) -> Value:
        """Count the beats inside; return whether one is taken."""
        room = Signal(range(self.capacity + 1), init=self.capacity)
        has_room = Signal(init=1)
        taken, left = Signal(), Signal()
        # A single stage folds nothing.
        ready = self._admit_folded(m, taken, room, has_room) if self.config.stages > 1 else has_room
        m.d.comb += [
            self.input.ready.eq(ready),
            taken.eq(self.input.valid & self.input.ready),
            left.eq(self.output.valid & self.output.ready),
        ]
        m.d.sync += [
            room.eq(room + left - taken),
            has_room.eq(left | Mux(taken, room != 1, has_room)),
        ]
        return taken

    def _admit_folded(self, m: Module, taken: Value, room: Value, has_room: Value) -> Value:
        """Return whether a beat may be taken where sets may be folded.

        A folded set begins in every sixth cycle or later, in step with those before it that are
        still inside.
        """
        folded = self.input.payload.folded
        rest = Signal(range(_FOLDED_REST + 1))
        rested = Signal(init=1)
        phase, self._place = Signal(range(FOLDED_CYCLES)), Signal(2, name="place")
        place = self._place
        begins = ((phase == 0) | rested) & (room >= FOLDED_BEATS)
        in_turn = Mux(phase == FOLDED_CYCLES - 1, 0, phase + 1)
        m.d.sync += [
            phase.eq(Mux(taken & folded & (place == 0), 1, in_turn)),
            place.eq(place + (taken & folded)),
            rest.eq(Mux(taken & folded, _FOLDED_REST, Mux(rested, 0, rest - 1))),
            rested.eq(~(taken & folded) & (rested | (rest == 1))),
        ]
        return Mux(folded, (place != 0) | begins, has_room & rested)

    def _chain(self, m: Module, taken: Value, numbers: list[Value], controls) -> None:
        """Connect two stages, forward and for folded sets back."""
        folded = self.input.payload.folded
        back = [Signal(name=f"back_valid_{index}") for index in range(2)]
        back_numbers = [
            [Signal(signed(STAGE_BITS), name=f"back_{index}") for _ in numbers]
            for index in range(2)
        ]
        third = taken & folded
        kept = [
            self._queue(
                m, f"third_{index}", controls[2], third & (self._place[1] == index), back[index]
            )
            for index in range(2)
        ]
        first = self._stage(
            m,
            0,
            self._choose(back[0], kept[0], controls[0]),
            taken | back[0],
            [Mux(back[0], *pair) for pair in zip(back_numbers[0], numbers, strict=True)],
            (back[0],),
        )
        first_valid, first_numbers, first_flag, (first_third,) = first
        valid, numbers = self._commute(m, "forward", 1, first_valid & ~first_third, first_numbers)
        second_control = Cat(controls[1].as_value(), folded)
        second_kept = self._queue(m, "second", second_control, taken, valid)
        goes_back = second_kept[-1] & ~back[1]
        second = self._stage(
            m,
            1,
            self._choose(back[1], kept[1], second_kept[:-1]),
            valid | back[1],
            [Mux(back[1], *pair) for pair in zip(back_numbers[1], numbers, strict=True)],
            (goes_back,),
        )
        second_valid, second_numbers, second_flag, (second_back,) = second
        self._return(m, second_valid & second_back, second_numbers, back, back_numbers)
        third_first = first_valid & first_third
        results = [
            Mux(third_first, one, two)
            for one, two in zip(first_numbers, second_numbers, strict=True)
        ]
        leaves = third_first | (second_valid & ~second_back)
        self._deliver(m, leaves, results, first_flag | second_flag)

    def _choose(self, condition: Value, one, two):
        """Return one of two controls."""
        return control_layout(Mux(condition, Value.cast(one), Value.cast(two)))

    def _queue(self, m: Module, name: str, value, write: Value, read: Value) -> Value:
        """Keep controls at their stage, once for all lanes; return the oldest."""
        bits = Value.cast(value)
        queue = Queue(width=len(bits), depth=self.capacity)
        m.submodules[f"controls_{name}"] = queue
        m.d.comb += [queue.w_data.eq(bits), queue.w_en.eq(write), queue.r_en.eq(read)]
        return queue.r_data

    def _return(self, m: Module, valid: Value, numbers: list[Value], back, back_numbers) -> None:
        """Lead results of the second factor back: two pairs to each stage."""
        valid, numbers = self._commute(m, "back", 2, valid, numbers)
        count = Signal(2)
        m.d.sync += count.eq(count + valid)
        to_first, to_second = valid & ~count[1], valid & count[1]
        for delay in range(3):
            registers = [Signal(signed(STAGE_BITS), reset_less=True, name="back") for _ in numbers]
            valid_first = Signal(name=f"to_first_{delay}")
            valid_second = Signal(name=f"to_second_{delay}")
            m.d.sync += [register.eq(n) for register, n in zip(registers, numbers, strict=True)]
            m.d.sync += [valid_first.eq(to_first), valid_second.eq(to_second)]
            to_first, to_second, numbers = valid_first, valid_second, registers
            if delay in (0, 2):
                index = delay // 2
                m.d.comb += back[index].eq((valid_first, valid_second)[index])
                m.d.comb += [
                    each.eq(n) for each, n in zip(back_numbers[index], numbers, strict=True)
                ]

    def _stage(self, m: Module, stage: int, control, valid: Value, numbers, tags=()):
        """Return valid, the numbers, the flag and the tags behind the units of `stage`."""
        results, flags = [], []
        for lane in range(self.config.lanes):
            # What leaves a single stage is as wide as what enters it.
            alone = self.config.stages == 1
            unit = ButterflyUnit(DATA_BITS if alone else STAGE_BITS, can_pass=not alone)
            m.submodules[f"stage_{stage}_lane_{lane}"] = unit
            pair = numbers[PAIR_VALUES * lane : PAIR_VALUES * (lane + 1)]
            m.d.comb += unit.control.eq(control)
            m.d.comb += [unit.pair[index].eq(number) for index, number in enumerate(pair)]
            results += list(unit.result)
            flags.append(unit.saturated)
        delayed = []
        for index, value in enumerate((valid, *tags)):
            passing = Signal(ButterflyUnit.LATENCY, name=f"passing_{stage}_{index}")
            m.d.sync += passing.eq(Cat(value, passing))
            delayed.append(passing[-1])
        flag = delayed[0] & Cat(flags).any()
        if not tags:
            return delayed[0], results, flag
        return delayed[0], results, flag, tuple(delayed[1:])

    def _commute(self, m: Module, name: str, delay: int, valid: Value, numbers: list[Value]):
        """Return valid and the numbers behind a commutator."""
        width = self.config.lanes * POINT_VALUES * STAGE_BITS
        commutator = ButterflyCommutator(width, delay)
        m.submodules[f"commutator_{name}"] = commutator
        starts = range(0, len(numbers), PAIR_VALUES)
        firsts = [numbers[start : start + POINT_VALUES] for start in starts]
        seconds = [numbers[start + POINT_VALUES : start + PAIR_VALUES] for start in starts]
        m.d.comb += [
            commutator.valid.eq(valid),
            commutator.first.eq(Cat(firsts)),
            commutator.second.eq(Cat(seconds)),
        ]
        result = []
        for lane in range(self.config.lanes):
            for point in (commutator.output_first, commutator.output_second):
                parts = range(POINT_VALUES * lane, POINT_VALUES * (lane + 1))
                result += [point.word_select(part, STAGE_BITS).as_signed() for part in parts]
        return commutator.output_valid, result

    def _deliver(self, m: Module, valid: Value, numbers: list[Value], flag: Value) -> None:
        """Limit numbers to `DATA_BITS` and queue them."""
        layout = pairs_layout(self.config.lanes)
        queue = Queue(width=layout.size, depth=self.capacity, latency=2)
        m.submodules.results = queue
        narrow = [saturate(number, DATA_BITS) for number in numbers]
        changed = [number != less for number, less in zip(numbers, narrow, strict=True)]
        results = Signal(layout.size, reset_less=True)
        results_valid = Signal()
        m.d.sync += [
            results.eq(Cat(number[:DATA_BITS] for number in narrow)),
            results_valid.eq(valid),
            self.saturated.eq(flag | (valid & Cat(changed).any())),
        ]
        m.d.comb += [
            queue.w_data.eq(results),
            queue.w_en.eq(results_valid),
            self.output.payload.eq(queue.r_data),
            self.output.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.output.ready),
        ]
