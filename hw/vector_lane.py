"""One lane of the vector unit: two multipliers, two rounding shifters and the function tables."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .activation import COARSE_BITS, SILU_FINE_END
from .exponential import POSITION_BITS
from .function_tables import ADDRESS_BITS, INDEX_BITS, FunctionTables
from .interpolation import OFFSET_BITS
from .rounding import RoundingShifter

RATIO_BITS = 17
OFFSET_WIDTH = 37
SQUARE_BITS = 31
PEAK_BITS = 17
_VALUE_BITS = 34
_FACTOR_BITS = 18
_PLANE_BITS = 7
_ALIGNED_BITS = 31
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
    `term` is at 13. `x_late` is `x` itself, delayed by the caller.

    Members
    -------
    mode : in, `mode_layout`
    x : in, int16
    maximum : in, int16
        The row's maximum; zero but in SOFTMAX.
    square, ratio, weight : in, bit, unsigned, int16
        What the second multiplier multiplies by: x itself, the row's ratio, or the element of W;
        all but one are zero.
    offset, ratio_shift : in
        What is subtracted from four times the product, and the shift after.
    partner, gain, adds : in, int16, int16 and a bit
        The activated element of the other lane of a pair and what a complex product multiplies it
        by; added if `adds`, else subtracted. NORMALISE takes `gain` only.
    bias, x_late : in, int16
    keep : in
        The element is one of the row; others become zero.
    peak : out
        What QUANTISE and SOFTMAX take the maximum of: x, or the activated element f as 2 · f or
        -2 · f - 1, so that (peak + 1) >> 1 is its magnitude.
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

    def _sum(
        self, m: Module, left: Value, right: Value, subtract: Value, width: int, name: str
    ) -> Value:
        """Return ``left + right``, or the difference, by one adder."""
        terms = [Signal(signed(width), name=f"{name}_{side}") for side in ("left", "right")]
        for term, value in zip(terms, (left, right), strict=True):
            m.d.comb += term.eq(value)
        # A difference is the sum with the complement and one more, which is carried from below.
        sums = Cat(subtract, terms[0]) + Cat(subtract, terms[1] ^ subtract.replicate(width))
        return sums[1 : width + 1].as_signed()

    def _ratio_path(self, m: Module, f: Signal, partners: Signal) -> Signal:
        """Return z of NORMALISE, or y of QUANTISE and MULTIPLY before it is limited."""
        factor = self._register(m, signed(16), Mux(self.mode.normalise, self.x, f), "factor")
        ratio = Cat(self.ratio, Const(0, 1)).as_signed()
        other = self._register(
            m, signed(_FACTOR_BITS), ratio | self.weight | Mux(self.square, self.x, 0), "other"
        )
        product = self._register(m, signed(_VALUE_BITS), factor * other, "ratio_product")
        offset = self.offset | Mux(self.mode.complex, partners << 2, 0)
        centred = self._sum(m, product << 2, offset, ~self.adds, OFFSET_WIDTH, "centred")
        centred = self._register(m, signed(OFFSET_WIDTH), centred, "centred")
        m.submodules.ratio_shifter = shifter = RoundingShifter(OFFSET_WIDTH, _FACTOR_BITS)
        m.d.comb += [shifter.value.eq(centred), shifter.shift.eq(self.ratio_shift)]

        term = self._register(m, signed(16), factor, "term_register")
        m.d.comb += [self.product.eq(product), self.term.eq(term)]
        return shifter.result

    def _position(self, m: Module):
        """Stage 1: |x| or maximum - x. Return it aligned to the tables, for stage 2."""
        subtract = Signal()
        m.d.comb += subtract.eq(self.mode.softmax | (self.x < 0))
        distance = self._sum(m, self.maximum, self.x, subtract, 16, "distance").as_unsigned()
        fine, coarse = self.mode.table_shift[:2], self.mode.table_shift[2:]
        distance = self._register(m, 19, distance << fine, "distance")
        return (distance << Cat(Const(0, 2), coarse))[:_ALIGNED_BITS]

    def _lookup(self, m: Module):
        """Stage 3: segment, place in it, whether the table ends before, shift of the result."""
        mode = self.mode
        aligned = self._position(m)
        position = self._register(m, _ALIGNED_BITS, aligned, "position")
        # What the upper bits say is a register as well.
        ends = INDEX_BITS + OFFSET_BITS
        upper = {"fine": _FINE_BITS, "end": ends, "coarse_end": ends + COARSE_BITS}
        upper["shifted_out"] = POSITION_BITS + 5
        beyond = {
            name: self._register(m, 1, aligned[bits:].any(), f"beyond_{name}")
            for name, bits in upper.items()
        }
        m.submodules.tables = tables = FunctionTables()
        coarse = Signal()
        m.d.comb += coarse.eq(mode.silu & beyond["fine"])
        # The fraction of an exponent has a bit less than what segment and place take.
        exponent = Cat(Const(0, 1), position[:POSITION_BITS], Const(0, 1))
        scaled = Signal(INDEX_BITS + OFFSET_BITS)
        m.d.comb += scaled.eq(
            Mux(mode.softmax, exponent, Mux(coarse, position >> COARSE_BITS, position))
        )
        place = self._register(m, OFFSET_BITS, scaled[:OFFSET_BITS], "place")
        # What no table holds is zero, which the last address does.
        outside = Signal()
        above = Mux(mode.silu, beyond["coarse_end"], beyond["end"])
        segment = Cat(scaled[OFFSET_BITS:], mode.softmax | (mode.silu & ~coarse), mode.silu)
        m.d.comb += [
            outside.eq(~mode.softmax & (~mode.curve | above)),
            tables.address.eq(segment | outside.replicate(ADDRESS_BITS)),
        ]
        whole = position[POSITION_BITS:]
        shift = Signal(6)
        m.d.comb += shift.eq(Mux(mode.softmax, whole[:5], 0) + mode.result_shift)
        vanishes = shift[5] | (mode.softmax & beyond["shifted_out"])
        shift = self._register(m, 5, shift[:5] | vanishes.replicate(5), "shift_3")
        return tables.segment, place, shift

    def _table_path(self, m: Module, normalised: Signal, product: Signal) -> Signal:
        """Stages 3 to 9: interpolation or the product with the gain, shifted."""
        segment, place, shift = self._lookup(m)
        is_normalise = self.mode.normalise
        left = Mux(is_normalise, normalised, Mux(self.mode.complex, self.partner, segment.delta))
        left = self._register(m, signed(_FACTOR_BITS), left, "slope")
        right = Mux(
            is_normalise | self.mode.complex, self.gain, Cat(place, Const(0, 1)).as_signed()
        )
        right = self._register(m, signed(16), right, "gain_or_place")
        m.d.sync += product.eq(left * right)

        base = self._register(m, unsigned(17), segment.base, "base_4")
        base = self._register(m, unsigned(17), base, "base_5")
        # An interpolated value is cut below the place of the base; NORMALISE has a base of zero.
        below = Mux(is_normalise, product[:OFFSET_BITS], 0)
        value = Cat(below, product[OFFSET_BITS:].as_signed() + base)
        value = self._register(m, signed(_VALUE_BITS), value, "value")
        for stage in (4, 5, 6):
            shift = self._register(m, 5, shift, f"shift_{stage}")
        m.submodules.result_shifter = shifter = RoundingShifter(_VALUE_BITS, _FACTOR_BITS)
        m.d.comb += [shifter.value.eq(value), shifter.shift.eq(shift)]
        return shifter.result

    def _finish(self, m: Module, tabulated: Signal, f: Signal) -> None:
        """Stages 10 and 11: activation, bias or limit of the probability."""
        mode = self.mode
        passes = mode.activate & ~((mode.curve | mode.relu) & (self.x_late < 0))
        addend = Mux(mode.normalise, self.bias, Mux(passes, self.x_late, 0))
        # The first multiplier's product of two numbers of a complex product is none of these.
        term = Mux(mode.complex, 0, tabulated)
        width = _FACTOR_BITS + 2
        total = self._sum(m, addend, term, mode.curve, width, "total")
        total = self._register(m, signed(width), total, "total")
        one_plane = mode.softmax & ~mode.two_planes
        planes = Mux(one_plane, total[_PLANE_BITS], total[2 * _PLANE_BITS])
        upper = total[15:]
        within, positive = Signal(), Signal()
        m.d.comb += [
            within.eq((upper.all() | ~upper.any()) & ~(mode.softmax & planes)),
            positive.eq(~total[-1]),
        ]
        limit = Cat(
            positive.replicate(_PLANE_BITS),
            (positive & ~one_plane).replicate(_PLANE_BITS),
            positive & ~mode.softmax,
            total[-1],
        )
        m.d.sync += f.eq(Mux(self.keep, Mux(within, total[:16], limit), 0))

    def _results(self, m: Module, normalised: Signal, f: Signal) -> None:
        mode = self.mode
        negative = f[-1]
        folded = Cat(negative, f[:-1] ^ negative.replicate(15), Const(0, 1))
        peak = Mux(mode.activate, folded, Cat(self.x, self.x[-1]))
        peak = self._register(m, signed(PEAK_BITS), peak, "peak_register")

        softmax_low = Cat(f[_PLANE_BITS : 2 * _PLANE_BITS], Const(0, 1))
        low = Mux(mode.softmax & mode.two_planes, softmax_low, f[:8])
        high = Mux(mode.softmax, Cat(f[:_PLANE_BITS], Const(0, 1)), f[8:])
        result = Mux(mode.activate, self._limited(m, normalised), Cat(low, high))
        m.d.comb += [
            self.peak.eq(peak),
            self.result.eq(self._register(m, 16, result, "result_register")),
        ]

    def _limited(self, m: Module, normalised: Signal) -> Value:
        """Return y of QUANTISE, -127 to 127 in the low byte, or of MULTIPLY."""
        multiply = self.mode.multiply
        byte, word, positive = normalised[7:], normalised[15:], ~normalised[-1]
        fits_word, fits, least = Signal(), Signal(), Signal()
        m.d.comb += [
            fits_word.eq(word.all() | ~word.any()),
            fits.eq(Mux(multiply, fits_word, byte.all() | ~byte.any())),
            # -128, and what is below the range, becomes -127.
            least.eq(~multiply & (~fits | ~normalised[:7].any())),
        ]
        low = Mux(fits, normalised[:7], positive.replicate(7))
        top = Mux(multiply & fits_word, normalised[7], Mux(multiply, positive, ~positive))
        high = Mux(fits_word, normalised[8:15], positive.replicate(7))
        return Cat(low | (least & ~positive), top, high, ~positive)
