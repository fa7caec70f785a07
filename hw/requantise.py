"""The arithmetic on the array's drain: accumulators to int16."""

from amaranth.hdl import C, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ArrayConfig

RESULT_BITS = 16
MANTISSA_BITS = 16
SCALED_BITS = 24
"""Bits that a scaled accumulator saturates to before biases and residual are added."""

scale_layout = data.StructLayout(
    {"mantissa": MANTISSA_BITS, "exponent": signed(8), "bias": signed(RESULT_BITS)}
)
"""An `isa.ScaleWord` without the bits that have no meaning."""

_FINE_BITS = 3
_SHIFT_BITS = 6
_WINDOW_BITS = SCALED_BITS + 1 + (1 << _FINE_BITS) - 1


def _saturate(value: Signal, bits: int):
    """Return the signed `value` limited to `bits` bits."""
    upper = value[bits - 1 :]
    fits = (upper == 0) | upper.all()
    limit = Cat((~value[-1]).replicate(bits - 1), value[-1])
    return Mux(fits, value[:bits], limit).as_signed()


class RequantiseLane(wiring.Component):
    """One column of the drain. See `Requantise`."""

    LATENCY = 9

    def __init__(self, accumulator_width: int) -> None:
        self._accumulator_width = ArrayConfig(accumulator_width=accumulator_width).accumulator_width
        super().__init__(
            {
                "accumulator": In(signed(accumulator_width)),
                "row": In(scale_layout),
                "column": In(scale_layout),
                "fraction": In(signed(8)),
                "residual": In(signed(RESULT_BITS)),
                "enable": In(1),
                "result": Out(signed(RESULT_BITS)),
            }
        )

    @property
    def accumulator_width(self) -> int:
        """Bits of an accumulator."""
        return self._accumulator_width

    def elaborate(self, platform: object) -> Module:
        """Return the lane: nine stages of data registers, none of which is reset."""
        m = Module()
        accumulator, multiplier, shift, addend = self._combine_scales(m)
        product, shift, addend = self._multiply(m, accumulator, multiplier, shift, addend)
        scaled, addend = self._round(m, product, shift, addend)

        total = Signal(signed(SCALED_BITS + 1), reset_less=True)
        result = Signal(signed(RESULT_BITS), reset_less=True)
        m.d.sync += [total.eq(scaled + addend), result.eq(_saturate(total, RESULT_BITS))]
        m.d.comb += self.result.eq(result)
        return m

    def _delay(self, m: Module, value, stages: int = 1):
        for _ in range(stages):
            register = Signal.like(value, reset_less=True, name="delayed")
            m.d.sync += register.eq(value)
            value = register
        return value

    def _combine_scales(self, m: Module):
        """Stages 1 and 2: one multiplier, one shift and one addend from the scale words."""
        mantissas = Signal(2 * MANTISSA_BITS, reset_less=True)
        exponent = Signal(signed(10), reset_less=True)
        biases = Signal(signed(RESULT_BITS + 1), reset_less=True)
        residual = Signal(signed(RESULT_BITS), reset_less=True)
        enable = Signal(reset_less=True)
        m.d.sync += [
            mantissas.eq(self.row.mantissa * self.column.mantissa),
            exponent.eq(self.row.exponent + self.column.exponent - self.fraction - MANTISSA_BITS),
            biases.eq(self.row.bias + self.column.bias),
            residual.eq(self.residual),
            enable.eq(self.enable),
        ]

        multiplier = Signal(MANTISSA_BITS, reset_less=True)
        shift = Signal(_SHIFT_BITS, reset_less=True)
        addend = Signal(signed(RESULT_BITS + 2), reset_less=True)
        # A lane beyond the last column writes zero. The sum cannot reach 2^32: the largest
        # product of two mantissas is 2^32 - 2^17 + 1.
        rounded = (mantissas + (1 << (MANTISSA_BITS - 1)))[MANTISSA_BITS : 2 * MANTISSA_BITS]
        largest = (1 << _SHIFT_BITS) - 1
        m.d.sync += [
            multiplier.eq(Mux(enable, rounded, 0)),
            addend.eq(Mux(enable, biases + residual, 0)),
            shift.eq(Mux(exponent < 0, 0, Mux(exponent > largest, largest, exponent))),
        ]
        return self._delay(m, self.accumulator, 2), multiplier, shift, addend

    def _multiply(self, m: Module, accumulator, multiplier, shift, addend):
        """Stages 3 and 4: the product, from partial products that fit a DSP block each."""
        width = self.accumulator_width
        partial = []
        for low in range(0, width, MANTISSA_BITS):
            high = min(low + MANTISSA_BITS, width)
            limb = accumulator[low:high]
            if high == width:
                limb = limb.as_signed()
            register = Signal((limb * multiplier).shape(), reset_less=True, name=f"partial_{low}")
            m.d.sync += register.eq(limb * multiplier)
            partial.append(register << low)
        product = Signal(signed(width + MANTISSA_BITS), reset_less=True)
        m.d.sync += product.eq(sum(partial[1:], partial[0]))
        return product, self._delay(m, shift, 2), self._delay(m, addend, 2)

    def _round(self, m: Module, product, shift, addend):
        """Stages 5 to 7: shift right, round half to even, saturate.

        The shift keeps one bit below the result (a half) and whether anything was lost below it.
        """
        extended = Cat(C(0, 1), product).as_signed()
        coarse = Signal(signed(len(extended)))
        lost = Signal()
        with m.Switch(shift[_FINE_BITS:]):
            for index in range(1 << (_SHIFT_BITS - _FINE_BITS)):
                with m.Case(index):
                    amount = index << _FINE_BITS
                    m.d.comb += coarse.eq(extended >> amount)
                    m.d.comb += lost.eq(extended[:amount].any() if amount else Const(0))
        window = Signal(signed(_WINDOW_BITS), reset_less=True)
        lost_coarse = Signal(reset_less=True)
        # What does not fit here still does not after the fine shift, so it may saturate early.
        m.d.sync += [window.eq(_saturate(coarse, _WINDOW_BITS)), lost_coarse.eq(lost)]
        fine = self._delay(m, shift[:_FINE_BITS])

        shifted = Signal(signed(_WINDOW_BITS), reset_less=True)
        lost_all = Signal(reset_less=True)
        below = Signal((1 << _FINE_BITS) - 1)
        m.d.comb += below.eq(~(Const(-1, signed(len(below))) << fine))
        m.d.sync += [
            shifted.eq(window >> fine),
            lost_all.eq(lost_coarse | (window[: len(below)] & below).any()),
        ]

        rounded = Signal(signed(_WINDOW_BITS))
        scaled = Signal(signed(SCALED_BITS), reset_less=True)
        up = shifted[0] & (lost_all | shifted[1])
        m.d.comb += rounded.eq((shifted >> 1) + up)
        m.d.sync += scaled.eq(_saturate(rounded, SCALED_BITS))
        return scaled, self._delay(m, addend, 3)


