"""A count that tells from registers whether it is at an end."""

from typing import NamedTuple

from amaranth.hdl import Module, Signal, Value


class Tally(NamedTuple):
    """A count with its ends; all three are registers, right from the cycle after a change.

    Parameters
    ----------
    count : Signal
    some : Signal
        It is above zero.
    full : Signal
        It is the most that it may be.
    """

    count: Signal
    some: Signal
    full: Signal


def tally(m: Module, name: str, most: int, more: Value, less: Value, init: int = 0) -> Tally:
    """Count `more` up and `less` down, from 0 to `most`; the caller keeps it within these.

    What comes late, `more` or `less`, passes through one level of logic only: the ends are
    decided from the count before, not from the count that results.
    """
    count = Signal(range(most + 1), init=init, name=name)
    some = Signal(init=init != 0, name=f"{name}_some")
    full = Signal(init=init == most, name=f"{name}_full")
    with m.If(more & ~less):
        m.d.sync += [count.eq(count + 1), some.eq(1), full.eq(count == most - 1)]
    with m.Elif(less & ~more):
        m.d.sync += [count.eq(count - 1), some.eq(count != 1), full.eq(0)]
    return Tally(count, some, full)
