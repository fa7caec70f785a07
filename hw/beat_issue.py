"""Cuts lines into beats of one element a lane and lets them into the vector unit's pipeline."""

from typing import NamedTuple

from amaranth.hdl import Array, Cat, Module, Mux, ResetInserter, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .line_reader import LINES
from .pass_schedule import PassSchedule
from .ports import line_layout
from .slot_tile_memory import TILES
from .tally import tally
from .vector_plan import (
    REACH_BITS,
    ROW_SLOTS,
    Operation,
    ends_line,
    is_wide,
    line_beats,
    plan_layout,
    tag_layout,
)

_MOST = max(ROW_SLOTS, LINES)
"""The most that there can be of what is counted."""


class Need(NamedTuple):
    """What beats of pass two take one of.

    Parameters
    ----------
    name : str
    init : int
        How many there are at first.
    more : Value
        Another one has come.
    now, then : Value
        This beat takes one; the beat after it does.
    """

    name: str
    init: int
    more: Value
    now: Value
    then: Value


def elements_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """One int16 a lane."""
    return data.ArrayLayout(signed(16), config.vector_lanes)


def select_pair(line: data.View, part: Value, config: AcceleratorConfig) -> Value:
    """Return two beats of a line, of which one is beat `part`."""
    flat = line.as_value()
    width = 32 * config.vector_lanes
    pairs = [flat[low : low + width] for low in range(0, len(flat), width)]
    return Array(pairs)[part[1:]]


def select_beat(pair: Value, part: Value, config: AcceleratorConfig) -> data.View:
    """Return the elements of beat `part` of the pair of beats that it is in."""
    width = 16 * config.vector_lanes
    beat = Mux(part[0], pair[width:], pair[:width])
    return data.View(elements_layout(config), beat)


