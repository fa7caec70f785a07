"""Twiddle factors from a quarter of a wave."""

import math

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .butterfly_format import COEFFICIENT_BITS, COEFFICIENT_FRACTION
from .butterfly_order import MAXIMUM_LOG_POINTS
from .butterfly_unit import MULTIPLIERS

ANGLE_BITS = MAXIMUM_LOG_POINTS - 1
"""Bits of an angle in units of a full turn over 2^13: half a turn."""

QUARTER = 1 << (ANGLE_BITS - 1)


def quarter_wave() -> list[int]:
    """Return the cosines of the first quarter of a turn, rounded half to even."""
    one = 1 << COEFFICIENT_FRACTION
    return [round(math.cos(math.pi * k / (2 * QUARTER)) * one) for k in range(QUARTER)]


class ButterflyTwiddles(wiring.Component):
    """The coefficients of a unit for one angle a cycle, `latency` steps later.

    Nothing moves unless `advance`. The table has 2048 numbers and two read ports.

    Parameters
    ----------
    pipelined : bool
        Whether what comes from the table is registered before it is negated.

    Members
    -------
    advance, inverse : in; `inverse` stays while angles are on their way.
    angle : in, `ANGLE_BITS`
    coefficients : out; for COMPLEX, of ``exp(-2πj · angle / 2^13)`` or its conjugate.
    """

    def __init__(self, *, pipelined: bool) -> None:
        self._pipelined = pipelined
        super().__init__(
            {
                "advance": In(1),
                "inverse": In(1),
                "angle": In(ANGLE_BITS),
                "coefficients": Out(data.ArrayLayout(signed(COEFFICIENT_BITS), MULTIPLIERS)),
            }
        )

    @property
    def pipelined(self) -> bool:
        """Whether there is a register behind the table."""
        return self._pipelined

    @property
    def latency(self) -> int:
        """Steps from an angle to its coefficients."""
        return 2 + self.pipelined

    def elaborate(self, platform: object) -> Module:
        """Return the table and the symmetry."""
        m = Module()
        table = Memory(shape=COEFFICIENT_FRACTION + 1, depth=QUARTER, init=quarter_wave())
        m.submodules.table = table
        second = self.angle[-1]
        low = self.angle[: ANGLE_BITS - 1]
        back = Signal(ANGLE_BITS - 1)
        m.d.comb += back.eq(-low)
        # Where an index is the whole quarter, the table would have a zero.
        edge = low == 0
        parts = []
        for place, zero in (
            (Mux(second, back, low), edge & second),
            (Mux(second, low, back), edge & ~second),
        ):
            port = table.read_port()
            is_zero = Signal()
            m.d.comb += [port.addr.eq(place), port.en.eq(self.advance)]
            with m.If(self.advance):
                m.d.sync += is_zero.eq(zero)
            parts.append(self._step(m, Mux(is_zero, 0, port.data)))
        cosine, sine = parts
        negative = Signal()
        with m.If(self.advance):
            m.d.sync += negative.eq(second)
        negative = self._step(m, negative)
        with m.If(self.advance):
            m.d.sync += [
                self.coefficients[0].eq(Mux(negative, -cosine, cosine)),
                self.coefficients[1].eq(Mux(self.inverse, -sine, sine)),
                self.coefficients[2].eq(Mux(negative, -cosine, cosine)),
                self.coefficients[3].eq(Mux(self.inverse, sine, -sine)),
            ]
        return m

    def _step(self, m: Module, value: Value) -> Value:
        """Return `value`, a step later if pipelined."""
        if not self.pipelined:
            return value
        register = Signal(len(value), reset_less=True, name="stepped")
        with m.If(self.advance):
            m.d.sync += register.eq(value)
        return register
