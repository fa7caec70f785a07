"""Sum or maximum over the lanes and beats of a row."""

from typing import Literal

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError


class RowReduction(wiring.Component):
    """Reduces the values of all lanes over all beats of a row.

    A tree with a register a level, then an accumulator: latency ``log2(lanes) + 1`` cycles, one
    beat a cycle.

    Parameters
    ----------
    lanes : int
        A power of two, at least 2.
    shape : Shape
        Of one value.
    width : int
        Bits of the result; the caller knows that it suffices.
    kind : "sum" or "maximum"

    Members
    -------
    values : in
    clear : in
        Forget the beats in the tree.
    valid, first, last : in
        There is a beat; it is the first, or the last of its row.
    result : out, signed as `shape`
    result_valid : out
        High for one cycle with the result of a row.
    """

    def __init__(
        self, lanes: int, shape: Shape, width: int, kind: Literal["sum", "maximum"]
    ) -> None:
        if lanes < 2 or lanes & (lanes - 1):
            raise ConfigError(f"lanes must be a power of two from 2, not {lanes}")
        if kind not in ("sum", "maximum"):
            raise ConfigError(f"kind must be 'sum' or 'maximum', not {kind!r}")
        if width < shape.width:
            raise ConfigError(f"width must be at least {shape.width}, not {width}")
        self._lanes = lanes
        self._shape = shape
        self._width = width
        self._kind = kind
        super().__init__(
            {
                "clear": In(1),
                "values": In(data.ArrayLayout(shape, lanes)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "result": Out(Shape(width, shape.signed)),
                "result_valid": Out(1),
            }
        )

    @property
    def lanes(self) -> int:
        """Values a beat."""
        return self._lanes

    @property
    def shape(self) -> Shape:
        """Shape of one value."""
        return self._shape

    @property
    def width(self) -> int:
        """Bits of the result."""
        return self._width

    @property
    def kind(self) -> str:
        """What is computed."""
        return self._kind

    def _combine(self, left, right):
        if self.kind == "sum":
            return left + right
        return Mux(left < right, right, left)

    def _level(self, m: Module, values: list, shape: Shape, level: int) -> list[Signal]:
        """Return registers for half as many values."""
        registers = []
        for place, pair in enumerate(zip(values[::2], values[1::2], strict=True)):
            register = Signal(shape, reset_less=True, name=f"level_{level}_{place}")
            m.d.sync += register.eq(self._combine(*pair))
            registers.append(register)
        return registers

    def elaborate(self, platform: object) -> Module:
        """Return the tree and the accumulator."""
        m = Module()
        values = [self.values[lane] for lane in range(self.lanes)]
        marks = [self.valid, self.first, self.last]
        width = self.shape.width
        level = 0
        while len(values) > 1:
            level += 1
            width = min(width + (self.kind == "sum"), self.width)
            values = self._level(m, values, Shape(width, self.shape.signed), level)
            registers = [Signal(name=f"{name}_{level}") for name in ("valid", "first", "last")]
            for register, mark in zip(registers, marks, strict=True):
                m.d.sync += register.eq(mark & ~self.clear)
            marks = registers
        valid, first, last = marks
        result = Signal(self.result.shape(), reset_less=True)
        with m.If(valid):
            m.d.sync += result.eq(Mux(first, values[0], self._combine(result, values[0])))
        m.d.sync += self.result_valid.eq(valid & last & ~self.clear)
        m.d.comb += self.result.eq(result)
        return m
