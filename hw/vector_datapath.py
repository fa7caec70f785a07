"""The lanes of the vector unit in step, with the reductions over them."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .beat_issue import elements_layout, select_beat, select_pair
from .config import AcceleratorConfig
from .delay import DelayLine
from .isa import Activation
from .ports import line_layout
from .reduction import RowReduction
from .row_table import RowTable, scalars_layout
from .vector_lane import PEAK_BITS, SQUARE_BITS, VectorLane, mode_layout
from .vector_plan import Operation, ends_line, plan_layout, tag_layout

SUM_BITS = 31
SQUARE_SUM_BITS = 44

_TABLE = VectorLane.TABLE_STAGE
_NORMALISE = VectorLane.NORMALISE_STAGE
_RATIO = VectorLane.RATIO_LATENCY


def output_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A beat of results: two bytes a lane, int16 or the two planes of int8."""
    return data.StructLayout(
        {"tag": tag_layout(config), "elements": data.ArrayLayout(unsigned(16), config.vector_lanes)}
    )


class VectorDatapath(wiring.Component):
    """A beat of a row in, its results out, with what is reduced over the row beside.

    Throughput one beat a cycle; nothing stalls. `output` follows `pair` by 19 cycles in
    QUANTISE and MULTIPLY, 13 in SOFTMAX and 16 in NORMALISE.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Forget all beats.
    start : in
        A new block of rows begins.
    plan : in, `plan_layout`
    tag, pair, keep : in
        A beat, the pair of beats of its line that it is in, and which lanes hold elements that take
        part.
    gain, bias : streams of lines, in
        Of NORMALISE; W of MULTIPLY comes as gain. Taken when the beats that need them are there;
        the caller sees to it that they are.
    scalars_valid, scalars : in
        What pass two needs of the next row.
    peak_valid, peak, largest : out
        Maximum of a row in pass one: of x in SOFTMAX (`peak`), or of |activation| (`largest`).
    sum_valid, sum, squares : out
        Of a row: Σx and Σx² of pass one in NORMALISE, Σp of pass two in SOFTMAX.
    output : out, `output_layout`
        A beat of pass two; `output.tag.valid` says whether there is one.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "plan": In(plan_layout(config)),
                "tag": In(tag_layout(config)),
                "pair": In(32 * config.vector_lanes),
                "keep": In(config.vector_lanes),
                "gain": In(stream.Signature(line_layout(config))),
                "bias": In(stream.Signature(line_layout(config))),
                "scalars_valid": In(1),
                "scalars": In(scalars_layout),
                "peak_valid": Out(1),
                "peak": Out(signed(PEAK_BITS)),
                "largest": Out(PEAK_BITS),
                "sum_valid": Out(1),
                "sum": Out(signed(SUM_BITS)),
                "squares": Out(SQUARE_SUM_BITS),
                "output": Out(output_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the lanes and the tags that travel with them."""
        m = Module()
        mode = self._mode(m)
        tags = self._pipeline(m, self.tag, _NORMALISE + 1, "tag")
        ratio_tag = Signal(tag_layout(self.config))
        m.d.comb += ratio_tag.eq(Mux(mode.activate, tags[_TABLE], tags[0]))
        ratio_tags = [ratio_tag, *self._pipeline(m, ratio_tag, _RATIO, "ratio_tag")]
        finished = Signal(tag_layout(self.config))
        m.d.comb += finished.eq(Mux(mode.normalise, tags[_NORMALISE], tags[_TABLE]))

        m.submodules.table = table = RowTable()
        m.d.comb += [
            table.start.eq(self.start),
            table.write.eq(self.scalars_valid),
            table.scalars.eq(self.scalars),
            # Each is read a stage before it is needed.
            table.slots.maximum.eq(self.tag.slot),
            table.slots.ratio.eq(Mux(mode.activate, tags[_TABLE - 1].slot, self.tag.slot)),
            table.slots.offset.eq(ratio_tags[1].slot),
            table.slots.shift.eq(ratio_tags[2].slot),
        ]
        lanes = self._lanes(m, mode, tags, table, ~ratio_tag.second & mode.normalise)
        self._reductions(m, mode, lanes, tags, ratio_tags)

        result_tag = Signal(tag_layout(self.config))
        chosen = Signal(tag_layout(self.config))
        m.d.comb += chosen.eq(Mux(mode.activate, ratio_tags[_RATIO], finished))
        m.d.sync += result_tag.eq(chosen)
        m.d.sync += result_tag.valid.eq(chosen.valid & chosen.second & ~self.clear)
        m.d.comb += self.output.tag.eq(result_tag)
        for lane, element in zip(lanes, self.output.elements, strict=True):
            m.d.comb += element.eq(lane.result)
        return m

    def _mode(self, m: Module) -> data.View:
        plan = self.plan
        mode = Signal(mode_layout, reset_less=True)
        multiply = plan.operation == Operation.MULTIPLY
        activate = multiply | (plan.operation == Operation.QUANTISE)
        silu = plan.activation == Activation.SILU
        m.d.sync += [
            mode.activate.eq(activate),
            mode.multiply.eq(multiply),
            mode.complex.eq(multiply & plan.complex),
            mode.softmax.eq(plan.operation == Operation.SOFTMAX),
            mode.normalise.eq(plan.operation == Operation.NORMALISE),
            mode.curve.eq(activate & (silu | (plan.activation == Activation.GELU))),
            mode.silu.eq(activate & silu),
            mode.relu.eq(activate & (plan.activation == Activation.RELU)),
            mode.two_planes.eq(plan.two_planes),
            mode.table_shift.eq(plan.table_shift),
            mode.result_shift.eq(plan.result_shift),
        ]
        return mode

    def _pipeline(self, m: Module, tag: data.View, stages: int, name: str) -> list[data.View]:
        """Return `tag` delayed by one to `stages` cycles."""
        delayed = []
        for stage in range(stages):
            register = Signal(tag_layout(self.config), name=f"{name}_{stage}")
            m.d.sync += [register.eq(tag), register.valid.eq(tag.valid & ~self.clear)]
            delayed.append(register)
            tag = register
        return delayed

    def _keep(self, tag: data.View):
        """Return which lanes of the beat of `tag` hold elements of the row."""
        return self.plan.tail | (~tag.last).replicate(self.config.vector_lanes)

    def _parameter(self, m: Module, line: stream.Interface, tag: data.View, enable):
        """Take a line as the beats of `tag` go by; return a beat of it, two cycles later."""
        used = tag.valid & tag.second & enable
        pair = Signal(32 * self.config.vector_lanes, reset_less=True)
        part = Signal.like(tag.part, reset_less=True)
        beat = Signal(elements_layout(self.config), reset_less=True)
        m.d.comb += line.ready.eq(used & ends_line(tag))
        m.d.sync += [
            pair.eq(select_pair(line.payload, tag.part, self.config)),
            part.eq(tag.part),
            beat.eq(select_beat(pair, part, self.config)),
        ]
        return beat

    def _lanes(self, m: Module, mode, tags, table: RowTable, square) -> list[VectorLane]:
        count = self.config.vector_lanes
        gain_tag = Signal(tag_layout(self.config))
        m.d.comb += gain_tag.eq(
            Mux(mode.multiply, tags[_TABLE - 2], tags[VectorLane.GAIN_STAGE - 2])
        )
        gain = self._parameter(m, self.gain, gain_tag, mode.normalise | mode.multiply)
        bias = self._parameter(m, self.bias, tags[_NORMALISE - 4], mode.normalise)
        given = select_beat(self.pair, self.tag.part, self.config)
        elements = Signal(elements_layout(self.config), reset_less=True)
        present, keep_table, keep_out = (
            Signal(count, name=name) for name in ("present", "keep_table", "keep_out")
        )
        m.submodules.late = late = DelayLine(17 * count, _TABLE - 2)
        late_elements = data.View(elements_layout(self.config), late.output[: 16 * count])
        m.d.comb += late.input.eq(Cat(elements, present))
        m.d.sync += [present.eq(self.keep), keep_table.eq(late.output[16 * count :])]
        m.d.comb += keep_out.eq(Mux(mode.normalise, self._keep(tags[_NORMALISE - 1]), keep_table))

        values = Signal(scalars_layout, reset_less=True)
        m.d.sync += [
            values.maximum.eq(Mux(mode.softmax, table.values.maximum, 0)),
            values.ratio.eq(Mux(mode.multiply, 0, table.values.ratio)),
            values.offset.eq(Mux(mode.multiply, 0, table.values.offset)),
            values.shift.eq(Mux(mode.multiply, self.plan.ratio_shift, table.values.shift)),
        ]

        lanes = []
        for number in range(count):
            m.submodules[f"lane_{number}"] = lane = VectorLane()
            # The real part is in the even lane of a pair, and so is what it takes from W.
            even, odd = number & ~1, number | 1
            # A lane beyond the row neither adds to a sum nor is the maximum.
            absent = Mux(mode.softmax, -(1 << 15), 0)
            m.d.sync += elements[number].eq(Mux(self.keep[number], given[number], absent))
            m.d.comb += [
                lane.mode.eq(mode),
                lane.x.eq(elements[number]),
                lane.maximum.eq(values.maximum),
                lane.square.eq(square),
                lane.ratio.eq(Mux(square, 0, values.ratio)),
                lane.offset.eq(values.offset),
                lane.ratio_shift.eq(values.shift),
                lane.gain.eq(Mux(mode.complex, gain[odd], gain[number])),
                lane.weight.eq(Mux(mode.multiply, Mux(mode.complex, gain[even], gain[number]), 0)),
                lane.adds.eq(mode.complex & (number == odd)),
                lane.bias.eq(bias[number]),
                lane.x_late.eq(late_elements[number]),
                lane.keep.eq(keep_out[number]),
            ]
            lanes.append(lane)
        for even, odd in zip(lanes[::2], lanes[1::2], strict=True):
            m.d.comb += [even.partner.eq(odd.activated), odd.partner.eq(even.activated)]
        return lanes

    def _reductions(self, m: Module, mode, lanes, tags, ratio_tags) -> None:
        count = self.config.vector_lanes
        m.submodules.peaks = peaks = RowReduction(count, signed(PEAK_BITS), PEAK_BITS, "maximum")
        m.submodules.sums = sums = RowReduction(count, signed(16), SUM_BITS, "sum")
        m.submodules.squares = squares = RowReduction(
            count, unsigned(SQUARE_BITS), SQUARE_SUM_BITS, "sum"
        )
        summed = Signal(tag_layout(self.config))
        m.d.comb += summed.eq(Mux(mode.softmax, tags[_TABLE + 2], ratio_tags[2]))
        peak_tag = ratio_tags[1]
        for reduction, tag, valid in (
            (peaks, peak_tag, peak_tag.valid & ~peak_tag.second & ~mode.normalise),
            (sums, summed, summed.valid & (summed.second == mode.softmax) & ~mode.activate),
            (squares, summed, summed.valid & ~summed.second & mode.normalise),
        ):
            m.d.comb += [
                reduction.clear.eq(self.clear),
                reduction.valid.eq(valid),
                reduction.first.eq(tag.first),
                reduction.last.eq(tag.last),
            ]
        m.d.comb += [
            peaks.values.eq(Cat(lane.peak for lane in lanes)),
            sums.values.eq(Cat(lane.term for lane in lanes)),
            squares.values.eq(Cat(lane.product for lane in lanes)),
            self.peak_valid.eq(peaks.result_valid),
            self.peak.eq(peaks.result),
            self.largest.eq((peaks.result + 1) >> 1),
            self.sum_valid.eq(sums.result_valid),
            self.sum.eq(sums.result),
            self.squares.eq(squares.result),
        ]
