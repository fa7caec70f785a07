"""Normalises what pass one found of a row, and takes its square root."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from .iterative import IterativeStage
from .row_moments import MEAN_BITS, moments_layout

ROOT_BITS = 18
NORMALISED_BITS = 64

root_layout = data.StructLayout(
    {"negative": 1, "mean": MEAN_BITS, "root": ROOT_BITS, "leading": 6, "zero": 1}
)
"""`root` in [2^17, 2^18) of a value shifted left by `leading` in 64 bits; `zero`: there is none."""

_SHIFTS = (32, 16, 8, 4, 2, 1)


class RowRoot(IterativeStage):
    """Shifts a value left until its top bit is set, and takes its first 18 bits or its root.

    26 cycles a row with the root, where the shift is even; 8 without.

    Members
    -------
    enable : in
        Take the square root.
    """

    def __init__(self) -> None:
        self._value = Signal(NORMALISED_BITS)
        self._leading = Signal(6)
        self._root = Signal(ROOT_BITS)
        self._remainder = Signal(ROOT_BITS + 2)
        self._negative = Signal()
        self._mean = Signal(MEAN_BITS)
        self._zero = Signal()
        # One bit for each distance to the top that is halved, and one for the digits.
        self._phase = Signal(len(_SHIFTS) + 1)
        # Whether the next shift is to be done.
        self._moves = Signal()
        super().__init__(moments_layout, root_layout, len(_SHIFTS) + ROOT_BITS, {"enable": 1})

    def steps(self) -> Value:
        """Six for the shift, one for each digit of the root."""
        return Mux(self.enable, len(_SHIFTS) + ROOT_BITS, len(_SHIFTS))

    def take(self, m: Module) -> None:
        """Keep the value."""
        m.d.sync += [
            self._value.eq(self.input.p.value),
            self._zero.eq(0),
            self._phase.eq(1),
            self._moves.eq(~self.input.p.value[NORMALISED_BITS - _SHIFTS[0] :].any()),
            self._leading.eq(0),
            self._negative.eq(self.input.p.negative),
            self._mean.eq(self.input.p.mean),
            self._root.eq(0),
            self._remainder.eq(0),
        ]

    def step(self, m: Module, number: Value) -> None:
        """Halve the distance to the top, then two bits of the value a digit of the root."""
        shifts = self._phase[: len(_SHIFTS)]
        m.d.sync += self._phase.eq(Cat(Const(0), shifts[:-1], self._phase[-2:].any()))
        for place, amount in enumerate(_SHIFTS):
            with m.If(shifts[place]):
                above, below = self._value[-amount // 2 :], self._value[:-amount][-amount // 2 :]
                clear = ~Mux(self._moves, below.any(), above.any())
                # The last shift is left out where the root is taken.
                before_last = place + 2 == len(_SHIFTS)
                m.d.sync += self._moves.eq(clear & ~self.enable if before_last else clear)
                with m.If(self._moves):
                    m.d.sync += [
                        self._value.eq(self._value << amount),
                        self._leading.eq(self._leading + amount),
                    ]
        with m.If(shifts[-1]):
            m.d.sync += self._zero.eq(~self._value.any())
        with m.If(self._phase[-1]):
            self._digit(m)

    def _digit(self, m: Module) -> None:
        partial = Cat(self._value[-2:], self._remainder)
        difference = partial - Cat(Const(1, 2), self._root)
        fits = ~difference[-1]
        m.d.sync += [
            self._value.eq(self._value << 2),
            self._remainder.eq(Mux(fits, difference, partial)),
            self._root.eq((self._root << 1) | fits),
        ]

    def give(self, m: Module) -> None:
        """Hand on the root, or the first bits of the value."""
        m.d.comb += [
            self.output.p.negative.eq(self._negative),
            self.output.p.mean.eq(self._mean),
            self.output.p.root.eq(Mux(self.enable, self._root, self._value[-ROOT_BITS:])),
            self.output.p.leading.eq(self._leading),
            self.output.p.zero.eq(self._zero),
        ]
