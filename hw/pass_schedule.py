"""The order in which the two passes over the rows of a block alternate."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .vector_plan import ROWS_AHEAD


class PassSchedule(wiring.Component):
    """Walks pass one of row r + `ROWS_AHEAD` after pass two of row r.

    The order depends on the settings only, so that two instances agree on it.

    Members
    -------
    clear : in
        Return to the reset state.
    start, rows : in
        Begin a block of `rows` rows; nothing may be left of the last one.
    single : in
        There is no pass one; with `start`.
    advance : in
        The current row is dealt with.
    valid : out
        There is a current row.
    second : out
        It is in pass two.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "rows": In(16),
                "single": In(1),
                "advance": In(1),
                "valid": Out(1),
                "second": Out(1),
            }
        )

    def elaborate(self, platform: object):
        """Return the counters of rows that either pass has left."""
        m = Module()
        first_left = Signal(16)
        second_left = Signal(16)
        ahead = Signal(range(ROWS_AHEAD + 1))
        # What the counts will say is decided from those before, so that it comes from registers.
        first_is_over, valid, second = Signal(init=1), Signal(), Signal(init=1)
        without_first = self.single | (self.rows == 0)
        m.d.comb += [self.valid.eq(valid), self.second.eq(second)]
        with m.If(self.start):
            m.d.sync += [
                first_left.eq(Mux(self.single, 0, self.rows)),
                second_left.eq(self.rows),
                ahead.eq(0),
                valid.eq(self.rows != 0),
                first_is_over.eq(without_first),
                second.eq(without_first),
            ]
        with m.Elif(self.advance & second):
            m.d.sync += [
                second_left.eq(second_left - 1),
                ahead.eq(ahead - 1),
                valid.eq(second_left != 1),
                second.eq(first_is_over),
            ]
        with m.Elif(self.advance):
            m.d.sync += [
                first_left.eq(first_left - 1),
                ahead.eq(ahead + 1),
                first_is_over.eq(first_left == 1),
                second.eq((first_left == 1) | (ahead == ROWS_AHEAD - 1)),
            ]
        return ResetInserter(self.clear)(m)
