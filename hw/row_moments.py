"""Mean and variance of a row from its sums."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from .iterative import IterativeStage
from .vector_plan import EPSILON_PRODUCT_BITS

MEAN_BITS = 29
MEAN_FRACTION = 12
VALUE_BITS = 60

sums_layout = data.StructLayout({"sum": signed(31), "value": 44})
"""Σx, and Σx² (NORMALISE), the maximum (QUANTISE) or the sum (SOFTMAX)."""

moments_layout = data.StructLayout({"negative": 1, "mean": MEAN_BITS, "value": VALUE_BITS})
"""Mean with `MEAN_FRACTION` bits as sign and magnitude; V, or the value that was taken."""

_COLUMN_BITS = 14


class RowMoments(IterativeStage):
    """``V = N·Σx² - (Σx)² + N²·epsilon`` and ``mean = Σx / N``, a bit a cycle.

    33 cycles a row; two where it is not enabled and hands the value on.

    Members
    -------
    enable : in
        Work; otherwise hand the value on.
    centred : in
        Layer normalisation; otherwise the mean is taken as zero.
    columns : in
        N.
    epsilon_product : in
        N · epsilon.
    """

    def __init__(self) -> None:
        self._magnitude = Signal(MEAN_BITS)
        self._squares = Signal(EPSILON_PRODUCT_BITS + 1)
        self._digits = Signal(MEAN_BITS)
        self._column_digits = Signal(MEAN_BITS)
        self._value = Signal(VALUE_BITS)
        self._term = Signal(signed(EPSILON_PRODUCT_BITS + 2))
        self._remainder = Signal(_COLUMN_BITS)
        self._quotient = Signal(MEAN_BITS)
        self._negative = Signal()
        self._begins = Signal()
        self._divides = Signal()
        settings = {
            "enable": 1,
            "centred": 1,
            "columns": _COLUMN_BITS,
            "epsilon_product": EPSILON_PRODUCT_BITS,
        }
        super().__init__(sums_layout, moments_layout, MEAN_BITS + 2, settings)

    def steps(self) -> Value:
        """Take the absolute value, a step a bit, subtract."""
        return Mux(self.enable, MEAN_BITS + 2, 0)

    def take(self, m: Module) -> None:
        """Keep the sums; without work, the value is the result."""
        total = self.input.p.sum
        m.d.sync += [
            self._negative.eq(self.centred & (total < 0)),
            self._magnitude.eq(Mux(self.centred & self.enable, total, 0)),
            self._squares.eq(self.input.p.value),
            self._value.eq(Mux(self.enable, 0, self.input.p.value)),
            self._begins.eq(1),
            self._term.eq(0),
            self._column_digits.eq(self.columns),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Horner's rule for the difference of both products, restoring division for the mean.

        The term of a step is added in the next one.
        """
        magnitude = Mux(self._negative, -self._magnitude, self._magnitude)[:MEAN_BITS]
        low = MEAN_BITS - MEAN_FRACTION
        m.d.sync += [self._begins.eq(0), self._divides.eq(number != MEAN_BITS)]
        with m.If(self._begins):
            m.d.sync += [
                self._magnitude.eq(magnitude),
                self._digits.eq(magnitude),
                self._squares.eq(self._squares + self.epsilon_product),
                self._remainder.eq(magnitude >> low),
                self._quotient.eq(magnitude << MEAN_FRACTION),
            ]
        with m.Else():
            plus = Mux(self._column_digits[-1], self._squares, 0)
            minus = Mux(self._digits[-1], self._magnitude, 0)
            partial = Cat(self._quotient[-1], self._remainder)
            difference = partial - self.columns
            fits = ~difference[-1]
            m.d.sync += [
                self._term.eq(plus - minus),
                self._value.eq((self._value << 1) + self._term),
                self._column_digits.eq(self._column_digits << 1),
                self._digits.eq(self._digits << 1),
            ]
            with m.If(self._divides):
                m.d.sync += [
                    self._remainder.eq(Mux(fits, difference, partial)),
                    self._quotient.eq((self._quotient << 1) | fits),
                ]

    def give(self, m: Module) -> None:
        """Hand on mean and V."""
        m.d.comb += [
            self.output.p.negative.eq(self._negative),
            self.output.p.mean.eq(self._quotient),
            self.output.p.value.eq(self._value),
        ]
