"""Divides by the root of a row."""

from amaranth.hdl import Module, Mux, Signal, Value
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


class RowRatio(IterativeStage):
    """``ratio = floor(numerator · 2^17 / root)``, 0 where there is no root; 18 cycles.

    Members
    -------
    numerator : in
        Less than 2^17, so that the ratio is as well.
    """

    def __init__(self) -> None:
        self._taken = Signal(root_layout)
        self._remainder = Signal(ROOT_BITS)
        self._ratio = Signal(RATIO_BITS)
        super().__init__(root_layout, ratio_layout, RATIO_BITS, {"numerator": RATIO_BITS})

    def steps(self) -> Value:
        """One a bit."""
        return RATIO_BITS

    def take(self, m: Module) -> None:
        """Begin with the numerator as the remainder: it is less than the root."""
        m.d.sync += [
            self._taken.eq(self.input.payload),
            self._remainder.eq(self.numerator),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Restoring division."""
        partial = Signal(ROOT_BITS + 1)
        fits = Signal()
        m.d.comb += [
            partial.eq(self._remainder << 1),
            fits.eq(partial >= self._taken.root),
        ]
        m.d.sync += [
            self._remainder.eq(Mux(fits, partial - self._taken.root, partial)),
            self._ratio.eq((self._ratio << 1) | fits),
        ]

    def give(self, m: Module) -> None:
        """Hand on the ratio with what it belongs to."""
        for name, _field in root_layout:
            m.d.comb += self.output.p[name].eq(self._taken[name])
        m.d.comb += self.output.p.ratio.eq(Mux(self._taken.zero, 0, self._ratio))
