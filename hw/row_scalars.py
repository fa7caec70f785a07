"""From what is summed over a row to what its elements are scaled by."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .isa import ScaleWord
from .queue import Queue
from .row_moments import RowMoments, sums_layout
from .row_offset import RowOffset
from .row_ratio import RowRatio
from .row_root import RowRoot
from .row_table import scalars_layout
from .vector_plan import ROW_SLOTS, Operation, plan_layout

MANTISSA_BITS = 16


class RowScalars(wiring.Component):
    """Four stages that work a digit a cycle, each on another row; no multiplier.

    Latency about 22 cycles in QUANTISE and SOFTMAX and 88 in NORMALISE; a row every 11, and every
    33 cycles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    plan : in, `plan_layout`
    sums_valid, sums : in, `sums_layout`
        Of the next row; at most `ROW_SLOTS` rows wait.
    scalars_valid, scalars : out, `scalars_layout`
        What QUANTISE and NORMALISE scale the next row by.
    scale_valid, scale : out
        The next row's scale word in QUANTISE and SOFTMAX.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "plan": In(plan_layout(config)),
                "sums_valid": In(1),
                "sums": In(sums_layout),
                "scalars_valid": Out(1),
                "scalars": Out(scalars_layout),
                "scale_valid": Out(1),
                "scale": Out(ScaleWord),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the queue and the chain of stages."""
        m = Module()
        plan = self.plan
        is_normalise, is_centred = Signal(), Signal()
        m.d.sync += [
            is_normalise.eq(plan.operation == Operation.NORMALISE),
            is_centred.eq(~plan.root_mean_square),
        ]
        queue = Queue(width=sums_layout.size, depth=ROW_SLOTS)
        m.submodules.queue = ResetInserter(self.clear)(queue)
        m.submodules.moments = moments = RowMoments()
        m.submodules.root = root = RowRoot()
        m.submodules.ratio = ratio = RowRatio()
        m.submodules.offset = offset = RowOffset()
        wiring.connect(m, moments.output, root.input)
        wiring.connect(m, root.output, ratio.input)
        m.d.comb += [stage.clear.eq(self.clear) for stage in (moments, root, ratio, offset)]
        m.d.comb += [
            queue.w_data.eq(self.sums),
            queue.w_en.eq(self.sums_valid),
            moments.input.payload.eq(queue.r_data),
            moments.input.valid.eq(queue.r_rdy),
            queue.r_en.eq(moments.input.ready),
            moments.enable.eq(is_normalise),
            moments.centred.eq(is_centred),
            moments.columns.eq(plan.columns),
            moments.epsilon_product.eq(plan.epsilon_product),
            root.enable.eq(is_normalise),
            ratio.numerator.eq(plan.numerator),
            offset.enable.eq(is_normalise & is_centred),
            offset.input.payload.eq(ratio.output.payload),
            offset.input.valid.eq(ratio.output.valid),
            ratio.output.ready.eq(offset.input.ready),
            offset.output.ready.eq(1),
        ]
        self._scalars(m, offset)
        self._scale(m, ratio)
        return m

    def _scalars(self, m: Module, offset: RowOffset) -> None:
        result = offset.output.p
        base = Mux(self.plan.operation == Operation.QUANTISE, 74, self.plan.ratio_shift)
        halved = self.plan.operation == Operation.NORMALISE
        leading = Mux(halved, result.leading >> 1, result.leading)
        m.d.sync += [
            self.scalars_valid.eq(
                offset.output.valid & (self.plan.operation != Operation.SOFTMAX) & ~self.clear
            ),
            self.scalars.ratio.eq(result.ratio),
            self.scalars.offset.eq(Mux(result.negative, -result.offset, result.offset)),
            self.scalars.shift.eq(base - leading),
        ]

    def _scale(self, m: Module, ratio: RowRatio) -> None:
        """Three cycles after the ratio: the scale word.

        QUANTISE divides by 127 = 128 · (1 - 1/128): d + 516 d / 2^16, with d the root's top bits.
        """
        result, plan = ratio.output.p, self.plan
        quantise = plan.operation == Operation.QUANTISE
        taken = ratio.output.valid & ratio.output.ready
        largest = (1 << MANTISSA_BITS) - 1
        d = result.root[-MANTISSA_BITS:]
        valid = Signal(2)
        base = Signal(MANTISSA_BITS)
        corrections = Signal(MANTISSA_BITS + 10)
        mantissa = Signal(MANTISSA_BITS + 1)
        exponents = [Signal(signed(8), name=f"exponent_{stage}") for stage in (1, 2)]
        offered = taken & (plan.operation != Operation.NORMALISE)
        m.d.sync += [
            Cat(valid, self.scale_valid).eq(Mux(self.clear, 0, Cat(offered, valid))),
            exponents[1].eq(exponents[0]),
            mantissa.eq(base + (corrections + (1 << (MANTISSA_BITS - 1)))[MANTISSA_BITS:]),
        ]
        with m.If(result.zero):
            m.d.sync += [base.eq(0), corrections.eq(0), exponents[0].eq(0)]
        with m.Elif(quantise):
            m.d.sync += [
                base.eq(d),
                corrections.eq((d << 9) + (d << 2)),
                exponents[0].eq(result.leading - 41 + plan.x_fraction),
            ]
        with m.Else():
            m.d.sync += [
                base.eq(Mux(result.ratio > largest, largest, result.ratio)),
                corrections.eq(0),
                exponents[0].eq(79 - result.leading),
            ]
        carry = mantissa[-1]
        m.d.sync += [
            self.scale.mantissa.eq(Mux(carry, mantissa >> 1, mantissa)),
            self.scale.exponent.eq(exponents[1] - carry),
        ]
