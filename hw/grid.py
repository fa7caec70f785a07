"""The grid of processing elements, with double-buffered accumulators."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .processing_element import OPERAND_BITS, ProcessingElement

CLOSING_ROWS = ProcessingElement.LATENCY
"""Rows that may still leave while the first step of the next tile is on its way."""


class Grid(wiring.Component):
    """Rows x columns processing elements. A row shares its activation, a column its weight.

    A tile is a sequence of steps from `first` to `last`, one outer product a step. When its last
    product has been added, the sums move to a second register set as soon as that is free, and
    leave it row by row, row 0 first, while the next tile is computed: tiles follow each other
    without a pause if each has at least as many steps as rows to be taken.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    step : in; `activations` and `weights` are valid.
    first, last : in; the step begins, ends a tile.
    ready : out; the next tile may begin. Only the first step of a tile has to ask.
    full : out; `row` is a row of a finished tile.
    shift : in; `row` is taken, show the next row.
    release : in; with `shift`, that was the last row of the tile.
    closing : in; `release` comes in this cycle or one of the next `CLOSING_ROWS` - 1.
    idle : out; neither a tile under way nor one that waits.

    The operands of cycle t reach the accumulators in cycle t + `ProcessingElement.LATENCY`, and
    `row` one cycle later.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(OPERAND_BITS), array.rows)),
                "weights": In(data.ArrayLayout(signed(OPERAND_BITS), array.columns)),
                "step": In(1),
                "first": In(1),
                "last": In(1),
                "ready": Out(1),
                "full": Out(1),
                "row": Out(data.ArrayLayout(signed(array.accumulator_width), array.columns)),
                "shift": In(1),
                "release": In(1),
                "closing": In(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the grid."""
        m = Module()
        accumulate, clear, capture = Signal(), Signal(), Signal()
        self._control(m, accumulate, clear, capture)
        array = self.config.array
        elements = [
            [ProcessingElement(array.accumulator_width) for _ in range(array.columns)]
            for _ in range(array.rows)
        ]
        for r, row in enumerate(elements):
            for c, element in enumerate(row):
                m.submodules[f"element_{r}_{c}"] = element
                m.d.comb += [
                    element.activation.eq(self.activations[r]),
                    element.weight.eq(self.weights[c]),
                    element.accumulate.eq(accumulate),
                    element.clear.eq(clear),
                    element.capture.eq(capture),
                    element.shift.eq(self.shift),
                ]
                if r + 1 < array.rows:
                    m.d.comb += element.below.eq(elements[r + 1][c].result)
        m.d.comb += [self.row[c].eq(element.result) for c, element in enumerate(elements[0])]
        return m

    def _control(self, m: Module, accumulate: Signal, clear: Signal, capture: Signal) -> None:
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
        with m.If(capture):
            m.d.sync += self.full.eq(1)
        with m.Elif(self.release):
            m.d.sync += self.full.eq(0)

        # Tiles whose last step has been given and which are still in the accumulators, or on
        # their way there. The first product of a tile overwrites the sums of the tile before,
        # LATENCY - 1 cycles after it was given; `closing` promises that they have moved by then.
        waiting = Signal(range(3))
        m.d.sync += waiting.eq(waiting + (self.step & self.last) - capture)
        m.d.comb += [
            self.ready.eq((waiting == 0) | ((waiting == 1) & (~self.full | self.closing))),
            self.idle.eq((waiting == 0) & ~self.full),
        ]