class BeatIssue(wiring.Component):
    """Issues the beats of each row in the order of `PassSchedule`, one a cycle.

    What a beat needs later is checked when it is issued, so that the pipeline never stalls: room
    for the line or the tile that it ends up in, the scalars of its row, and lines of gain and bias
    or of W.

    Parameters
    ----------
    config : AcceleratorConfig
    output_lines : int
        Lines that the unit has room for at its output.

    Members
    -------
    clear : in
        Return to the reset state.
    start : in
        Begin with `plan`, which must be stable until the block is finished.
    lines : stream of lines of X, in
    parameters : in
        A line of bias has come, after its line of gain; in MULTIPLY a line of W.
    scalars : in
        What pass two of the next row needs is in the row table.
    line_written : in
        A line of output has left.
    tile_written : in
        A tile of kept activations has left.
    tag, pair : out
        The beat, and the pair of beats of its line that it is in; `tag.valid` says whether there
        is one.
    keep : out
        Which lanes hold elements that take part.
    """

    def __init__(self, config: AcceleratorConfig, output_lines: int) -> None:
        self._config = config
        self._output_lines = output_lines
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "plan": In(plan_layout(config)),
                "lines": In(stream.Signature(line_layout(config))),
                "parameters": In(1),
                "scalars": In(1),
                "line_written": In(1),
                "tile_written": In(1),
                "tag": Out(tag_layout(config)),
                "pair": Out(32 * config.vector_lanes),
                "keep": Out(config.vector_lanes),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    @property
    def output_lines(self) -> int:
        """Lines that the unit has room for at its output."""
        return self._output_lines

    def elaborate(self, platform: object):
        """Return the counters of beats and of what they need."""
        m = Module()
        m.submodules.schedule = schedule = PassSchedule()
        tag, plan = self.tag, self.plan
        # Registers of what the plan says: no beat is issued as soon as it comes.
        is_single, wide, keeps = (Signal(name=name) for name in ("is_single", "wide", "keeps"))
        m.d.sync += [
            is_single.eq(plan.operation == Operation.MULTIPLY),
            wide.eq(is_wide(plan)),
            keeps.eq(plan.keep != 0),
        ]
        first = Signal(init=1)
        beat = Signal(range(2 * line_beats(self.config)))
        part = beat[:-1]
        begins_line, begins_pair = Signal(init=1), Signal(init=1)
        slots = [Signal(range(ROW_SLOTS), name=f"slot_{number}") for number in (1, 2)]
        second, last = schedule.second, Signal()
        issued, finished = Signal(), Signal()
        m.d.comb += [
            schedule.clear.eq(self.clear),
            schedule.start.eq(self.start),
            schedule.rows.eq(plan.rows),
            schedule.single.eq(plan.operation == Operation.MULTIPLY),
            schedule.advance.eq(finished),
            tag.valid.eq(issued),
            tag.second.eq(second),
            tag.slot.eq(Mux(second, slots[1], slots[0])),
            tag.first.eq(first),
            tag.last.eq(last),
            tag.part.eq(part),
            finished.eq(issued & last),
            self.lines.ready.eq(issued & ends_line(tag)),
            self.pair.eq(select_pair(self.lines.payload, tag.part, self.config)),
        ]
        self._count_beats(m, issued, first, last)
        with m.If(issued):
            m.d.sync += [
                first.eq(last),
                beat.eq(Mux(last, 0, beat + 1)),
                begins_line.eq(last | part.all()),
                begins_pair.eq(last | beat.all()),
            ]
        for number, slot in enumerate(slots):
            with m.If(finished & (second == number)):
                m.d.sync += slot.eq(slot + 1)
        with m.If(self.start):
            m.d.sync += Cat(slots).eq(0)

        self._keep(m, issued, finished)
        row = self._row_of_tile(m, finished & second)
        next_output = Mux(wide, part.all(), beat.all()) | last
        next_row_is_first = Mux(second, row.all(), row == 0)
        ready = self._ready(
            m,
            issued,
            second,
            Need(
                "room",
                self.output_lines,
                self.line_written,
                Mux(wide, begins_line, begins_pair) & ~keeps,
                next_output & ~keeps,
            ),
            Need("parameters", 0, self.parameters, wide & begins_line, wide & (last | part.all())),
            Need("scalars", 0, self.scalars, first & ~is_single, last & ~is_single),
            Need(
                "tiles",
                TILES,
                self.tile_written,
                first & (row == 0) & keeps,
                last & next_row_is_first & keeps,
            ),
        )
        m.d.comb += issued.eq(schedule.valid & self.lines.valid & (~second | ready))
        return ResetInserter(self.clear)(m)

    def _count_beats(self, m: Module, issued: Signal, first: Signal, last: Signal) -> None:
        """Say `last` from a register: whether the next beat ends its row."""
        beats, left = self.plan.beats, Signal(16)
        is_one, is_two = Signal(), Signal()
        m.d.sync += [is_one.eq(beats == 0), is_two.eq(beats == 1)]
        with m.If(issued):
            m.d.sync += [
                left.eq(Mux(first, beats, left) - 1),
                last.eq(Mux(last, is_one, Mux(first, is_two, left == 1))),
            ]
        with m.If(self.start):
            m.d.sync += last.eq(beats == 0)

    def _keep(self, m: Module, issued: Signal, finished: Signal) -> None:
        """Count the beats up to the end of what takes part of a row: all of it, or a causal part.

        Either pass has the last element of its next row, and whether that is in the first beat.
        """
        plan, tag, lanes = self.plan, self.tag, self.config.vector_lanes
        shift = lanes.bit_length() - 1
        reaches = [Signal(REACH_BITS, name=f"reach_{number}") for number in (1, 2)]
        short = [Signal(name=f"short_{number}") for number in (1, 2)]
        for second, (reach, is_short) in enumerate(zip(reaches, short, strict=True)):
            with m.If(finished & (tag.second == second)):
                m.d.sync += reach.eq(reach + 1)
                m.d.sync += is_short.eq(is_short & ~reach[:shift].all())
            with m.If(self.start):
                m.d.sync += [reach.eq(plan.reach), is_short.eq(plan.reach[shift:] == 0)]

        reach = Signal(REACH_BITS)
        left, over = Signal(REACH_BITS - shift), Signal()
        end, past, absent = Signal(), Signal(), Signal(lanes)
        m.d.comb += [
            reach.eq(Mux(tag.second, reaches[1], reaches[0])),
            end.eq(Mux(tag.first, Mux(tag.second, short[1], short[0]), over)),
            absent.eq(Cat(past | (end & (reach[:shift] < lane)) for lane in range(lanes))),
            self.keep.eq(
                (plan.tail | (~tag.last).replicate(lanes))
                & ~(absent & plan.causal.replicate(lanes))
            ),
        ]
        with m.If(issued):
            m.d.sync += left.eq(Mux(tag.first, reach[shift:], left) - 1)
            m.d.sync += over.eq(Mux(tag.first, reach[shift:] == 1, left == 1))
            m.d.sync += past.eq((past | end) & ~tag.last)

    def _row_of_tile(self, m: Module, row_ends: Value) -> Signal:
        """Count the rows of pass two modulo the columns of the array."""
        row = Signal(range(self.config.array.columns))
        with m.If(row_ends):
            m.d.sync += row.eq(row + 1)
        with m.If(self.start):
            m.d.sync += row.eq(0)
        return row

    def _ready(self, m: Module, issued: Signal, second: Signal, *needs: Need) -> Signal:
        """Say from a register whether there is all that the next beat of pass two takes.

        What comes counts from the next cycle on. Both answers, for the beat after this one and for
        this one once more, are there before it is known whether this one is issued.
        """
        ready = Signal()
        again: list[Value] = []
        after: list[Value] = []
        for need in needs:
            taken = second & need.now
            left = tally(m, need.name, _MOST, need.more, issued & taken, need.init)
            several = left.some & (left.count != 1)
            again.append(~need.now | need.more | left.some)
            after.append(~need.then | need.more | Mux(taken, several, left.some))
        m.d.sync += ready.eq(Mux(issued, Cat(after).all(), Cat(again).all()))
        return ready
