"""Checks the operands of a BUTTERFLY before anything is read or written."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_format import DATA_BITS
from .butterfly_order import (
    FOLDED,
    MAXIMUM_LOG_POINTS,
    MAXIMUM_POINTS,
    MAXIMUM_TURNS,
    WORD_BITS,
)
from .butterfly_plan import plan_layout
from .config import AcceleratorConfig
from .isa import Axis, ButterflyMode, ErrorCode
from .ports import INDEX_BITS, address_width, fault_layout, issue_layout

REGIONS = 9
_SHAPE_CYCLES = 3

_X, _WORK, _Y, _Y_EXPONENTS = (0, 1), (2, 3), (4, 5), 8
_MATRICES, _OTHERS = (_X, _WORK, _Y), (6, 7, _Y_EXPONENTS)
_READ = (*_X, 6, 7)
"""Real and imaginary part of each matrix, and other regions; coefficients, exponents of X.

X is always read, like the two regions of `_READ` that are no matrix; the others are written.
"""

_region_layout = data.StructLayout(
    {"rows": 16, "pitch": 18, "address": 32, "plane": 32, "row_words": 18, "used": 1}
)


def _words_layout(config: AcceleratorConfig) -> data.StructLayout:
    address = address_width(config)
    return data.StructLayout({"first": address, "last": address, "used": 1})


class ButterflyCheck(wiring.Component):
    """Holds an instruction until it is known to be legal, and works out its shape.

    ILLEGAL_OPERAND (address 0) and SCRATCHPAD_RANGE (the last word of the first region outside) are
    those of `verif.golden.butterfly_instruction`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `issue_layout`, in
    idle : in; nothing is being executed.
    plan : stream of `plan_layout`, out
        Legal instructions. If nothing else is being executed, an instruction is handed on
        as soon as its operands are known to be legal and its shape is known, and `hold` says that
        nothing may be written yet.
    hold : out
    busy : out; an instruction is held.
    fault : `fault_layout`, out; stays until reset.

    Latency: `LATENCY` cycles, one more if pipelined, or `EARLY_LATENCY` if idle.
    """

    LATENCY = REGIONS + _SHAPE_CYCLES + 4
    EARLY_LATENCY = _SHAPE_CYCLES + 2

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(issue_layout)),
                "idle": In(1),
                "plan": Out(stream.Signature(plan_layout(config))),
                "hold": Out(1),
                "busy": Out(1),
                "fault": Out(fault_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return registers of the shape and a pipeline of one region a cycle."""
        m = Module()
        plan = self.plan.payload
        word = plan.fields
        index = Signal(INDEX_BITS)
        held, legal, handed = Signal(), Signal(), Signal()
        step = Signal(range(_SHAPE_CYCLES + REGIONS + 1))
        transfer, leaves = Signal(), Signal()
        m.d.comb += [
            transfer.eq(self.plan.valid & self.plan.ready),
            leaves.eq(legal & (handed | transfer)),
        ]
        end = _SHAPE_CYCLES + REGIONS
        tokens = word.axis == Axis.TOKENS
        points, across = self._shape(m, plan, tokens)
        region = Signal(range(REGIONS + 1))
        under_way = held & (step >= _SHAPE_CYCLES) & (step != end)
        regions = self._regions(m, plan, tokens, across)
        finished, outside, last_word, dependent = self._last_words(
            m, word.plane_words, regions, region, under_way, leaves
        )

        m.d.comb += [
            self.instruction.ready.eq(~held),
            self.busy.eq(held),
            self.hold.eq(handed),
            self.plan.valid.eq(
                held & ~handed & (legal | (self.idle & (step > _SHAPE_CYCLES) & ~self.fault.valid))
            ),
            self.fault.index.eq(index),
        ]
        with m.If(self.instruction.valid & ~held):
            m.d.sync += [
                held.eq(1),
                step.eq(0),
                region.eq(0),
                index.eq(self.instruction.payload.index),
            ]
            m.d.sync += [word.eq(self.instruction.payload.word), plan.depends.eq(0)]
        with m.Elif(step != end):
            m.d.sync += [step.eq(step + 1), region.eq(region + (step >= _SHAPE_CYCLES))]
        with m.If(transfer):
            m.d.sync += handed.eq(1)
        with m.If(leaves):
            m.d.sync += [legal.eq(0), held.eq(0), handed.eq(0)]

        with m.If(dependent):
            m.d.sync += plan.depends.eq(1)

        # The operands are judged before the first region.
        illegal = Signal()
        m.d.sync += illegal.eq(self._is_illegal(m, word, points, across, tokens))
        with m.If(held & ~self.fault.valid & ~legal):
            with m.If((step == _SHAPE_CYCLES) & illegal):
                m.d.sync += [
                    self.fault.valid.eq(1),
                    self.fault.code.eq(ErrorCode.ILLEGAL_OPERAND),
                    self.fault.address.eq(0),
                ]
            with m.Elif(outside):
                m.d.sync += [
                    self.fault.valid.eq(1),
                    self.fault.code.eq(ErrorCode.SCRATCHPAD_RANGE),
                    self.fault.address.eq(last_word),
                ]
            with m.Elif(finished):
                m.d.sync += legal.eq(1)
        return m

    def _shape(self, m: Module, plan, tokens: Value) -> tuple[Signal, Signal]:
        """Fill the plan; return points of a vector and one less than words or rows across."""
        word = plan.fields
        lane_bits = (self.config.butterfly.lanes - 1).bit_length()
        points = Signal(16 + MAXIMUM_LOG_POINTS + 2)
        before, across = Signal(16), Signal(16)
        m.d.comb += before.eq(word.vectors - 1)
        m.d.sync += [
            points.eq(word.blocks << word.log_points),
            across.eq(Mux(tokens, before >> WORD_BITS, before)),
            plan.last_turn.eq(across >> lane_bits),
            plan.tail.eq(across[:lane_bits]),
        ]
        for name, limit in (("words", 0), ("x_words", word.x_points), ("y_words", word.y_points)):
            given = points if name == "words" else Mux(limit == 0, points, limit)
            rounded = (given + (1 << WORD_BITS) - 1) >> WORD_BITS
            m.d.sync += plan[name].eq(Mux(tokens, given, rounded))
        return points, across

    def _is_illegal(self, m: Module, word, points: Value, across: Value, tokens: Value) -> Value:
        lanes = self.config.lanes
        pitch_bits = (lanes - 1).bit_length()
        turns_bits = (self.config.butterfly.lanes * MAXIMUM_TURNS - 1).bit_length()
        log_points, log_stride, stages = word.log_points, word.log_stride, word.stages
        last = Signal(6)
        m.d.comb += last.eq(log_stride + stages)
        wrong_order = Mux(word.decreasing, stages > log_stride + 1, last > log_points)
        skewed = (word.x_pitch[:pitch_bits] == 1) & (word.y_pitch[:pitch_bits] == 1)
        conditions = [
            Value.cast(word.mode) > ButterflyMode.INVERSE_FOURIER.value,
            log_points == 0,
            log_points > MAXIMUM_LOG_POINTS,
            points == 0,
            points > MAXIMUM_POINTS,
            word.x_points > points,
            word.y_points > points,
            word.vectors == 0,
            across[turns_bits:].any() if turns_bits < len(across) else 0,
            stages == 0,
            log_stride >= log_points,
            wrong_order,
            word.bit_reversed & (word.decreasing | (stages != log_points)),
            ~tokens & (~skewed | points[:WORD_BITS].any()),
            word.x_headroom < -1,
            word.x_headroom >= DATA_BITS,
            word.accumulate & word.y_blocks,
        ]
        return Cat(Value.cast(condition).any() for condition in conditions).any()

    def _regions(self, m: Module, plan, tokens: Value, across: Value) -> list[tuple]:
        """Return, of each region, rows, pitch, address, words of a row (one less), and use.

        X, work area and Y, real and imaginary parts; coefficients; exponents of X and of Y. What
        `plane_words` adds to the address of imaginary parts is left out.
        """
        word = plan.fields
        real = word.mode == ButterflyMode.REAL
        # Without a work area: one pass.
        folds = word.stages[0] & (word.stages >= FOLDED) & (self.config.butterfly.stages > 1)
        has_work = word.stages > Mux(folds, FOLDED, self.config.butterfly.stages)
        # Where there is a second pass, all that was before is written when it begins.
        self._adds_at_once = word.accumulate & ~has_work

        def matrix(words, address, pitch):
            before = words - 1
            rows, row_words = Mux(tokens, before, across), Mux(tokens, across, before)
            return rows, pitch, address, row_words

        result: list[tuple] = []
        for words, address, pitch, is_real, used in (
            (plan.x_words, word.x_address, word.x_pitch, word.x_real, 1),
            (plan.words, word.work_address, word.y_pitch, 0, has_work),
            (plan.y_words, word.y_address, word.y_pitch, word.y_real, 1),
        ):
            parts = matrix(words, address, pitch)
            result.append((*parts, used))
            result.append((*parts, used & ~real & ~is_real))
        turns = plan.last_turn
        plain, folded = self._factor_words(m, plan)
        coefficients = (
            Mux(folds, word.stages - FOLDED, word.stages - 1),
            plain,
            word.coefficient_address,
            Mux(folds, (folded << 1) + folded, plain) - 1,
        )
        result.append((*coefficients, real))
        result.append((0, 0, word.exponent_address, turns, word.x_blocks))
        result.append((0, 0, word.y_exponent_address, turns, word.y_blocks))
        return result

    def _factor_words(self, m: Module, plan) -> list[Signal]:
        """Return the words of coefficients of a factor of a plain and of a folded pass."""
        lane_bits = (self.config.lanes - 1).bit_length()
        counts = []
        for window_bits in (2, 3):
            groups = (plan.words + (1 << window_bits) - 1) >> window_bits
            beats = groups << (window_bits + 1)
            words = Signal(18, name=f"words_{window_bits}")
            lines = (beats + self.config.lanes - 1) >> lane_bits
            m.d.sync += words.eq(lines << lane_bits)
            counts.append(words)
        return counts

    def _last_words(
        self, m: Module, plane, regions: list[tuple], region: Signal, under_way, leaves
    ):
        """Return, three cycles after `region`, what is known of it.

        That is: it is the last; it is outside; its last word; it depends on the instruction before.
        """
        chosen = Signal(_region_layout, reset_less=True)
        # Both parts of a matrix differ in their address only.
        with m.Switch(region):
            for cases, (rows, pitch, address, words, _) in (
                *((pair, regions[pair[0]]) for pair in (*_MATRICES,)),
                *(((number,), regions[number]) for number in _OTHERS),
            ):
                with m.Case(*cases):
                    m.d.sync += [
                        chosen.rows.eq(rows),
                        chosen.pitch.eq(pitch),
                        chosen.address.eq(address),
                        chosen.row_words.eq(words),
                    ]
        is_imaginary = Cat(region == second for _, second in _MATRICES).any()
        m.d.sync += [
            chosen.plane.eq(Mux(is_imaginary, plane, 0)),
            chosen.used.eq(Cat(Value.cast(use)[0] for *_, use in regions).bit_select(region, 1)),
        ]
        address_bits = address_width(self.config)
        offset = Signal(34, reset_less=True)
        base = Signal(34, reset_less=True)
        last_word = Signal(35, reset_less=True)
        used = Signal(2, reset_less=True)
        first = [Signal(address_bits, reset_less=True, name=f"first_{i}") for i in range(2)]
        numbers = [Signal(range(REGIONS), reset_less=True, name=f"number_{i}") for i in range(3)]
        busy = Signal(3)
        m.d.sync += [
            busy.eq(Cat(under_way, busy)),
            offset.eq(chosen.rows * chosen.pitch),
            base.eq(chosen.address + chosen.plane + chosen.row_words),
            last_word.eq(offset + base),
            used.eq(Cat(chosen.used, used)),
            first[0].eq(chosen.address + chosen.plane),
            first[1].eq(first[0]),
            numbers[0].eq(region),
            numbers[1].eq(numbers[0]),
            numbers[2].eq(numbers[1]),
        ]
        in_use = busy[2] & used[1]
        outside = in_use & last_word[address_bits:].any()
        finished = self._late(m, busy[2] & ~busy[1])
        words = _words_layout(self.config)
        current = Signal(words)
        m.d.comb += [
            current.first.eq(first[1]),
            current.last.eq(last_word),
            current.used.eq(in_use),
        ]
        return finished, outside, last_word, self._depends(m, current, numbers[2], busy[2], leaves)

    def _depends(self, m: Module, current, number: Signal, valid: Value, leaves: Value) -> Value:
        """Return whether `current` must wait for what the instruction before writes.

        All that the unit reads and writes is in order but for this: it reads ahead of what it
        writes, and exponents of Y are written apart from all else.
        """
        overlaps = []
        for written in (*_Y, _Y_EXPONENTS):
            now = Signal(current.shape(), name=f"now_{written}")
            before = Signal(current.shape(), name=f"before_{written}")
            with m.If(valid & (number == written)):
                m.d.sync += now.eq(current)
            with m.If(leaves):
                m.d.sync += before.eq(now)
            overlap = before.used & (current.first <= before.last) & (current.last >= before.first)
            overlaps.append(self._late(m, overlap))
        is_y = Cat(number == region for region in _Y).any()
        is_read = Cat(number == region for region in _READ).any() | (is_y & self._adds_at_once)
        is_data = is_read | is_y | Cat(number == region for region in _WORK).any()
        reads = self._late(m, current.used & is_read)
        moves = self._late(m, current.used & is_data)
        return (reads & (overlaps[0] | overlaps[1])) | (moves & overlaps[2])

    def _late(self, m: Module, value: Value) -> Value:
        """Return `value`, a cycle later if the unit is pipelined."""
        if not self.config.butterfly.pipelined:
            return value
        register = Signal(name="late")
        m.d.sync += register.eq(value)
        return register
