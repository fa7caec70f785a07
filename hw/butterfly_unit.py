"""One butterfly unit: four real multipliers for a real 2 x 2 matrix or a complex twiddle factor."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_format import (
    COEFFICIENT_BITS,
    COEFFICIENT_FRACTION,
    DATA_BITS,
    SCALE_BITS,
    STAGE_BITS,
    Mode,
)
from .config import ConfigError
from .rounding import RoundingShifter

MULTIPLIERS = 4

PAIR_VALUES = 4
"""Real numbers in a pair: real and imaginary part of its first and of its second point."""

control_layout = data.StructLayout(
    {
        "mode": Mode,
        "scale": signed(SCALE_BITS),
        "coefficients": data.ArrayLayout(signed(COEFFICIENT_BITS), MULTIPLIERS),
    }
)
"""What all lanes do with one pair each.

Coefficients are the rows of the 2 x 2 matrix for REAL, and (re, -im, re, im) of the twiddle
factor for COMPLEX.
"""


def pair_layout(width: int) -> data.ArrayLayout:
    """Two points of `width` bits a part: (re, im) of the first, (re, im) of the second."""
    return data.ArrayLayout(signed(width), PAIR_VALUES)


_SHIFT_BITS = 5


class ButterflyUnit(wiring.Component):
    """Combines a pair of points a cycle, bit for bit as `verif.golden.butterfly_unit`.

    Operands and products are registers, nothing stalls, and results come `LATENCY` cycles after
    their pair. REAL: ``y0 = c0·x0 + c1·x1``, ``y1 = c2·x0 + c3·x1`` of the real parts. COMPLEX:
    ``y0 = x0 + w·x1``, ``y1 = x0 - w·x1``. PASS: ``y = x``. The unit of Fan et al., MICRO 2022,
    with a scale in every stage.

    Parameters
    ----------
    width : int
        Bits of a number, `DATA_BITS` to `STAGE_BITS`.
    can_pass : bool
        Whether the mode is ever PASS, which a stage without neighbours has no use for.

    Members
    -------
    control : `control_layout`, in
    pair : `pair_layout(width)`, in
    result : `pair_layout(width)`, out
        Divided by two to the power of the scale, rounded half to even, saturated.
    saturated : out
        A number of `result` had to be limited.
    """

    LATENCY = 5 + RoundingShifter.LATENCY

    def __init__(self, width: int = STAGE_BITS, *, can_pass: bool = True) -> None:
        if not DATA_BITS <= width <= STAGE_BITS:
            raise ConfigError(f"width must be {DATA_BITS} to {STAGE_BITS}, not {width}")
        self._width = width
        self._can_pass = can_pass
        super().__init__(
            {
                "control": In(control_layout),
                "pair": In(pair_layout(width)),
                "result": Out(pair_layout(width)),
                "saturated": Out(1),
            }
        )

    @property
    def _exact_bits(self) -> int:
        """Bits of a result before it is divided."""
        return self.width + COEFFICIENT_BITS + 2

    @property
    def width(self) -> int:
        """Bits of a number."""
        return self._width

    @property
    def can_pass(self) -> bool:
        """Whether the mode is ever PASS."""
        return self._can_pass

    def elaborate(self, platform: object) -> Module:
        """Return the stages: operands, products, sums, results, three of rounding, output."""
        m = Module()
        mode, shift, products = self._multiply(m)
        pair = self._delay(m, self.pair, 3)
        sums = [
            Signal(signed(self.width + COEFFICIENT_BITS + 1), reset_less=True, name=f"sum_{row}")
            for row in range(2)
        ]
        m.d.sync += [
            sums[0].eq(products[0] + products[1]),
            sums[1].eq(products[2] + products[3]),
        ]
        mode, shift = self._delay(m, mode, 1), self._delay(m, shift, 2)
        exact = self._combine(m, mode, pair, sums)
        self._round(m, exact, shift)
        return m

    def _delay(self, m: Module, value, cycles: int):
        for _ in range(cycles):
            register = Signal.like(value, reset_less=True, name="delayed")
            m.d.sync += register.eq(value)
            value = register
        return value

    def _multiply(self, m: Module):
        """Stages 1 and 2; return mode and shift as old as the products."""
        first_re, _, second_re, second_im = (self.pair[index] for index in range(PAIR_VALUES))
        real = self.control.mode == Mode.REAL
        operands = [
            Mux(real, first_re, second_re),
            Mux(real, second_re, second_im),
            Mux(real, first_re, second_im),
            second_re,
        ]
        products = []
        for index, value in enumerate(operands):
            operand = Signal(signed(self.width), reset_less=True, name=f"operand_{index}")
            product = Signal(
                signed(self.width + COEFFICIENT_BITS), reset_less=True, name=f"product_{index}"
            )
            coefficient = self._delay(m, self.control.coefficients[index], 1)
            m.d.sync += [operand.eq(value), product.eq(operand * coefficient)]
            products.append(product)
        scale = Mux(self.control.mode == Mode.PASS, 0, self.control.scale)
        shift = Signal(_SHIFT_BITS)
        m.d.comb += shift.eq(scale + COEFFICIENT_FRACTION)
        return self._delay(m, self.control.mode, 2), self._delay(m, shift, 2), products

    def _combine(self, m: Module, mode, pair, sums):
        """Stage 4: the exact results."""
        wide = [value << COEFFICIENT_FRACTION for value in pair]
        exact = [
            Signal(signed(self._exact_bits), reset_less=True, name=f"exact_{index}")
            for index in range(PAIR_VALUES)
        ]
        # The lowest bits of a sum need no adder.
        low = COEFFICIENT_FRACTION
        added = [
            Cat(part[:low], value + part[low:].as_signed()).as_signed()
            for part, value in zip(sums, pair, strict=False)
        ]
        choices = {Mode.REAL: [sums[0], 0, sums[1], 0]}
        if self.can_pass:
            choices[Mode.PASS] = wide
        with m.Switch(mode):
            for case, values in choices.items():
                with m.Case(case):
                    m.d.sync += [
                        register.eq(value) for register, value in zip(exact, values, strict=True)
                    ]
            with m.Default():
                m.d.sync += [
                    register.eq(value) for register, value in zip(exact, added, strict=False)
                ]
                m.d.sync += [exact[2].eq(wide[0] - sums[0]), exact[3].eq(wide[1] - sums[1])]
        return exact

    def _round(self, m: Module, exact, shift) -> None:
        """Stages 5 to 8."""
        limited = []
        for index, value in enumerate(exact):
            shifter = RoundingShifter(self._exact_bits, self.width, _SHIFT_BITS)
            m.submodules[f"rounding_{index}"] = shifter
            m.d.comb += [shifter.value.eq(value), shifter.shift.eq(shift)]
            m.d.comb += self.result[index].eq(self._delay(m, shifter.result, 1))
            limited.append(shifter.limited)
        saturated = Signal(reset_less=True)
        m.d.sync += saturated.eq(Cat(limited).any())
        m.d.comb += self.saturated.eq(saturated)
