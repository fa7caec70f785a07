"""Takes instructions of the vector unit apart and checks their operands."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .activation import VALUE_BITS
from .config import AcceleratorConfig
from .interpolation import OFFSET_BITS
from .isa import (
    TABULATED_ACTIVATIONS,
    Activation,
    ErrorCode,
    Multiply,
    Normalise,
    Opcode,
    Quantise,
    Softmax,
)
from .kept_shape import KeptShape
from .ports import fault_layout, issue_layout
from .vector_plan import (
    MAXIMUM_NORMALISE_COLUMNS,
    Operation,
    line_beats,
    plan_layout,
)

FRACTION_LIMIT = 15
"""Greatest fraction of the tables and of the result of NORMALISE; the least is 0."""

QUANTISE_FRACTION_LIMIT = 64

MULTIPLY_SHIFT_LIMIT = 29
"""Most bits that MULTIPLY shifts right by; the least is 0."""

_QUANTISE_NUMERATOR = 127 << 9
_SOFTMAX_NUMERATOR = 1 << 16
_STEPS = 6


def _view(layout: type[data.Struct], word: Value) -> data.View:
    """Return an instruction word as a struct."""
    return layout(word[: layout.as_shape().size])


def _product_shift(multiply: data.View) -> Value:
    """Return by how many bits MULTIPLY shifts a product right."""
    return multiply.x_fraction + multiply.w_fraction - multiply.y_fraction


class VectorDecode(wiring.Component):
    """Checks an instruction and works out what all its rows have in common.

    An instruction takes 4 · 6 + 5 cycles; the one multiplier is used for the last word of each
    region and for N · epsilon.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    instruction : stream of `issue_layout`, in
    plan : stream of `plan_layout`, out
        The instruction, stable until it is taken.
    busy : out
        An instruction is in the decoder.
    fault : out
        Why the instruction is refused; stays until `clear`.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "instruction": In(stream.Signature(issue_layout)),
                "plan": Out(stream.Signature(plan_layout(config))),
                "busy": Out(1),
                "fault": Out(fault_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return the sequencer around one multiplier."""
        m = Module()
        issue = Signal(issue_layout)
        operands_legal, keep_legal = Signal(), Signal()
        step = Signal(range(_STEPS))
        fault = Signal(fault_layout)
        m.d.comb += self.fault.eq(fault)
        begin = Signal()
        self._common(m, issue.word, begin)
        kept_legal = self._kept(m, issue.word)
        m.d.sync += [operands_legal.eq(self._is_legal(m, issue.word)), keep_legal.eq(kept_legal)]
        last, product, used = self._regions(m, issue.word, step)

        with m.FSM() as states:
            m.d.comb += self.busy.eq(~states.ongoing("TAKE"))
            with m.State("TAKE"):
                m.d.comb += self.instruction.ready.eq(1)
                m.d.sync += [issue.eq(self.instruction.payload), step.eq(0)]
                with m.If(self.instruction.valid):
                    m.next = "SHAPE"
            with m.State("SHAPE"):
                m.d.comb += begin.eq(1)
                m.next = "KEPT_GROUPS"
            with m.State("KEPT_GROUPS"):
                m.next = "KEPT_SLOTS"
            with m.State("KEPT_SLOTS"):
                m.next = "OPERANDS"
            with m.State("OPERANDS"):
                m.next = "MULTIPLY"
                with m.If(~operands_legal | ~keep_legal):
                    m.d.sync += [fault.valid.eq(1), fault.code.eq(ErrorCode.ILLEGAL_OPERAND)]
                    m.d.sync += fault.index.eq(issue.index)
                    m.next = "STOP"
            with m.State("MULTIPLY"):
                m.next = "ADD"
            with m.State("ADD"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += step.eq(step + 1)
                m.next = "OPERANDS"
                with m.If(step == 4):
                    m.d.sync += self.plan.payload.epsilon_product.eq(product)
                with m.If(step == 5):
                    high = self.plan.payload.epsilon_product + (product << 16)
                    m.d.sync += self.plan.payload.epsilon_product.eq(high)
                    m.next = "GIVE"
                outside = last[len(self.plan.payload.x_address) :].any()
                with m.If(used & outside):
                    m.d.sync += [fault.valid.eq(1), fault.code.eq(ErrorCode.SCRATCHPAD_RANGE)]
                    m.d.sync += [fault.index.eq(issue.index), fault.address.eq(last)]
                    m.next = "STOP"
            with m.State("GIVE"):
                m.d.comb += self.plan.valid.eq(1)
                with m.If(self.plan.ready):
                    m.next = "TAKE"
            with m.State("STOP"):
                pass
        return ResetInserter(self.clear)(m)

    def _common(self, m: Module, word: Value, begin: Signal) -> None:
        """Fill the plan, all but `epsilon_product`.

        Right from two cycles after `word` on; what depends on the bits of N, 18 after `begin`.
        """
        plan = self.plan.payload
        quantise, softmax = _view(Quantise, word), _view(Softmax, word)
        normalise, multiply = _view(Normalise, word), _view(Multiply, word)
        columns, opcode = quantise.columns, quantise.header.opcode
        lanes = self.config.vector_lanes
        beat_shift = lanes.bit_length() - 1
        line_shift = beat_shift + line_beats(self.config).bit_length() - 1
        before = Signal(16)
        m.d.comb += before.eq(columns - 1)
        tail = before[:beat_shift]
        m.d.sync += [
            plan.rows.eq(quantise.rows),
            plan.columns.eq(columns),
            plan.beats.eq(before >> beat_shift),
            plan.lines.eq(before >> line_shift),
            plan.tail.eq(Cat(tail >= lane for lane in range(lanes))),
            plan.activation.eq(quantise.activation),
            plan.complex.eq(multiply.complex),
            plan.two_planes.eq(softmax.two_planes),
            plan.causal.eq((opcode == Opcode.SOFTMAX) & softmax.causal),
            plan.reach.eq(softmax.first_length - 1),
            plan.root_mean_square.eq(normalise.norm),
            plan.x_fraction.eq(quantise.x_fraction),
            plan.table_shift.eq(~quantise.x_fraction[:4]),
        ]
        for name in ("x_address", "x_pitch", "y_address", "y_pitch"):
            m.d.sync += plan[name].eq(quantise[name])
        m.d.sync += [
            plan.scale_address.eq(quantise.scale_address),
            plan.plane_words.eq(softmax.plane_words),
            plan.parameter_address.eq(normalise.parameter_address),
            plan.parameter_pitch.eq(normalise.parameter_pitch),
        ]
        with m.Switch(opcode):
            with m.Case(Opcode.MULTIPLY):
                m.d.sync += [
                    plan.operation.eq(Operation.MULTIPLY),
                    plan.ratio_shift.eq(_product_shift(multiply) + 2),
                    plan.result_shift.eq(OFFSET_BITS + VALUE_BITS - quantise.x_fraction[:4]),
                ]
            with m.Case(Opcode.QUANTISE):
                m.d.sync += [
                    plan.operation.eq(Operation.QUANTISE),
                    plan.numerator.eq(_QUANTISE_NUMERATOR),
                    plan.result_shift.eq(OFFSET_BITS + VALUE_BITS - quantise.x_fraction[:4]),
                ]
            with m.Case(Opcode.SOFTMAX):
                m.d.sync += [
                    plan.operation.eq(Operation.SOFTMAX),
                    plan.numerator.eq(_SOFTMAX_NUMERATOR),
                    plan.result_shift.eq(OFFSET_BITS + Mux(softmax.two_planes, 2, 9)),
                ]
            with m.Case(Opcode.NORMALISE):
                m.d.sync += plan.operation.eq(Operation.NORMALISE)
                self._normalisation(m, begin, columns, normalise.y_fraction[:4])

    def _kept(self, m: Module, word: Value) -> Value:
        """Fill in what is kept; return, two cycles after `word`, whether that can be."""
        plan, quantise = self.plan.payload, _view(Quantise, word)
        softmax = _view(Softmax, word)
        is_softmax = quantise.header.opcode == Opcode.SOFTMAX
        may_keep = is_softmax | (quantise.header.opcode == Opcode.QUANTISE)
        keeps = may_keep & (quantise.keep != 0)
        if not self.config.largest_kept_group:
            return ~keeps
        m.submodules.kept = kept = KeptShape(self.config)
        m.d.comb += [
            kept.columns.eq(quantise.columns),
            kept.keep.eq(quantise.keep),
            kept.log_group.eq(quantise.log_group),
        ]
        m.d.sync += [
            plan.keep.eq(Mux(may_keep, quantise.keep, 0)),
            plan.log_group.eq(quantise.log_group),
            plan.kept.eq(kept.shape),
        ]
        return ~keeps | (kept.legal & ~(is_softmax & softmax.two_planes))

    def _normalisation(self, m: Module, begin: Value, columns: Value, y_fraction: Value) -> None:
        """The fields that depend on the number of bits of N: shift N up to 17, a bit a cycle."""
        plan = self.plan.payload
        count = Signal(5)
        with m.If(begin):
            m.d.sync += [plan.numerator.eq(columns), count.eq(0)]
        with m.Elif(~plan.numerator[-1]):
            m.d.sync += [plan.numerator.eq(plan.numerator << 1), count.eq(count + 1)]
        # With b = 17 - count bits, z has F = 17 - ceil(b / 2) fraction bits; the shifts are
        # 50 - b - F and 12 + F - y_fraction.
        m.d.sync += [
            plan.ratio_shift.eq(25 + (count >> 1)),
            plan.result_shift.eq(20 + ((count + 1) >> 1) - y_fraction),
        ]

    def _is_legal(self, m: Module, word: Value) -> Value:
        quantise, normalise = _view(Quantise, word), _view(Normalise, word)
        softmax, multiply = _view(Softmax, word), _view(Multiply, word)
        opcode = quantise.header.opcode
        fraction = quantise.x_fraction
        small = (fraction >= 0) & (fraction <= FRACTION_LIMIT)
        limit = QUANTISE_FRACTION_LIMIT
        known = quantise.activation.as_value() <= max(kind.value for kind in Activation)
        within = (fraction >= -limit) & (fraction <= limit)
        tabulated = Cat(quantise.activation == kind for kind in TABULATED_ACTIVATIONS).any()
        activated = known & (small | ~tabulated)
        shift = Signal(signed(10))
        paired = (quantise.activation == Activation.IDENTITY) & ~quantise.columns[0]
        m.d.comb += shift.eq(_product_shift(multiply))
        shifted = (shift >= 0) & (shift <= MULTIPLY_SHIFT_LIMIT)
        legal = Signal()
        with m.Switch(opcode):
            with m.Case(Opcode.QUANTISE):
                m.d.comb += legal.eq(activated & within)
            with m.Case(Opcode.MULTIPLY):
                m.d.comb += legal.eq(activated & shifted & (paired | ~multiply.complex))
            with m.Case(Opcode.SOFTMAX):
                m.d.comb += legal.eq(small & ((softmax.first_length != 0) | ~softmax.causal))
            with m.Case(Opcode.NORMALISE):
                m.d.comb += legal.eq(small & (normalise.columns <= MAXIMUM_NORMALISE_COLUMNS))
        return legal & (quantise.rows != 0) & (quantise.columns != 0)

    def _regions(self, m: Module, word: Value, step: Signal) -> tuple[Value, Value, Value]:
        """Return the last word of the region of `step`, its product and whether it counts.

        Two cycles after `step`; the steps are X, Y, second plane, scales, parameters or W, and the
        two halves of N · epsilon.
        """
        quantise, softmax = _view(Quantise, word), _view(Softmax, word)
        normalise = _view(Normalise, word)
        is_softmax, is_normalise, is_wide = Signal(), Signal(), Signal()
        opcode = quantise.header.opcode
        m.d.sync += [
            is_softmax.eq(opcode == Opcode.SOFTMAX),
            is_normalise.eq(opcode == Opcode.NORMALISE),
            is_wide.eq((opcode == Opcode.NORMALISE) | (opcode == Opcode.MULTIPLY)),
        ]
        rows, before = Signal(16), Signal(16)
        m.d.comb += [rows.eq(quantise.rows - 1), before.eq(quantise.columns - 1)]
        wide, narrow = before >> 2, before >> 3
        y_words, y_rows, y_pitch = Mux(is_wide, wide, narrow), rows, quantise.y_pitch
        if self.config.largest_kept_group:
            keeps, kept = self.plan.payload.keep != 0, self.plan.payload.kept
            tiles_before = rows >> self.config.array.columns.bit_length() - 1
            y_words = Mux(keeps, kept.tile_words - 1, y_words)
            y_rows = Mux(keeps, tiles_before, rows)
            y_pitch = Mux(keeps, kept.tile_words, quantise.y_pitch)
        y_address = quantise.y_address
        factors = [
            (rows, quantise.x_pitch),
            (y_rows, y_pitch),
            (rows, quantise.y_pitch),
            (Mux(is_normalise, 1, rows), Mux(is_wide, normalise.parameter_pitch, 1)),
            (normalise.columns, normalise.epsilon[:16]),
            (normalise.columns, normalise.epsilon[16:]),
        ]
        # The parameters of NORMALISE and W have their address where the scales have theirs.
        addresses = [quantise.x_address, y_address, y_address, quantise.scale_address]
        offsets = [wide, y_words, narrow + softmax.plane_words, Mux(is_wide, wide, 0)]
        counted = [
            Const(1),
            Const(1),
            is_softmax & softmax.two_planes,
            Const(1),
            Const(0),
            Const(0),
        ]
        left, right, product = Signal(16), Signal(16), Signal(32)
        address, offset = Signal(32), Signal(17)
        base, last = Signal(33), Signal(34)
        m.d.sync += [
            left.eq(Array(factor[0] for factor in factors)[step]),
            right.eq(Array(factor[1] for factor in factors)[step]),
            address.eq(Array(addresses)[step]),
            offset.eq(Array(offsets)[step]),
            base.eq(address + offset),
            product.eq(left * right),
            last.eq(base + product),
        ]
        counts = Signal()
        m.d.sync += counts.eq(Array(counted)[step])
        return last, product, counts
