"""The mean of a row in units of its products with the ratio."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from .iterative import IterativeStage
from .row_moments import MEAN_BITS, MEAN_FRACTION
from .row_ratio import ratio_layout
from .vector_lane import OFFSET_WIDTH, RATIO_BITS

offset_layout = data.StructLayout(
    {
        "negative": 1,
        "offset": OFFSET_WIDTH - 1,
        "ratio": RATIO_BITS,
        "leading": 6,
    }
)


class RowOffset(IterativeStage):
    """``offset = mean · ratio / 2^10``, truncated: the mean in units of ``4 · x · ratio``.

    19 cycles a row; two where it is not enabled and the offset is zero.

    Members
    -------
    enable : in
        Multiply.
    """

    def __init__(self) -> None:
        self._taken = Signal(ratio_layout)
        self._digits = Signal(RATIO_BITS)
        self._product = Signal(MEAN_BITS + RATIO_BITS)
        super().__init__(ratio_layout, offset_layout, RATIO_BITS, {"enable": 1})

    def steps(self) -> Value:
        """One for each bit of the ratio."""
        return Mux(self.enable, RATIO_BITS, 0)

    def take(self, m: Module) -> None:
        """Begin with a product of zero."""
        m.d.sync += [
            self._taken.eq(self.input.payload),
            self._digits.eq(self.input.p.ratio),
            self._product.eq(0),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Horner's rule."""
        addend = Mux(self._digits[-1], self._taken.mean, 0)
        m.d.sync += [
            self._product.eq((self._product << 1) + addend),
            self._digits.eq(self._digits << 1),
        ]

    def give(self, m: Module) -> None:
        """Hand on the offset."""
        m.d.comb += [
            self.output.p.negative.eq(self._taken.negative),
            self.output.p.offset.eq(self._product >> (MEAN_FRACTION - 2)),
            self.output.p.ratio.eq(self._taken.ratio),
            self.output.p.leading.eq(self._taken.leading),
        ]
