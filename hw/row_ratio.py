"""Divides by the root of a row."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from .iterative import IterativeStage
from .row_moments import MEAN_BITS
from .row_root import ROOT_BITS, root_layout
from .vector_lane import RATIO_BITS

ratio_layout = data.StructLayout(
    {
        "negative": 1,
        "mean": MEAN_BITS,
        "root": ROOT_BITS,
        "leading": 6,
        "zero": 1,
        "ratio": RATIO_BITS,
    }
)


_STEPS = (RATIO_BITS + 1) // 2


class RowRatio(IterativeStage):
    """``ratio = floor(numerator · 2^17 / root)``, 0 where there is no root.

    Two digits a cycle, 11 cycles a row: in QUANTISE and SOFTMAX nothing else takes as long. One,
    two and three times the root are subtracted at once; three times is a sum of the cycle before.

    Members
    -------
    numerator : in
        Less than 2^17, so that the ratio is as well.
    """

    def __init__(self) -> None:
        self._taken = Signal(root_layout)
        self._triple = Signal(ROOT_BITS + 2)
        self._remainder = Signal(ROOT_BITS)
        self._odd = Signal()
        self._ratio = Signal(RATIO_BITS)
        super().__init__(root_layout, ratio_layout, _STEPS, {"numerator": RATIO_BITS})

    def steps(self) -> Value:
        """One for two digits, the first of which is zero."""
        return Const(_STEPS)

    def take(self, m: Module) -> None:
        """Begin with the upper bits of the numerator as the remainder, which is below the root."""
        m.d.sync += [
            self._taken.eq(self.input.payload),
            self._triple.eq(self.input.p.root + (self.input.p.root << 1)),
            self._remainder.eq(self.numerator >> 1),
            self._odd.eq(self.numerator[0]),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Restoring division, by the largest multiple of the root that there is room for."""
        partial = Cat(Const(0), self._odd, self._remainder)
        multiples = (self._taken.root, self._taken.root << 1, self._triple)
        differences = [partial - multiple for multiple in multiples]
        once, twice, thrice = (~difference[-1] for difference in differences)
        upper = Mux(thrice, differences[2], differences[1])[:ROOT_BITS]
        lower = Mux(once, differences[0], partial)[:ROOT_BITS]
        m.d.sync += [
            self._remainder.eq(Mux(twice, upper, lower)),
            self._odd.eq(0),
            self._ratio.eq(Cat(thrice | (once & ~twice), twice, self._ratio)),
        ]

    def give(self, m: Module) -> None:
        """Hand on the ratio with what it belongs to."""
        for name, _field in root_layout:
            m.d.comb += self.output.p[name].eq(self._taken[name])
        m.d.comb += self.output.p.ratio.eq(Mux(self._taken.zero, 0, self._ratio))
