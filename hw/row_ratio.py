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

    Two digits a cycle, 11 cycles a row: in QUANTISE and SOFTMAX nothing else takes as long.

    Members
    -------
    numerator : in
        Less than 2^17, so that the ratio is as well.
    """

    def __init__(self) -> None:
        self._taken = Signal(root_layout)
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
            self._remainder.eq(self.numerator >> 1),
            self._odd.eq(self.numerator[0]),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Restoring division."""
        remainder, upper = self._digit(m, self._remainder, self._odd, "upper")
        remainder, lower = self._digit(m, remainder, Const(0), "lower")
        m.d.sync += [
            self._remainder.eq(remainder),
            self._odd.eq(0),
            self._ratio.eq(Cat(lower, upper, self._ratio)),
        ]

    def _digit(
        self, m: Module, remainder: Value, following: Value, name: str
    ) -> tuple[Value, Value]:
        """Return the next remainder and digit; `following` is the next bit of the numerator."""
        partial = Signal(ROOT_BITS + 1, name=f"partial_{name}")
        difference = Signal(ROOT_BITS + 2, name=f"difference_{name}")
        m.d.comb += [
            partial.eq(Cat(following, remainder)),
            difference.eq(partial - self._taken.root),
        ]
        digit = ~difference[-1]
        return Mux(digit, difference, partial)[:ROOT_BITS], digit

    def give(self, m: Module) -> None:
        """Hand on the ratio with what it belongs to."""
        for name, _field in root_layout:
            m.d.comb += self.output.p[name].eq(self._taken[name])
        m.d.comb += self.output.p.ratio.eq(Mux(self._taken.zero, 0, self._ratio))