class Requantise(wiring.Component):
    """Rows of accumulators to int16: scales, biases and residual, rounded and saturated.

    The arithmetic is that of `verif.golden.requantise`. All inputs belong to the same row and stay
    until it is taken, after `drain_turns` cycles: in each, the lanes take as many of the columns as
    there are lanes. Once it has begun, nothing can stop a row.

    Parameters
    ----------
    config : AcceleratorConfig
        ``config.array`` says how many lanes there are.

    Members
    -------
    valid, accumulators : in
    ready : out; the row is taken.
    turn : out; which of its cycles this is.
    row : `scale_layout`, in
    columns : `scale_layout` [columns], in
    fraction : signed(8), in; power of two that results are scaled by as well.
    residual : signed(16) [columns], in
    enable : in; a bit a column. Where it is low the result is zero.
    result_valid, results : out; `LATENCY` cycles after `ready`.
    """

    LATENCY = RequantiseLane.LATENCY

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        columns = config.array.columns
        accumulator = signed(config.array.accumulator_width)
        super().__init__(
            {
                "valid": In(1),
                "ready": Out(1),
                "turn": Out(range(config.array.drain_turns)),
                "accumulators": In(data.ArrayLayout(accumulator, columns)),
                "row": In(scale_layout),
                "columns": In(data.ArrayLayout(scale_layout, columns)),
                "fraction": In(signed(8)),
                "residual": In(data.ArrayLayout(signed(RESULT_BITS), columns)),
                "enable": In(columns),
                "result_valid": Out(1),
                "results": Out(data.ArrayLayout(signed(RESULT_BITS), columns)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the lanes, the count of turns and the shift register of what is taken."""
        m = Module()
        array = self.config.array
        turns, count = array.drain_turns, array.columns // array.drain_turns
        m.d.comb += self.ready.eq(self.valid & (self.turn == turns - 1))
        with m.If(self.valid):
            m.d.sync += self.turn.eq(self.turn + 1)

        for number in range(count):
            lane = RequantiseLane(array.accumulator_width)
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [lane.row.eq(self.row), lane.fraction.eq(self.fraction)]
            with m.Switch(self.turn):
                for turn in range(turns):
                    column = turn * count + number
                    with m.Case(turn):
                        m.d.comb += [
                            lane.accumulator.eq(self.accumulators[column]),
                            lane.column.eq(self.columns[column]),
                            lane.residual.eq(self.residual[column]),
                            lane.enable.eq(self.enable[column]),
                        ]
            # The results of the last turn are taken as they come, the earlier ones wait for them.
            result: Value = lane.result
            for turn in reversed(range(turns)):
                m.d.comb += self.results[turn * count + number].eq(result)
                if turn:
                    earlier = Signal.like(result, reset_less=True, name=f"result_{turn}_{number}")
                    m.d.sync += earlier.eq(result)
                    result = earlier
        taken = Signal(unsigned(self.LATENCY))
        m.d.sync += taken.eq(Cat(self.ready, taken))
        m.d.comb += self.result_valid.eq(taken[-1])
        return m
