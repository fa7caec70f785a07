"""A triangle of registers: each row of a vector one cycle later than the row above."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .processing_element import OPERAND_BITS


class RowSkew(wiring.Component):
    """Delays row r of a vector, and the bit that goes with the vector, by r cycles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    vector : signed(8) [array.rows], in
    mark : in
    skewed : signed(8) [array.rows], out; row r of the `vector` of r cycles ago.
    marks : out; bit r is the `mark` of r cycles ago.

    Throughput: a vector a cycle. After reset no bit of `marks` above the first is set.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        vector = data.ArrayLayout(signed(OPERAND_BITS), config.array.rows)
        super().__init__(
            {
                "vector": In(vector),
                "mark": In(1),
                "skewed": Out(vector),
                "marks": Out(config.array.rows),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return r registers for row r."""
        m = Module()
        previous = self.mark
        m.d.comb += self.marks[0].eq(self.mark)
        for row in range(1, self.config.array.rows):
            marked = Signal(name=f"marked_{row}")
            m.d.sync += marked.eq(previous)
            m.d.comb += self.marks[row].eq(marked)
            previous = marked
        for row, element in enumerate(self.vector):
            for age in range(1, row + 1):
                delayed = Signal(signed(OPERAND_BITS), name=f"row_{row}_age_{age}", reset_less=True)
                m.d.sync += delayed.eq(element)
                element = delayed
            m.d.comb += self.skewed[row].eq(element)
        return m
