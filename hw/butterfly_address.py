"""Where the words of a group lie in the scratchpad."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .butterfly_order import MAXIMUM_LOG_POINTS, WORD_BITS
from .butterfly_plan import INDEX_BITS, Reversal, access_layout
from .config import AcceleratorConfig
from .ports import address_width, read_request_layout

_NUMBER_BITS = INDEX_BITS + 3
"""Bits of the number of a word in a vector: the last group may reach beyond the last one."""


def insert(group: Value, word: Value, window: Value, wide: Value) -> Value:
    """Return the number of word `word` (3 bits) of `group`: the window's bits put between."""
    mask = _ones(window, len(group))
    high = group & ~mask
    spread = Cat(Const(0, 2), Mux(wide, high << 1, high))
    return (spread | (group & mask) | (word << window))[:_NUMBER_BITS]


def _ones(count: Value, width: int) -> Value:
    """Return `width` bits of which the lowest `count` are set."""
    return Cat(place < count for place in range(width))


def element_index(
    m: Module, group: Value, number: Value, window: Value, wide: Value, reversal: Value
) -> Signal:
    """Return the element index of the first point of word `number`, before any reversal."""
    word, place = Signal(3), Signal(WORD_BITS)
    m.d.comb += word.eq(number)
    with m.Switch(reversal):
        with m.Case(Reversal.LONG):
            m.d.comb += [word.eq(0), place.eq(number[:WORD_BITS])]
        with m.Case(Reversal.EIGHT):
            m.d.comb += [word.eq(Cat(0, number[1:])), place.eq(number[0])]
    element = Signal(_NUMBER_BITS + WORD_BITS)
    m.d.comb += element.eq(Cat(place, insert(group, word, window, wide)))
    return element


def reverse(element: Value, tokens: Value, log_points: Value) -> Value:
    """Return the number of the word of `element` with the bits of its point reversed."""
    point = Mux(tokens, element >> WORD_BITS, element)
    low = point[:MAXIMUM_LOG_POINTS]
    mirrored = Cat(*reversed(list(low))) >> (MAXIMUM_LOG_POINTS - log_points)[:4]
    result = (point & ~_ones(log_points, len(element))) | mirrored
    return Mux(tokens, result, result >> WORD_BITS)[:_NUMBER_BITS]


class ButterflyAddress(wiring.Component):
    """Turns group, word and plane into an address, in `LATENCY` steps.

    The number of the word is ``group`` with the bits of the word put in at the window; if
    `reverses`, its bits (on HIDDEN those of a point) are reversed inside a transform. Nothing
    moves unless `advance`.

    Parameters
    ----------
    config : AcceleratorConfig
    tag_bits : int
        Bits of what travels beside, at least 1.
    can_reverse : bool
        Whether bits of numbers can be reversed; `reversal`, `reverses`, `tokens` and `log_points`
        have no effect otherwise.

    Members
    -------
    advance, valid, tag : in
    group, word, plane : in
    access, window, wide, reversal, reverses : in, as in `butterfly_plan.turn_layout`
    tokens, log_points : in, fields of the instruction
    output_valid, output_tag, request : out
    output_vacant : out; ``~output_valid`` in a register of its own, for who walks.
    inside : out; the word is part of the matrix.
    """

    LATENCY = 5

    def __init__(
        self, config: AcceleratorConfig, tag_bits: int, *, can_reverse: bool = True
    ) -> None:
        self._config = config
        self._can_reverse = can_reverse
        self._tag_bits = tag_bits
        super().__init__(
            {
                "advance": In(1),
                "valid": In(1),
                "tag": In(tag_bits),
                "group": In(INDEX_BITS),
                "word": In(3),
                "plane": In(1),
                "access": In(access_layout(config)),
                "window": In(4),
                "wide": In(1),
                "reversal": In(Reversal),
                "reverses": In(1),
                "tokens": In(1),
                "log_points": In(4),
                "output_valid": Out(1),
                "output_vacant": Out(1, init=1),
                "output_tag": Out(tag_bits),
                "request": Out(read_request_layout(config)),
                "inside": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def tag_bits(self) -> int:
        """Bits of a tag."""
        return self._tag_bits

    @property
    def can_reverse(self) -> bool:
        """Whether bits of numbers can be reversed."""
        return self._can_reverse

    def elaborate(self, platform: object) -> Module:
        """Return the pipeline: insertion, reversal, operands, product, sum."""
        m = Module()
        access = self.access
        reversal = self.reversal if self.can_reverse else Const(Reversal.NONE.value, 2)
        element = element_index(m, self.group, self.word, self.window, self.wide, reversal)
        element = self._step(m, element)
        constants = Cat(
            Mux(self.plane, access.imaginary, access.base), access.step, access.pitch, access.limit
        )
        widths = (address_width(self.config), 16, 16, len(access.limit))
        number = element[WORD_BITS:]
        if self.can_reverse:
            tokens, log_points = self._step(m, self.tokens), self._step(m, self.log_points)
            mirrored = reverse(element, tokens, log_points)
            number = Mux(self._step(m, self.reverses), mirrored, number)
        constants = self._step(m, constants)
        number = self._step(m, number)
        constants = self._step(m, constants)
        operand = self._step(m, number)
        _, step, _, limit = _split(constants, widths)
        factor = self._step(m, step)
        inside = self._step(m, number < limit)
        constants = self._step(m, constants)
        product = self._step(m, (operand * factor)[: widths[0]])
        inside = self._step(m, inside)
        base, _, pitch, _ = _split(self._step(m, constants), widths)
        address = self._step(m, (base + product)[: widths[0]])
        m.d.comb += [
            self.request.address.eq(address),
            self.request.pitch.eq(self._step(m, pitch)),
            self.inside.eq(self._step(m, inside)),
        ]
        tag, valid = self.tag, self.valid
        for _ in range(self.LATENCY):
            tag = self._step(m, tag)
            before, valid = valid, self._step(m, valid, reset_less=False)
        with m.If(self.advance):
            m.d.sync += self.output_vacant.eq(~before)
        m.d.comb += [self.output_tag.eq(tag), self.output_valid.eq(valid)]
        return m

    def _step(self, m: Module, value: Value, *, reset_less: bool = True) -> Signal:
        """Return a register that takes `value` when the pipeline advances."""
        register = Signal(len(value), reset_less=reset_less, name="stepped")
        with m.If(self.advance):
            m.d.sync += register.eq(value)
        return register


def _split(value: Value, widths: tuple[int, ...]) -> list[Value]:
    """Take apart what `Cat` put together."""
    parts, low = [], 0
    for width in widths:
        parts.append(value[low : low + width])
        low += width
    return parts
