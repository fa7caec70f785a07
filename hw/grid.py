"""The grid of processing elements, with double-buffered accumulators and stationary weights."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .operand import blocks_layout, lows_layout
from .processing_element import OPERAND_BITS, ProcessingElement
from .row_skew import RowSkew

CLOSING_ROWS = ProcessingElement.LATENCY
"""Rows that may still leave while the first step of the next tile is on its way."""


def stream_latency(config: AcceleratorConfig) -> int:
    """Return the cycles from a vector of a stationary flow to its sums."""
    return config.array.rows - 1 + ProcessingElement.LATENCY


class Grid(wiring.Component):
    """Rows x columns processing elements. A row shares its activations, a column its weight.

    *Output stationary.* A tile is a sequence of steps from `first` to `last`, one outer product a
    step; each column chooses one activation of the block of a row. When the last product has been
    added, the sums move to a second register set as soon as that is free, and leave it row by
    row, row 0 first, while the next tile is computed: tiles follow each other without a pause if
    each has at least as many steps as rows to be taken.

    A step may be wide: the first activation of a row is the upper plane of an operand of 15 bits,
    ``128 activation + low``.

    *Stationary.* An element keeps its weight, vectors stream past, and their sums move down the
    columns. The weights of the next tile are loaded meanwhile.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    activations : signed(8) [rows][block], in
    weights : signed(8) [columns], in
    indices : [columns], in; the activation of each row that the column wants; no bits if
        `array.block` is 1.
    step : in; `activations`, `weights` and `indices` are valid.
    first, last : in; the step begins, ends a tile.
    ready : out; the next tile may begin. Only the first step of a tile has to ask.
    full : out; `row` is a row of a finished tile.
    full_next : out; `full` in the next cycle.
    row : signed(accumulator_width) [columns], out
    shift : in; `row` is taken, show the next row.
    release : in; with `shift`, that was the last row of the tile.
    closing : in; `release` comes in this cycle or one of the next `CLOSING_ROWS` - 1.
    idle : out; no sums of a tile that was ended, or of a vector, wait or are on their way.

    Only if `array.wide_rows`:

    wide : in; with `step`, the step is wide; `indices` are 0.
    lows : [7] [rows], in; the lower plane.

    Only if `array.partial_rows` is not 0:

    stationary : in; changes only while the grid is `idle`, two cycles before a step or a vector.
        High: no `step` is given.
    load : in; with `stationary`, `weights` belong to row `load_row` of the next tile.
    load_row : in
    stream : in; with `stationary`, the first activations of the rows are a vector; `indices` are 0.
    swap : in; with `stream`, this vector is the first of the next tile. Row r of the tile has to
        be loaded before the r-th cycle after this one, and that of the tile after it not before
        then: rows loaded in order, one a cycle, may begin in the cycle before `swap` and again in
        that of `swap`.
    sums : signed(accumulator_width) [columns], out; those of the vector that was given
        `stream_latency(config)` cycles ago.

    The operands of cycle t reach the accumulators in cycle t + `ProcessingElement.LATENCY`, and
    `row` one cycle later. Throughput: a step or a vector a cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        row = data.ArrayLayout(signed(array.accumulator_width), array.columns)
        members: dict[str, Any] = {
            "activations": In(blocks_layout(config, array.rows)),
            "weights": In(data.ArrayLayout(signed(OPERAND_BITS), array.columns)),
            "indices": In(data.ArrayLayout(range(array.block), array.columns)),
            "step": In(1),
            "first": In(1),
            "last": In(1),
            "ready": Out(1),
            "full": Out(1),
            "full_next": Out(1),
            "row": Out(row),
            "shift": In(1),
            "release": In(1),
            "closing": In(1),
            "idle": Out(1),
        }
        if array.wide_rows:
            members |= {"wide": In(1), "lows": In(lows_layout(array.rows))}
        if array.partial_rows:
            members |= {
                "stationary": In(1),
                "load": In(1),
                "load_row": In(range(array.rows)),
                "stream": In(1),
                "swap": In(1),
                "sums": Out(row),
            }
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the elements and what they are told."""
        m = Module()
        array = self.config.array
        stationary = array.partial_rows > 0
        elements = [
            [
                ProcessingElement(
                    array.accumulator_width,
                    array.block,
                    stationary=stationary,
                    wide=array.wide_rows,
                )
                for _ in range(array.columns)
            ]
            for _ in range(array.rows)
        ]
        accumulate, clear, capture = Signal(), Signal(), Signal()
        for r, row in enumerate(elements):
            for c, element in enumerate(row):
                m.submodules[f"element_{r}_{c}"] = element
                m.d.comb += [
                    element.index.eq(self.indices[c]),
                    element.weight.eq(self.weights[c]),
                    element.accumulate.eq(accumulate),
                    element.clear.eq(clear),
                    element.capture.eq(capture),
                    element.shift.eq(self.shift),
                ]
                if r + 1 < array.rows:
                    m.d.comb += element.below.eq(elements[r + 1][c].result)
        m.d.comb += [self.row[c].eq(element.result) for c, element in enumerate(elements[0])]
        blocks = self._row_blocks(m, elements)
        empty: ValueLike = 1
        if stationary:
            self._hold(m, elements, blocks)
            empty = self._follow_vectors(m)
        for block, row in zip(blocks, elements, strict=True):
            m.d.comb += [element.activations.eq(block) for element in row]
        self._control(m, accumulate, clear, capture, empty)
        return m

    def _row_blocks(self, m: Module, elements: list[list[ProcessingElement]]) -> list[data.View]:
        """Return what the elements of each row choose from, and give them the upper bits."""
        blocks = []
        for r, row in enumerate(elements):
            block = Signal.like(self.activations[r], name=f"activations_{r}")
            m.d.comb += block.eq(self.activations[r])
            blocks.append(block)
            if not self.config.array.wide_rows:
                continue
            operand = Cat(self.lows[r], self.activations[r][0])
            with m.If(self.wide):
                m.d.comb += block[0].eq(operand[:OPERAND_BITS])
            for element in row:
                m.d.comb += [element.wide.eq(self.wide), element.upper.eq(operand[OPERAND_BITS:])]
        return blocks

    def _hold(
        self,
        m: Module,
        elements: list[list[ProcessingElement]],
        blocks: list[data.View],
    ) -> None:
        """Chain the accumulators of a column, and give vectors and tiles row after row."""
        # A register of its own for what reaches all elements.
        stationary = Signal()
        m.d.sync += stationary.eq(self.stationary)
        m.submodules.skew = skew = RowSkew(self.config)
        m.d.comb += skew.mark.eq(self.stream & self.swap)
        for r, row in enumerate(elements):
            load = Signal(name=f"load_{r}")
            m.d.comb += [
                skew.vector[r].eq(self.activations[r][0]),
                load.eq(self.load & (self.load_row == r)),
            ]
            with m.If(stationary):
                m.d.comb += blocks[r][0].eq(skew.skewed[r])
            for c, element in enumerate(row):
                m.d.comb += [
                    element.hold.eq(stationary),
                    element.load.eq(load),
                    element.swap.eq(skew.marks[r]),
                ]
                if r:
                    m.d.comb += element.above.eq(elements[r - 1][c].sum)
        m.d.comb += [self.sums[c].eq(element.sum) for c, element in enumerate(elements[-1])]

    def _follow_vectors(self, m: Module) -> Value:
        """Return that the sums of all vectors have left."""
        latency = stream_latency(self.config)
        remaining = Signal(range(latency + 1))
        with m.If(self.stream):
            m.d.sync += remaining.eq(latency)
        with m.Elif(remaining != 0):
            m.d.sync += remaining.eq(remaining - 1)
        return remaining == 0

    def _control(
        self, m: Module, accumulate: Signal, clear: Signal, capture: Signal, empty: ValueLike
    ) -> None:
        """Follow the steps through the pipeline of the elements."""
        multiplying, multiplying_first, multiplying_last = Signal(), Signal(), Signal()
        adding_last, finished = Signal(), Signal()
        m.d.sync += [
            multiplying.eq(self.step),
            multiplying_first.eq(self.first),
            multiplying_last.eq(self.step & self.last),
            accumulate.eq(multiplying),
            clear.eq(multiplying_first),
            adding_last.eq(multiplying_last),
        ]
        m.d.comb += capture.eq(finished & (~self.full | self.release))
        with m.If(adding_last):
            m.d.sync += finished.eq(1)
        with m.Elif(capture):
            m.d.sync += finished.eq(0)
        m.d.comb += self.full_next.eq(capture | (self.full & ~self.release))
        m.d.sync += self.full.eq(self.full_next)

        # Tiles whose last step has been given and which are still in the accumulators, or on
        # their way there. The first product of a tile overwrites the sums of the tile before,
        # LATENCY - 1 cycles after it was given; `closing` promises that they have moved by then.
        waiting = Signal(range(3))
        m.d.sync += waiting.eq(waiting + (self.step & self.last) - capture)
        m.d.comb += [
            self.ready.eq((waiting == 0) | ((waiting == 1) & (~self.full | self.closing))),
            self.idle.eq((waiting == 0) & ~self.full & empty),
        ]
