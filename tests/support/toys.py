"""Toy components for the tests of emission and of the simulators."""

from amaranth.hdl import Module, ResetInserter, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out


class ProcessingElement(wiring.Component):
    """Multiplies and accumulates; results shift down the column."""

    a: In(signed(8))
    b: In(signed(8))
    shift_in: In(signed(32))
    shift_out: Out(signed(32))

    def elaborate(self, platform: object) -> Module:
        """Return the element."""
        m = Module()
        product = Signal(signed(16))
        m.d.sync += product.eq(self.a * self.b)
        m.d.sync += self.shift_out.eq(self.shift_in + product)
        return m


class Grid(wiring.Component):
    """A square of elements whose first row has constant inputs and whose last row is read."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(
            {"a": In(8 * size), "b": In(8 * size), "y": Out(data.ArrayLayout(32, size))}
        )

    def elaborate(self, platform: object) -> Module:
        """Return the grid."""
        m = Module()
        above: list[object] = [0] * self.size
        for row in range(self.size):
            for column in range(self.size):
                m.submodules[f"pe_{row}_{column}"] = element = ProcessingElement()
                m.d.comb += [
                    element.a.eq(self.a.word_select(row, 8)),
                    element.b.eq(self.b.word_select(column, 8)),
                    element.shift_in.eq(above[column]),
                ]
                above[column] = element.shift_out
        for column in range(self.size):
            m.d.comb += self.y[column].eq(above[column])
        return m


class Delay(wiring.Component):
    """A stream register of a given width that is always ready."""

    def __init__(self, width: int) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(width, always_ready=True)),
                "o": Out(stream.Signature(width, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the register."""
        m = Module()
        m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(self.i.valid)]
        return m


class Chain(wiring.Component):
    """Delays of two widths, and a plain submodule that shares signals with its parent."""

    i: In(stream.Signature(8, always_ready=True))
    o: Out(stream.Signature(8, always_ready=True))
    count: Out(4)

    def elaborate(self, platform: object) -> Module:
        """Return the chain."""
        m = Module()
        for index in range(3):
            m.submodules[f"narrow_{index}"] = Delay(8)
        m.submodules.wide = wide = Delay(16)
        first, second, third = (m.submodules[f"narrow_{index}"] for index in range(3))
        m.submodules.counter = counter = Module()
        counter.d.sync += self.count.eq(self.count + self.i.valid)
        wiring.connect(m, wiring.flipped(self.i), first.i)
        wiring.connect(m, first.o, second.i)
        m.d.comb += [
            wide.i.payload.eq(second.o.payload),
            wide.i.valid.eq(second.o.valid),
            third.i.payload.eq(wide.o.payload),
            third.i.valid.eq(wide.o.valid),
        ]
        wiring.connect(m, third.o, wiring.flipped(self.o))
        return m


class Peeking(wiring.Component):
    """Reads a register of its submodule that is no port of it."""

    i: In(8)
    o: Out(8)

    class Inner(wiring.Component):
        """Holds a register."""

        i: In(8)

        def __init__(self) -> None:
            super().__init__()
            self.hidden = Signal(8)

        def elaborate(self, platform: object) -> Module:
            """Return the register."""
            m = Module()
            m.d.sync += self.hidden.eq(self.i)
            return m

    def elaborate(self, platform: object) -> Module:
        """Return the pair."""
        m = Module()
        m.submodules.inner = inner = self.Inner()
        m.d.comb += [inner.i.eq(self.i), self.o.eq(inner.hidden)]
        return m


class Adder(wiring.Component):
    """Adds two numbers; the registered sum is one bit wider.

    Parameters
    ----------
    width : int
        Bits of an addend.
    offset : int
        Planted error, added to every sum.
    """

    def __init__(self, width: int, offset: int = 0) -> None:
        self.offset = offset
        super().__init__({"a": In(width), "b": In(width), "sum": Out(width + 1)})

    def elaborate(self, platform: object) -> Module:
        """Return the adder."""
        m = Module()
        m.d.sync += self.sum.eq(self.a + self.b + self.offset)
        return m


class Cleared(wiring.Component):
    """Two equal delays, a queue and a memory under a reset that the parent makes."""

    i: In(8)
    clear: In(1)
    o: Out(8)

    def elaborate(self, platform: object) -> Module:
        """Return the component."""
        m = Module()
        held, cleared = Signal(), Signal()
        m.d.sync += held.eq(self.clear)
        m.d.comb += cleared.eq(self.clear | held)
        inner = Module()
        inner.submodules.first = first = Delay(8)
        inner.submodules.second = second = Delay(8)
        inner.submodules.queue = queue = SyncFIFO(width=8, depth=4)
        inner.submodules.memory = cells = memory.Memory(shape=8, depth=16, init=[])
        write, read = cells.write_port(), cells.read_port(domain="comb")
        address = Signal(4)
        inner.d.sync += address.eq(address + 1)
        inner.d.comb += [
            first.i.payload.eq(self.i),
            second.i.payload.eq(first.o.payload),
            queue.w_data.eq(second.o.payload),
            queue.w_en.eq(1),
            queue.r_en.eq(1),
            write.addr.eq(address),
            write.data.eq(queue.r_data),
            write.en.eq(queue.r_rdy),
            read.addr.eq(address - 1),
            self.o.eq(read.data),
        ]
        m.submodules.inner = ResetInserter(cleared)(inner)
        return m


class Mixed(wiring.Component):
    """A port with a part that a condition changes, a part that is plain, and a constant part.

    The constant is 0xA5 in the upper byte; the others are the input and its complement, which is
    0 for even inputs.
    """

    i: In(4)
    o: Out(data.StructLayout({"plain": 4, "changed": 4, "constant": 8}))

    def elaborate(self, platform: object) -> Module:
        """Return the component."""
        m = Module()
        m.d.comb += [self.o.plain.eq(self.i), self.o.constant.eq(0xA5)]
        with m.If(self.i[0]):
            m.d.comb += self.o.changed.eq(~self.i)
        return m
