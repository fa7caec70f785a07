"""The performance counters: short ones that a single adder empties into a memory."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, Signature

from .config import ConfigError

COUNT_BITS = 64
"""Bits of a counter."""

HALF_BITS = COUNT_BITS // 2
"""Bits that are read at a time."""

PLACES = 32
"""Turns of the adder, hence the most counters."""

_PLACE_BITS = (PLACES - 1).bit_length()


class CounterReadSignature(Signature):
    """How a counter is read, seen from the reader.

    Members
    -------
    valid, place, high : the high or the low half of this counter is wanted; kept as they are until
        `ready`.
    ready, half : this is what was counted up to the cycle before `valid` rose, or a little later.
        The high half is that of the last reading of the low half, if that was of the same counter
        and no clear or reading of a high half came in between: a counter is read low half first.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "place": Out(_PLACE_BITS),
                "high": Out(1),
                "ready": In(1),
                "half": In(HALF_BITS),
            }
        )


class Counters(wiring.Component):
    """Adds up what happened in each cycle.

    Each counter is as short as it can be to hold what comes in `PLACES` cycles. In turn, one of
    them a cycle, they are added to totals in a memory and start again from zero.

    Parameters
    ----------
    widths : sequence of int
        Bits of the increment of each counter, 1 to 32; at most `PLACES` counters.

    Members
    -------
    increments : struct with a member ``counter<i>`` for each counter
        What to add for this cycle.
    enable : counts while high.
    clear : sets all to zero; what comes in the same cycle does not count.
    read : `CounterReadSignature`, seen from the counters. Places without a counter read as zero.

    Latency of a reading: 3 to `PLACES` + 2 cycles; of a high half that is kept none.
    """

    LATENCY = 3
    """Cycles from the turn of a counter to its total."""

    def __init__(self, widths: Sequence[int]) -> None:
        if not 1 <= len(widths) <= PLACES:
            raise ConfigError(f"widths must be 1 to {PLACES} integers, not {len(widths)}")
        if not all(1 <= width <= 32 for width in widths):
            raise ConfigError(f"widths must be integers from 1 to 32, not {list(widths)}")
        self._widths = tuple(widths)
        layout = {f"counter{place}": width for place, width in enumerate(widths)}
        super().__init__(
            {
                "increments": In(StructLayout(layout)),
                "enable": In(1),
                "clear": In(1),
                "read": In(CounterReadSignature()),
            }
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of each increment."""
        return self._widths

    def elaborate(self, platform: object) -> Module:
        """Return the short counters, the adder with its memory, and what answers a reading."""
        m = Module()
        turn = Signal(_PLACE_BITS)
        m.d.sync += turn.eq(turn + 1)
        counted = self._count(m, turn)
        total = self._add(m, turn, counted)
        self._answer(m, turn, total)
        return m

    def _count(self, m: Module, turn: Signal) -> Signal:
        """Return what the counter whose turn it is holds, this cycle's increment included."""
        sums = [
            Signal(width + _PLACE_BITS, name=f"sum_{place}")
            for place, width in enumerate(self.widths)
        ]
        selected = Signal(max(len(each) for each in sums))
        for place, (width, following) in enumerate(zip(self.widths, sums, strict=True)):
            increment = Signal(width, name=f"increment_{place}")
            short = Signal.like(following, name=f"short_{place}")
            m.d.comb += following.eq(short + increment)
            with m.If(self.clear | ~self.enable):
                m.d.sync += increment.eq(0)
            with m.Else():
                m.d.sync += increment.eq(self.increments[f"counter{place}"])
            with m.If(self.clear | (turn == place)):
                m.d.sync += short.eq(0)
            with m.Else():
                m.d.sync += short.eq(following)
        with m.Switch(turn):
            for place, following in enumerate(sums):
                with m.Case(place):
                    m.d.comb += selected.eq(following)
        return selected

    def _add(self, m: Module, turn: Signal, counted: Signal) -> Signal:
        """Return the total of the counter whose turn was `LATENCY` cycles ago."""
        m.submodules.totals = totals = Memory(shape=COUNT_BITS, depth=PLACES, init=[])
        read, write = totals.read_port(), totals.write_port()
        # A turn of each after a clear, the memory counts as zero.
        stale = Signal(range(PLACES + 1), init=PLACES)
        with m.If(self.clear):
            m.d.sync += stale.eq(PLACES)
        with m.Elif(stale.any()):
            m.d.sync += stale.eq(stale - 1)

        keeps = self._delay(m, ~stale.any(), 1, "keeps")
        base = Signal(COUNT_BITS)
        with m.If(keeps):
            m.d.sync += base.eq(read.data)
        with m.Else():
            m.d.sync += base.eq(0)
        total = Signal(COUNT_BITS)
        m.d.sync += total.eq(base + self._delay(m, counted, 2, "counted"))
        m.d.comb += [
            read.addr.eq(turn),
            write.addr.eq(self._delay(m, turn, self.LATENCY, "turn")),
            write.data.eq(total),
            write.en.eq(1),
        ]
        return total

    def _answer(self, m: Module, turn: Signal, total: Signal) -> None:
        """Answer with the first total whose turn came while the reader waited."""
        read = self.read
        found = self._delay(m, read.valid & (turn == read.place), self.LATENCY, "found")
        kept, kept_place, rest = Signal(), Signal(_PLACE_BITS), Signal(HALF_BITS)
        is_kept = Signal()
        m.d.comb += [
            is_kept.eq(kept & read.high & (kept_place == read.place)),
            read.ready.eq(read.valid & (found | is_kept)),
            read.half.eq(Mux(is_kept, rest, Mux(read.high, total[HALF_BITS:], total[:HALF_BITS]))),
        ]
        with m.If(read.ready):
            m.d.sync += [kept.eq(~read.high), kept_place.eq(read.place)]
            with m.If(~read.high):
                m.d.sync += rest.eq(total[HALF_BITS:])
        with m.If(self.clear):
            m.d.sync += kept.eq(0)

    def _delay(self, m: Module, value: Value, stages: int, name: str) -> Value:
        """Return `value`, `stages` cycles later."""
        for stage in range(stages):
            register = Signal(len(value), name=f"{name}_{stage}")
            m.d.sync += register.eq(value)
            value = register
        return value
