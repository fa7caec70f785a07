"""Counts what is left of a size, part by part, and knows the last part ahead of time."""

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike


def count_down(
    m: Module,
    name: str,
    total: Value,
    part: ValueLike,
    *,
    starting: Value,
    advances: Value,
) -> tuple[Signal, Signal]:
    """Count `total` down by `part`, and from `total` again when no part is left.

    Whether a part is the last one is found when the part before ends, so that no comparison delays
    what depends on it.

    Parameters
    ----------
    m : Module
        Gets the registers.
    name : str
        What is counted.
    total, part : Value
        At least 1; both stay from the cycle of `starting` on.
    starting : Value
        Begin, with the first part in the next cycle.
    advances : Value
        Go to the next part.

    Returns
    -------
    tuple of Signal
        What is left (16 bits), and whether that is the last part.
    """
    left, last = Signal(16, name=f"{name}_left"), Signal(name=f"last_{name}")
    only = Signal(name=f"only_{name}")
    m.d.sync += only.eq(total <= part)
    with m.If(starting):
        m.d.sync += [left.eq(total), last.eq(total <= part)]
    with m.Elif(advances):
        m.d.sync += [
            left.eq(Mux(last, total, left - part)),
            last.eq(Mux(last, only, left <= part + part)),
        ]
    return left, last
