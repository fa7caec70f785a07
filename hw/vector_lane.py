"""One lane of the vector unit: two multipliers, two rounding shifters and the function tables."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .activation import COARSE_BITS, SILU_FINE_END
from .exponential import POSITION_BITS
from .function_tables import INDEX_BITS, FunctionTables
from .interpolation import OFFSET_BITS
from .rounding import RoundingShifter, saturate

RATIO_BITS = 17
OFFSET_WIDTH = 37
SQUARE_BITS = 31
PEAK_BITS = 17
_VALUE_BITS = 34
_FACTOR_BITS = 18
_PLANE_BITS = 7
_FINE_BITS = POSITION_BITS + SILU_FINE_END.bit_length() - 1

mode_layout = data.StructLayout(
    {
        "softmax": 1,
        "normalise": 1,
        "activate": 1,
        "multiply": 1,
        "complex": 1,
        "relu": 1,
        "curve": 1,
        "silu": 1,
        "two_planes": 1,
        "table_shift": 4,
        "result_shift": 5,
    }
)
"""What all lanes do with all beats of an instruction.

`activate`: it is QUANTISE or MULTIPLY. `curve`: the activation is tabulated.
"""


class VectorLane(wiring.Component):
    """The arithmetic of one lane, without control: every input is sampled at its own stage.

    Stage t is t cycles after `x`. The *table path* looks up `d(|x|)` or `2^(x - maximum)`, the
    *ratio path* multiplies by the row's ratio. QUANTISE goes through the first and then the
    second, SOFTMAX through the first, NORMALISE through the second and then multiplies by the
    gain in the first one's multiplier. MULTIPLY is QUANTISE with `weight` in place of the ratio;
    a complex product takes both multipliers at once.

    ================== ============ ============ ============ ============
    sampled at         QUANTISE     MULTIPLY     SOFTMAX      NORMALISE
    ================== ============ ============ ============ ============
    maximum                                      0
    square, ratio      11                                     0
    weight                          11
    offset             13           13                        2
    ratio_shift        14           14                        3
    gain, partner                   11                        6
    x_late, bias       9            9                         12
    keep               10           10           10           13
    result             18           18           12           15
    ================== ============ ============ ============ ============

    `peak` is one cycle after `square`'s stage; `term` and `product` are two after it, in SOFTMAX
    `term` is at 12. `x_late` is `x` itself, delayed by the caller.

    Members
    -------
    mode : in, `mode_layout`
    x : in, int16
    maximum : in, int16
        The row's maximum.
    square : in
        Multiply x by itself instead of by `ratio`.
    ratio, offset, ratio_shift : in
        The row's ratio, what is subtracted from four times the product, and the shift after.
    weight : in, int16
        What MULTIPLY multiplies by.
    partner, gain, adds : in, int16, int16 and a bit
        The activated element of the other lane of a pair and what a complex product multiplies it
        by; added if `adds`, else subtracted. NORMALISE takes `gain` only.
    bias, x_late : in, int16
    keep : in
        The element is one of the row; others become zero.
    peak : out
        What QUANTISE and SOFTMAX take the maximum of.
    term, product : out
        What is summed: x, or the probability; and the square of x.
    activated : out, int16
        For the other lane, at 11.
    result : out
        Int16, or the planes of int8: low byte first.
    """

    TABLE_STAGE = 11
    """Stage of the activated element, of the probability."""

    GAIN_STAGE = 6
    NORMALISE_STAGE = 14
    """Stage of the normalised element."""

    RATIO_LATENCY = 6
    """From `square` and `ratio` to the end of the ratio path."""

    def __init__(self) -> None:
        super().__init__(
            {
                "mode": In(mode_layout),
                "x": In(signed(16)),
                "maximum": In(signed(16)),
                "square": In(1),
                "ratio": In(RATIO_BITS),
                "offset": In(signed(OFFSET_WIDTH)),
                "ratio_shift": In(5),
                "weight": In(signed(16)),
                "partner": In(signed(16)),
                "gain": In(signed(16)),
                "adds": In(1),
                "bias": In(signed(16)),
                "x_late": In(signed(16)),
                "keep": In(1),
                "peak": Out(signed(PEAK_BITS)),
                "term": Out(signed(16)),
                "product": Out(SQUARE_BITS),
                "activated": Out(signed(16)),
                "result": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the two paths; no register is reset."""
        m = Module()
        f = Signal(signed(16), reset_less=True)
        # The first multiplier's product, which closes the circle of the two paths.
        other = Signal(signed(_VALUE_BITS), reset_less=True, name="gain_product")
        normalised = self._ratio_path(m, f, other)
        tabulated = self._table_path(m, normalised, other)
        m.d.comb += self.activated.eq(f)
        self._finish(m, tabulated, f)
        self._results(m, normalised, f)
        return m

    def _register(self, m: Module, shape, value, name: str) -> Signal:
        register = Signal(shape, reset_less=True, name=name)
        m.d.sync += register.eq(value)
        return register

    def _ratio_path(self, m: Module, f: Signal, partners: Signal) -> Signal:
        """Return z of NORMALISE, or y of QUANTISE and MULTIPLY before it is limited."""
        factor = self._register(m, signed(16), Mux(self.mode.activate, f, self.x), "factor")
        ratio = Cat(self.ratio, Const(0, 1)).as_signed()
        scale = Mux(self.mode.multiply, self.weight, ratio)
        other = self._register(
            m, signed(_FACTOR_BITS), Mux(self.square, self.x, scale), "other_factor"
        )
        product = self._register(m, signed(_VALUE_BITS), factor * other, "ratio_product")
        # A sum is the difference to the complement less one, which is borrowed below.
        offset = Signal(signed(OFFSET_WIDTH))
        subtrahend, difference = Signal(OFFSET_WIDTH + 1), Signal(OFFSET_WIDTH + 1)
        m.d.comb += [
            offset.eq(self.offset | Mux(self.mode.complex, partners << 2, 0)),
            subtrahend.eq(Cat(self.adds, offset ^ self.adds.replicate(OFFSET_WIDTH))),
            difference.eq((product << 3) - subtrahend),
        ]
        centred = self._register(m, signed(OFFSET_WIDTH), difference[1:], "centred")
        m.submodules.ratio_shifter = shifter = RoundingShifter(OFFSET_WIDTH, _FACTOR_BITS)
        m.d.comb += [shifter.value.eq(centred), shifter.shift.eq(self.ratio_shift)]

        term = self._register(m, signed(16), Mux(self.mode.softmax, f, factor), "term_register")
        m.d.comb += [self.product.eq(product), self.term.eq(term)]
        return shifter.result

    def _position(self, m: Module):
        """Stages 1 and 2: |x| or maximum - x, aligned to the tables."""
        negative = self.x < 0
        magnitude = Mux(self.mode.softmax, self.maximum, Mux(negative, 0, self.x))
        subtrahend = Mux(self.mode.softmax | negative, self.x, 0)
        distance = self._register(m, 16, magnitude - subtrahend, "distance")
        return self._register(m, 31, distance << self.mode.table_shift, "position")

    def _lookup(self, m: Module):
        """Stage 3: segment, place in it, whether the table ends before, shift of the result."""
        mode = self.mode
        position = self._position(m)
        m.submodules.tables = tables = FunctionTables()
        coarse = Signal()
        m.d.comb += coarse.eq(mode.silu & position[_FINE_BITS:].any())
        # The fraction of an exponent has a bit less than what segment and place take.
        exponent = Cat(Const(0, 1), position[:POSITION_BITS], Const(0, 1))
        scaled = Signal(INDEX_BITS + OFFSET_BITS)
        m.d.comb += [
            scaled.eq(Mux(mode.softmax, exponent, Mux(coarse, position >> COARSE_BITS, position))),
            tables.address.eq(
                Cat(scaled[OFFSET_BITS:], mode.softmax | (mode.silu & ~coarse), mode.silu)
            ),
        ]
        place = self._register(m, OFFSET_BITS, scaled[:OFFSET_BITS], "place")
        ends = INDEX_BITS + OFFSET_BITS
        beyond = Mux(mode.silu, position[ends + COARSE_BITS :].any(), position[ends:].any())
        beyond = self._register(m, 1, ~mode.softmax & beyond, "beyond")
        whole = position[POSITION_BITS:]
        shift = Signal(6)
        m.d.comb += shift.eq(Mux(mode.softmax, whole[:5], 0) + mode.result_shift)
        vanishes = shift[5] | (mode.softmax & whole[5:].any())
        shift = self._register(m, 5, shift[:5] | vanishes.replicate(5), "shift_3")
        return tables.segment, place, beyond, shift

    def _table_path(self, m: Module, normalised: Signal, product: Signal) -> Signal:
        """Stages 3 to 9: interpolation or the product with the gain, shifted."""
        segment, place, beyond, shift = self._lookup(m)
        is_normalise = self.mode.normalise
        delta = Mux(beyond, 0, segment.delta)
        left = Mux(is_normalise, normalised, Mux(self.mode.complex, self.partner, delta))
        left = self._register(m, signed(_FACTOR_BITS), left, "slope")
        right = Mux(
            is_normalise | self.mode.complex, self.gain, Cat(place, Const(0, 1)).as_signed()
        )
        right = self._register(m, signed(16), right, "gain_or_place")
        m.d.sync += product.eq(left * right)

        base = self._register(m, unsigned(17), Mux(beyond, 0, segment.base), "base_4")
        base = self._register(m, unsigned(17), base, "base_5")
        whole = Mux(is_normalise, product, product >> OFFSET_BITS)
        value = whole + Mux(is_normalise, 0, base)
        value = self._register(m, signed(_VALUE_BITS), value, "value")
        for stage in (4, 5, 6):
            shift = self._register(m, 5, shift, f"shift_{stage}")
        m.submodules.result_shifter = shifter = RoundingShifter(_VALUE_BITS, _FACTOR_BITS)
        m.d.comb += [shifter.value.eq(value), shifter.shift.eq(shift)]
        return shifter.result

    def _finish(self, m: Module, tabulated: Signal, f: Signal) -> None:
        """Stages 10 and 11: activation, bias or limit of the probability."""
        mode = self.mode
        positive = Mux((mode.curve | mode.relu) & (self.x_late < 0), 0, self.x_late)
        addend = Mux(mode.normalise, self.bias, Mux(mode.activate, positive, 0))
        term = Mux(mode.activate & ~mode.curve, 0, tabulated)
        total = self._register(
            m,
            signed(_FACTOR_BITS + 2),
            Mux(mode.curve, addend - term, addend + term),
            "total",
        )
        one_plane = mode.softmax & ~mode.two_planes
        beyond = mode.softmax & (total[2 * _PLANE_BITS] | (one_plane & total[_PLANE_BITS]))
        limit = Mux(one_plane, (1 << _PLANE_BITS) - 1, (1 << 2 * _PLANE_BITS) - 1)
        limited = Mux(beyond, limit, saturate(total, 16))
        m.d.sync += f.eq(Mux(self.keep, limited, 0))

    def _results(self, m: Module, normalised: Signal, f: Signal) -> None:
        mode = self.mode
        magnitude = Mux(f < 0, -f, f)
        peak = self._register(
            m, signed(PEAK_BITS), Mux(mode.activate, magnitude, self.x), "peak_register"
        )
        low = normalised < -127
        high = normalised > 127
        byte = Mux(low, -127, Mux(high, 127, normalised))[:8]
        product = saturate(normalised, 16)
        scaled = Cat(Mux(mode.multiply, product[:8], byte), product[8:])
        planes = Cat(f[_PLANE_BITS : 2 * _PLANE_BITS], Const(0, 1), f[:_PLANE_BITS], Const(0, 1))
        softmax = Mux(mode.two_planes, planes, f[:8])
        result = Mux(mode.normalise, f, Mux(mode.activate, scaled, softmax))
        m.d.comb += [
            self.peak.eq(peak),
            self.result.eq(self._register(m, 16, result, "result_register")),
        ]
