"""What a pass of the butterfly unit does: strides, groups, order of beats."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_format import Mode
from .butterfly_order import FOLDED, WORD_BITS
from .butterfly_plan import (
    COUNT_BITS,
    LOCAL_BITS,
    VALUE,
    Reversal,
    most_factors,
    turn_layout,
)
from .config import AcceleratorConfig
from .isa import Axis, Butterfly, ButterflyMode

PASS_MEMBERS = (
    "groups",
    "window",
    "wide",
    "reversal",
    "reverses",
    "selections",
    "result",
    "result_bit",
    "modes",
    "log_strides",
    "factors",
    "lines",
)
"""Members of `turn_layout` that are the same in all turns of a pass and follow from its factors."""

_FIELDS = (
    "mode",
    "axis",
    "decreasing",
    "bit_reversed",
    "log_points",
    "log_stride",
    "stages",
)
shape_layout = data.StructLayout(
    {
        **{name: Butterfly.as_shape()[name].shape for name in _FIELDS},
        "words": COUNT_BITS,
    }
)
"""What passes follow from: fields of the instruction, and words of a vector."""


def shape_of(plan: data.View) -> Value:
    """Return the bits of the `shape_layout` of a plan."""
    return Cat(*(plan.fields[name] for name in _FIELDS), plan.words)


def _sum(values: Sequence[Value]) -> Value:
    total: Value = Const(0, 1)
    for value in values:
        total = total + value
    return total


def selection(own: Value, inside: Sequence[tuple[Value, Value | int]]) -> list[Value]:
    """Return for each bit of a local number the bit of a beat that it is, or `VALUE`.

    Parameters
    ----------
    own : Value
        The bit in which the pair differs.
    inside : sequence of (Value, Value)
        The bits of the other factors of a set, which are the lowest bits of the beat, and whether
        there is such a factor.
    """
    result = []
    used = [
        Cat(own == bit, *(there & (place == bit) for place, there in inside)).any()
        for bit in range(LOCAL_BITS)
    ]
    count = _sum([Value.cast(there) for _, there in inside])
    for bit in range(LOCAL_BITS):
        rank = (count + _sum([~used[lower] for lower in range(bit)]))[:3]
        for index, (place, there) in enumerate(inside):
            rank = Mux(there & (place == bit), index, rank)
        result.append(Mux(own == bit, VALUE, rank))
    return result


class ButterflyPass(wiring.Component):
    """Works out, `latency` cycles after `first`, what `hw.butterfly_order.plan_passes` says.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    shape : `shape_layout`, in
    first : in; number of the first factor of the pass.
    factors : out; how many it has.
    is_last : out
    turn : `turn_layout`, out; of it `PASS_MEMBERS`.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "shape": In(shape_layout),
                "first": In(4),
                "factors": Out(2),
                "is_last": Out(1),
                "turn": Out(turn_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def latency(self) -> int:
        """Cycles from the inputs to the outputs."""
        return 4 + self.config.butterfly.pipelined

    def elaborate(self, platform: object) -> Module:
        """Return registers, each cycle's from those of the cycle before."""
        m = Module()
        turn = self.turn
        fields = Signal(shape_layout)
        if self.config.butterfly.pipelined:
            m.d.sync += fields.eq(self.shape)
        else:
            m.d.comb += fields.eq(self.shape)
        chained = self.config.butterfly.stages
        tokens = fields.axis == Axis.TOKENS
        is_first = self.first == 0
        left = Signal(5)
        m.d.comb += left.eq(fields.stages - self.first)
        folds = (left == FOLDED) & (chained > 1)
        m.d.sync += [
            self.is_last.eq((left <= chained) | folds),
            self.factors.eq(Mux((left < chained) | folds, left, chained)),
            turn.wide.eq(folds),
        ]
        bits = self._bits(m, fields, tokens)
        window = self._window(m, fields, tokens, is_first, bits)
        self._locals(m, window, bits)

        reversed_here = fields.bit_reversed & is_first
        lanes_bits = (self.config.lanes - 1).bit_length()
        beats, words = Signal(20), fields.words
        m.d.comb += beats.eq((turn.groups + 1) << Mux(turn.wide, 4, 3))
        m.d.sync += [
            turn.reverses.eq(reversed_here),
            turn.reversal.eq(Reversal.NONE),
            turn.groups.eq(Mux(turn.wide, (words + 7) >> 3, (words + 3) >> 2) - 1),
            turn.window.eq(window - WORD_BITS),
            turn.lines.eq((beats - 1) >> lanes_bits),
            turn.factors.eq(self.factors),
        ]
        with m.If(reversed_here & ~tokens), m.Switch(fields.log_points):
            with m.Case(1):
                pass
            with m.Case(2):
                m.d.sync += turn.reversal.eq(Reversal.FOUR)
            with m.Case(3):
                m.d.sync += turn.reversal.eq(Reversal.EIGHT)
            with m.Default():
                m.d.sync += turn.reversal.eq(Reversal.LONG)
        kind = Mux(fields.mode == ButterflyMode.REAL, Mode.REAL, Mode.COMPLEX)
        for factor, bit in enumerate(bits):
            m.d.sync += [
                turn.log_strides[factor].eq(bit - Mux(tokens, WORD_BITS, 0)),
                turn.modes[factor].eq(Mux(factor < self.factors, kind, Mode.PASS)),
            ]
        return m

    def _bits(self, m: Module, fields, tokens: Value) -> list[Signal]:
        """Return the bit of the element index that each factor combines."""
        bits = []
        base = Signal(6)
        m.d.comb += base.eq(fields.log_stride + Mux(tokens, WORD_BITS, 0))
        for factor in range(most_factors(self.config)):
            bit = Signal(6, name=f"bit_{factor}")
            number = self.first + factor
            m.d.sync += bit.eq(Mux(fields.decreasing, base - number, base + number))
            bits.append(bit)
        return bits

    def _window(self, m: Module, fields, tokens, is_first, bits) -> Signal:
        """Return the lowest bit of the window, two cycles after `first`."""
        highest = bits[0]
        for factor, bit in enumerate(bits[1:], start=1):
            highest = Mux(~fields.decreasing & (self.factors > factor), bit, highest)
        reversed_rows = fields.bit_reversed & is_first & ~tokens
        top = Mux(reversed_rows, fields.log_points, highest + 1)
        window = Signal(5)
        size = Mux(self.turn.wide, 3, 2)
        m.d.sync += window.eq(Mux(top < WORD_BITS + size, WORD_BITS, top - size))
        return window

    def _locals(self, m: Module, window: Signal, bits: list[Signal]) -> None:
        """Fill the selections, four cycles after `first`."""
        places = []
        for factor, bit in enumerate(bits):
            place = Signal(3, name=f"place_{factor}")
            m.d.sync += place.eq(Mux(bit < WORD_BITS, bit, bit - window + WORD_BITS))
            places.append(place)
        spare = Signal(3)
        m.d.comb += spare.eq(places[0] == 0)
        turn = self.turn
        if len(places) == 1:
            orders = [selection(places[0], [(spare, 1)])]
            result, result_bit = orders[0], places[0]
        else:
            first, second, third, wide = places[0], Signal(3), places[2], turn.wide
            m.d.comb += second.eq(Mux(self.factors > 1, places[1], spare))
            orders = [
                selection(first, [(second, 1), (third, wide)]),
                selection(second, [(first, 1), (third, wide)]),
                selection(third, [(first, 1), (second, 1)]),
            ]
            result = [Mux(wide, two, one) for one, two in zip(orders[1], orders[2], strict=True)]
            result_bit = Mux(wide, third, second)
        m.d.sync += turn.result_bit.eq(result_bit)
        for order, target in zip([*orders, result], [*turn.selections, turn.result], strict=True):
            m.d.sync += [target[bit].eq(value) for bit, value in enumerate(order)]
