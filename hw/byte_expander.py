"""Puts the non-zeros of a vector to their elements."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError

BYTE = 8


def expansion_layout(size: int, tag: Any) -> data.StructLayout:
    """A vector that is to be expanded.

    `present`: the elements that have a value. `count`: how many these are. `last`: the vectors that
    follow have their values from the next item on.
    """
    return data.StructLayout({"present": size, "count": range(size + 1), "last": 1, "tag": tag})


def expanded_layout(size: int, tag: Any) -> data.StructLayout:
    """A vector whose elements are there; those without a value are zero."""
    return data.StructLayout({"elements": data.ArrayLayout(signed(BYTE), size), "tag": tag})


class ByteExpander(wiring.Component):
    """Takes as many bytes as a vector has non-zeros from a row of items.

    The bytes stand in two items; they are moved to the front first, and each element then selects
    one of those.

    Parameters
    ----------
    size : int
        Elements of a vector and bytes of an item, a power of two from 2 to 64.
    tag : shape-castable
        What goes along with a vector.

    Members
    -------
    values : stream of `size` bytes, in
        After a vector that is `last`, what is left of the item that was begun is dropped.
    input : stream of `expansion_layout`, in
    output : stream of `expanded_layout`, out

    Latency one cycle, throughput one vector a cycle, whatever it holds.

    Raises
    ------
    ConfigError
        If the size is out of range.
    """

    def __init__(self, size: int, tag: Any) -> None:
        if isinstance(size, bool) or not 2 <= size <= 64 or size & (size - 1):
            raise ConfigError(f"size must be a power of two from 2 to 64, not {size!r}")
        self._size = size
        self._tag = tag
        super().__init__(
            {
                "values": In(stream.Signature(size * BYTE)),
                "input": In(stream.Signature(expansion_layout(size, tag))),
                "output": Out(stream.Signature(expanded_layout(size, tag))),
            }
        )

    @property
    def size(self) -> int:
        """Elements of a vector."""
        return self._size

    @property
    def tag(self) -> Any:
        """Shape of what goes along."""
        return self._tag

    def elaborate(self, platform: object) -> Module:
        """Return both items, the shift and the selection."""
        m = Module()
        given, result = self.input.payload, self.output.payload
        take = Signal()
        enough, aligned = self._align(m, take)
        m.d.comb += [
            take.eq(self.input.valid & enough & (~self.output.valid | self.output.ready)),
            self.input.ready.eq(take),
        ]
        present = Signal(self.size)
        front = Signal(self.size * BYTE)
        with m.If(take):
            m.d.sync += [
                self.output.valid.eq(1),
                present.eq(given.present),
                front.eq(aligned),
                result.tag.eq(given.tag),
            ]
        with m.Elif(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        for element, rank in enumerate(_ranks(given.present)[0]):
            before = Signal(range(element + 1), name=f"before_{element}")
            with m.If(take):
                m.d.sync += before.eq(rank)
            value = front[: BYTE * (element + 1)].word_select(before, BYTE)
            m.d.comb += result.elements[element].eq(Mux(present[element], value.as_signed(), 0))
        return m

    def _align(self, m: Module, take: Signal):
        """Keep two items; return whether they hold the vector's bytes, and the items from there."""
        given = self.input.payload
        items = [Signal(self.size * BYTE, name=f"item_{number}") for number in range(2)]
        full = Signal(2)
        head, tail = Signal(), Signal()
        offset = Signal(range(self.size))
        end = Signal(range(2 * self.size))
        crosses, enough = Signal(), Signal()
        head_released, next_released, releasing = Signal(), Signal(), Signal(2)
        m.d.comb += [
            end.eq(offset + given.count),
            crosses.eq(end > self.size),
            enough.eq(
                (given.count == 0)
                | (full.bit_select(head, 1) & (full.bit_select(~head, 1) | ~crosses))
            ),
            head_released.eq(take & ((end >= self.size) | (given.last & end.any()))),
            next_released.eq(take & given.last & crosses),
            releasing.eq(
                Mux(head, Cat(next_released, head_released), Cat(head_released, next_released))
            ),
        ]
        with m.If(take):
            m.d.sync += offset.eq(Mux(given.last, 0, end))
        m.d.sync += head.eq(head ^ head_released ^ next_released)

        load = Signal()
        m.d.comb += [
            self.values.ready.eq((~full | releasing).bit_select(tail, 1)),
            load.eq(self.values.valid & self.values.ready),
        ]
        m.d.sync += [full.eq((full & ~releasing) | load << tail), tail.eq(tail ^ load)]
        for number, item in enumerate(items):
            with m.If(load & (tail == number)):
                m.d.sync += item.eq(self.values.payload)
        both = Mux(head, Cat(items[1], items[0]), Cat(items[0], items[1]))
        return enough, both.bit_select(Cat(Const(0, 3), offset), self.size * BYTE)


def _ranks(bits: Value) -> tuple[list[Value], Value]:
    """Return how many of `bits` are set below each of them, and in all."""
    if len(bits) == 1:
        return [Const(0, 1)], bits
    half = len(bits) // 2
    low, below = _ranks(bits[:half])
    high, above = _ranks(bits[half:])
    return [*low, *(below + rank for rank in high)], below + above


def count_ones(bits: Value) -> Value:
    """Return how many of `bits`, a power of two of them, are set."""
    return _ranks(bits)[1]
