"""Division by a power of two, rounded half to even and saturated."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError


def fits(value: Value, width: int) -> Value:
    """Return whether the signed `value` is in the range of `width` bits."""
    upper = value[width - 1 :]
    return upper.all() | ~upper.any()


def saturate(value: Value, width: int) -> Value:
    """Return the signed `value` limited to the range of `width` bits."""
    low, high = -1 << (width - 1), (1 << (width - 1)) - 1
    limit = Mux(value[-1], Const(low, signed(width)), Const(high, signed(width)))
    return Mux(fits(value, width), value[:width].as_signed(), limit)


class RoundingShifter(wiring.Component):
    """Divides by a power of two, rounds half to even, saturates.

    Latency `LATENCY` = 3 cycles, one value a cycle.

    Parameters
    ----------
    width : int
        Bits of `value`, more than `result_width`.
    result_width : int
        Bits of `result`, at least 2.
    shift_width : int
        Bits of `shift`, 3 to 6.

    Members
    -------
    value : in, signed
    shift : in
        The power of two.
    result : out, signed
    limited : out; it was too large for the width of the result.
    """

    LATENCY = 3

    def __init__(self, width: int, result_width: int, shift_width: int = 5) -> None:
        if not 3 <= shift_width <= 6:
            raise ConfigError(f"shift_width must be 3 to 6, not {shift_width}")
        if not 2 <= result_width < width:
            raise ConfigError(f"result_width must be 2 to {width - 1}, not {result_width}")
        self._width = width
        self._result_width = result_width
        self._shift_width = shift_width
        super().__init__(
            {
                "value": In(signed(width)),
                "shift": In(shift_width),
                "result": Out(signed(result_width)),
                "limited": Out(1),
            }
        )

    @property
    def width(self) -> int:
        """Bits of `value`."""
        return self._width

    @property
    def result_width(self) -> int:
        """Bits of `result`."""
        return self._result_width

    @property
    def shift_width(self) -> int:
        """Bits of `shift`."""
        return self._shift_width

    def _stage(
        self, m: Module, value: Value, lost: Value, limited: Value, shift: Value, bits: range
    ) -> tuple[Signal, Signal, Signal]:
        """Shift by the given bits of `shift`, registered.

        Gather in `lost` what drops out, in `limited` whether the value was too large: what does not
        fit after these bits of the shift does not fit the result after the others either.
        """
        for bit in bits:
            shifted = Signal(signed(len(value)), name=f"shifted_{bit}")
            m.d.comb += shifted.eq(Mux(shift[bit], value >> (1 << bit), value))
            lost = lost | (shift[bit] & value[: 1 << bit].any())
            value = shifted
        width = min(len(value), self.result_width + (1 << bits[-1]))
        limited = limited | ~fits(value, width)
        # The sign stays, that it is known what to limit to.
        value = Cat(value[: width - 1], value[-1]).as_signed()
        value_register = Signal(signed(len(value)), reset_less=True, name=f"value_{bits[-1]}")
        lost_register = Signal(reset_less=True, name=f"lost_{bits[-1]}")
        limited_register = Signal(reset_less=True, name=f"limited_{bits[-1]}")
        m.d.sync += [
            value_register.eq(value),
            lost_register.eq(lost),
            limited_register.eq(limited),
        ]
        return value_register, lost_register, limited_register

    def elaborate(self, platform: object) -> Module:
        """Return the three stages: coarse shift, fine shift, rounding."""
        m = Module()
        # One more bit below, so that the bit that decides on rounding is never dropped.
        doubled = Signal(signed(self.width + 1))
        m.d.comb += doubled.eq(self.value << 1)
        coarse = range(self.shift_width - 1, self.shift_width - 3, -1)
        fine = range(self.shift_width - 3, -1, -1)
        shift = Signal(self.shift_width, reset_less=True)
        m.d.sync += shift.eq(self.shift)
        stage = self._stage(m, doubled, Const(0), Const(0), self.shift, coarse)
        value, lost, limited = self._stage(m, *stage, shift, fine)
        up, limited_now = Signal(), Signal()
        rounded = Signal(signed(self.result_width + 1))
        lowest = Const(-1 << (self.result_width - 1), signed(self.result_width))
        result = Signal(signed(self.result_width), reset_less=True)
        m.d.comb += [
            up.eq(value[0] & (lost | value[1])),
            rounded.eq((value >> 1) + up),
            limited_now.eq(limited | ~fits(rounded, self.result_width)),
            self.result.eq(result),
        ]
        m.d.sync += [
            result.eq(Mux(limited_now, Mux(value[-1], lowest, ~lowest), rounded)),
            self.limited.eq(limited_now),
        ]
        return m
