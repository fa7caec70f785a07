"""Gives pairs and coefficients to the butterfly chain."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_address import insert
from .butterfly_chain import beat_layout
from .butterfly_format import DATA_BITS, Mode
from .butterfly_gather import ButterflyGather
from .butterfly_order import WORD_BITS
from .butterfly_plan import (
    BEAT_BITS,
    INDEX_BITS,
    LOCAL_BITS,
    VALUE,
    Reversal,
    most_factors,
    place_bits,
    slot_bits,
    turn_layout,
    words_held,
)
from .butterfly_twiddles import ANGLE_BITS, ButterflyTwiddles
from .config import AcceleratorConfig
from .ports import WORD_BITS as MEMORY_WORD_BITS


def local_number(selection: data.View, beat: Value, value: int) -> Value:
    """Return the local number of the first (`value` = 0) or second point of a pair."""
    bits = Cat(beat, value)
    assert len(bits) == VALUE + 1
    return Cat(bits.bit_select(selection[bit], 1) for bit in range(LOCAL_BITS))


def feeder_latency(config: AcceleratorConfig) -> int:
    """Return the cycles between the counters of a feeder and the chain."""
    return 5 + config.butterfly.pipelined


class ButterflyFeeder(wiring.Component):
    """Walks the beats of a turn: a pair a lane, and the coefficients of each stage, every cycle.

    A group begins when all its words are there. `feeder_latency` cycles lie between the counters
    and the chain.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : stream of `turn_layout`, in
    gather : as `ButterflyReader` gives it (write, imaginary, slot, words)
    arrived : in; a word has come.
    freed : out; words that may be overwritten.
    coefficients, coefficients_valid : in, from `ButterflyCoefficients`
    take, end, factors : out, to it
    output : stream of `butterfly_chain.beat_layout`, out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._latency = feeder_latency(config)
        lanes, count = config.butterfly.lanes, most_factors(config)
        super().__init__(
            {
                "turn": In(stream.Signature(turn_layout(config, "feeder"))),
                "write": In(1),
                "imaginary": In(1),
                "slot": In(slot_bits(config.butterfly)),
                "words": In(MEMORY_WORD_BITS * lanes),
                "arrived": In(1),
                "freed": Out(range(words_held(config.butterfly) + 1)),
                "coefficients": In(data.ArrayLayout(MEMORY_WORD_BITS, count)),
                "coefficients_valid": In(count),
                "take": Out(1),
                "end": Out(1),
                "factors": Out(2),
                "output": Out(stream.Signature(beat_layout(config.butterfly))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the counters and the pipeline behind them."""
        m = Module()
        turn = self.turn.payload
        go, step = Signal(), Signal()
        # What all points wait for, and the same for the counters, which wait for no other.
        self._go, vacant = Signal(), Signal(init=1)
        group, beat, base, last_group = self._count(m, go, step)
        valid = [step]
        for _ in range(self._latency):
            valid.append(self._step(m, valid[-1], reset_less=False))
        # A beat may leave while those behind it wait, so that the beats of a set stay together.
        with m.If(go):
            m.d.sync += vacant.eq(~valid[-2])
        with m.Elif(self.output.ready):
            m.d.sync += [valid[-1].eq(0), vacant.eq(1)]

        # What the last stages need of the turn.
        count = most_factors(self.config)
        last_beat = beat == Mux(turn.wide, 15, 7)
        constants = Cat(
            turn.modes.as_value(),
            turn.scales.as_value(),
            turn.factors,
            turn.inverse,
            ~turn.planes,
            turn.wide,
            last_beat,
            last_beat & last_group,
        )
        for _ in range(self._latency - 2):
            constants = self._step(m, constants)
        layout = data.StructLayout(
            {
                "modes": turn.modes.shape(),
                "scales": turn.scales.shape(),
                "factors": 2,
                "inverse": 1,
                "real": 1,
                "wide": 1,
                "group_ends": 1,
                "turn_ends": 1,
            }
        )
        before = data.View(layout, constants)
        late = data.View(layout, self._step(m, constants))
        is_product = self._step(m, before.modes[0] == Mode.REAL)
        needs = Cat(
            valid[-3] & (before.modes[0] == Mode.REAL) & (factor < before.factors)
            for factor in range(count)
        )
        needed = self._step(m, needs, reset_less=False)
        missing = (needed & ~self.coefficients_valid).any()
        taken = go & valid[-2]
        m.d.comb += [
            go.eq((vacant | self.output.ready) & ~missing),
            self._go.eq((~valid[-1] | self.output.ready) & ~missing),
            self.output.valid.eq(valid[-1]),
            self.output.payload.folded.eq(self._step(m, late.wide)),
            self.take.eq(taken & is_product),
            self.end.eq(late.turn_ends),
            self.factors.eq(late.factors),
            self.freed.eq(Mux(taken & late.group_ends, Mux(late.wide, 8, 4), 0)),
        ]
        self._points(m, turn, beat, base, late.real)
        self._controls(m, turn, group, beat, late)
        return m

    def _step(self, m: Module, value: Value, *, reset_less: bool = True) -> Signal:
        register = Signal(len(value), reset_less=reset_less, name="stepped")
        with m.If(self._go):
            m.d.sync += register.eq(value)
        return register

    def _count(self, m: Module, go: Signal, step: Signal) -> tuple[Signal, ...]:
        """Walk the beats; return group, beat, slot of the group's first word, it is the last group.

        The last is known in the last beats of a group.
        """
        turn = self.turn.payload
        group, beat = Signal(INDEX_BITS), Signal(BEAT_BITS)
        base = Signal.like(self.slot)
        there = Signal.like(self.freed)
        size, begins, ends, last_group = Signal(4), Signal(), Signal(), Signal()
        m.d.comb += [
            size.eq(Mux(turn.wide, 8, 4)),
            begins.eq(beat == 0),
            ends.eq(beat == Mux(turn.wide, 15, 7)),
            step.eq(self.turn.valid & go & (~begins | (there >= size))),
            self.turn.ready.eq(step & ends & last_group),
        ]
        m.d.sync += last_group.eq(group == turn.groups)
        m.d.sync += there.eq(there + self.arrived - Mux(step & begins, size, 0))
        with m.If(step):
            m.d.sync += beat.eq(beat + 1)
            with m.If(ends):
                m.d.sync += [beat.eq(0), base.eq(base + size)]
                m.d.sync += group.eq(Mux(last_group, 0, group + 1))
        return group, beat, base, last_group

    def _points(self, m: Module, turn, beat: Value, base: Value, real: Value) -> None:
        """Read the points of a beat, in the cycles before the last one."""
        m.submodules.gather = gather = ButterflyGather(self.config.butterfly)
        m.d.comb += [
            gather.write.eq(self.write),
            gather.imaginary.eq(self.imaginary),
            gather.slot.eq(self.slot),
            gather.words.eq(self.words),
            gather.advance.eq(self._go),
        ]
        slot = self._step(m, base)
        reversal = self._step(m, turn.reversal.as_value())
        for value, port in enumerate((gather.first, gather.second)):
            local = self._step(m, local_number(turn.selections[0], beat, value))
            place = Signal(place_bits(self.config.butterfly))
            m.d.comb += place.eq(self._place(m, local, slot, reversal))
            # Block RAM has a register of its own for the place.
            for _ in range(self._latency - 2 - self.config.butterfly.block_memory):
                place = self._step(m, place)
            m.d.comb += port.eq(place)
        # In front of a register, where it is a reset.
        points = [
            Mux(real, 0, number) if index % 2 else number
            for index, number in enumerate(
                gather.points.word_select(place, DATA_BITS)
                for place in range(4 * self.config.butterfly.lanes)
            )
        ]
        m.d.comb += self.output.payload.pairs.eq(self._step(m, Cat(points)))

    def _place(self, m: Module, local: Value, base: Value, reversal: Value) -> Value:
        """Return slot and number in the word of a point of X, or of what a pass has left."""
        number, word = Signal(WORD_BITS), Signal(3)
        m.d.comb += [number.eq(local[:WORD_BITS]), word.eq(local[WORD_BITS:])]
        with m.Switch(reversal):
            with m.Case(Reversal.LONG):
                m.d.comb += [number.eq(Cat(local[3], local[2])), word.eq(local[:2])]
            with m.Case(Reversal.EIGHT):
                m.d.comb += [
                    number.eq(Cat(local[2], local[1])),
                    word.eq(Cat(local[0], local[3], local[4])),
                ]
            with m.Case(Reversal.FOUR):
                m.d.comb += number.eq(Cat(local[1], local[0]))
        slot = Signal.like(self.slot)
        m.d.comb += slot.eq(base + word)
        return Cat(number, slot)

    def _controls(self, m: Module, turn, group: Value, beat: Value, late) -> None:
        """Give each stage what it does with its pair of this number."""
        controls = self.output.payload.controls
        group_1 = self._step(m, group)
        window, wide = self._step(m, turn.window), self._step(m, turn.wide)
        for factor in range(most_factors(self.config)):
            twiddles = ButterflyTwiddles(pipelined=self.config.butterfly.pipelined)
            m.submodules[f"twiddles_{factor}"] = twiddles
            local = self._step(m, local_number(turn.selections[factor], beat, 0))
            element = self._step(
                m, Cat(local[:WORD_BITS], insert(group_1, local[WORD_BITS:], window, wide))
            )
            log_stride = self._step(m, self._step(m, turn.log_strides[factor]))
            tokens = self._step(m, self._step(m, turn.tokens))
            point = Mux(tokens, element >> WORD_BITS, element)[:ANGLE_BITS]
            angle = self._step(m, (point << (ANGLE_BITS - log_stride)[:4])[:ANGLE_BITS])
            words = self._step(m, self.coefficients[factor])
            mode = self._step(m, late.modes[factor].as_value())
            m.d.comb += [
                twiddles.advance.eq(self._go),
                twiddles.inverse.eq(late.inverse),
                twiddles.angle.eq(angle),
                controls[factor].mode.eq(mode),
                controls[factor].scale.eq(self._step(m, late.scales[factor])),
                controls[factor].coefficients.eq(
                    Mux(mode == Mode.REAL, words, twiddles.coefficients.as_value())
                ),
            ]
