"""Properties of the butterfly unit's addresses: each word once a pass, free of conflict."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...hw.butterfly_address import ButterflyAddress, element_index, reverse
from ...hw.butterfly_order import MAXIMUM_LOG_POINTS, WORD_BITS
from ...hw.butterfly_plan import INDEX_BITS, Reversal
from ...hw.config import AcceleratorConfig


class WordsComeOnce(wiring.Component):
    """Two words of groups have the same number only if they are the same word of the same group.

    For every place of the window that an instruction can have, groups of four and of eight words,
    every n, and with a reversal of the bits of a row or of a point. And if the words of a vector
    are whole groups, the numbers are those of its words: a pass, which has as many words as the
    vector, visits each exactly once.
    """

    def __init__(self) -> None:
        layout: dict[str, Any] = {}
        for index in range(2):
            layout |= {f"group{index}": In(INDEX_BITS), f"word{index}": In(3)}
        super().__init__(
            {
                **layout,
                "words": In(INDEX_BITS + 1),
                "window": In(4),
                "wide": In(1),
                "reversal": In(Reversal),
                "reverses": In(1),
                "tokens": In(1),
                "log_points": In(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return two copies of the hardware's numbering."""
        m = Module()
        size_bits = Mux(self.wide, 3, 2)
        long = self.reversal == Reversal.LONG
        rows = self.reverses & self.tokens
        # What `hw.butterfly_pass` gives: the lowest window is that of short transforms.
        inside = self.window + size_bits <= self.log_points - Mux(self.tokens, 0, 2)
        m.d.comb += [
            Assume((self.log_points >= 1) & (self.log_points <= MAXIMUM_LOG_POINTS)),
            Assume((self.window == 0) | inside),
            Assume(self.reverses | (self.reversal == Reversal.NONE)),
            Assume(~self.tokens | (self.reversal == Reversal.NONE)),
            Assume(~long | ((self.log_points >= 4) & ~self.wide)),
            Assume(~long | (self.window == self.log_points - 4)),
            Assume((self.reversal != Reversal.EIGHT) | (self.log_points == 3)),
            Assume((self.reversal != Reversal.FOUR) | (self.log_points == 2)),
            Assume(
                ~self.reverses
                | self.tokens
                | (self.reversal != Reversal.NONE)
                | (self.log_points == 1)
            ),
            Assume(long | ~self.reverses | self.tokens | (self.window == 0)),
        ]
        granule, span = Signal(5), Signal(4)
        m.d.comb += [
            granule.eq(self.window + size_bits),
            span.eq(Mux(rows, self.log_points, Mux(long, self.log_points - 2, 0))),
            Assume(self._is_multiple(granule) & self._is_multiple(span)),
            Assume(self.words <= 1 << INDEX_BITS),
        ]
        numbers = []
        for index in range(2):
            group, word = getattr(self, f"group{index}"), getattr(self, f"word{index}")
            element = element_index(m, group, word, self.window, self.wide, self.reversal)
            mirrored = reverse(element, self.tokens, self.log_points)
            number = Signal(len(mirrored), name=f"number{index}")
            m.d.comb += number.eq(Mux(self.reverses, mirrored, element[WORD_BITS:]))
            m.d.comb += [
                Assume(self.wide | ~word[2]),
                Assume((group << size_bits) < self.words),
                Assert(number < self.words),
            ]
            numbers.append(number)
        same = (self.group0 == self.group1) & (self.word0 == self.word1)
        m.d.comb += Assert((numbers[0] != numbers[1]) | same)
        return m

    def _is_multiple(self, bits: Value) -> Value:
        """Return whether `words` is a multiple of two to the power of `bits`."""
        return ~Cat(self.words[bit] & (bit < bits) for bit in range(INDEX_BITS + 1)).any()


class RequestsAreSkewed(wiring.Component):
    """What `ButterflyAddress` asks for has the pitch that it was given.

    That is 1 or a pitch which `hw.butterfly_check` has found to be 1 modulo the banks, so that
    `formal.scratchpad.LanesFindTheirWords` holds for every access.

    Parameters
    ----------
    config : AcceleratorConfig
        What is proven for.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.inner = ButterflyAddress(config, 1)
        members = {
            name: member
            for name, member in self.inner.signature.members.items()
            if member.flow is In and name != "advance"
        }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Return the pipeline beside registers of the pitch."""
        m = Module()
        m.submodules.inner = inner = self.inner
        for name in self.signature.members:
            m.d.comb += getattr(inner, name).eq(getattr(self, name))
        bank_bits = (self.config.lanes - 1).bit_length()
        m.d.comb += [
            inner.advance.eq(1),
            Assume(self.access.pitch[:bank_bits] == 1),
            Assert(~inner.output_valid | (inner.request.pitch[:bank_bits] == 1)),
        ]
        return m
