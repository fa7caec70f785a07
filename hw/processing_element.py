"""One processing element of the array: multiply, accumulate, hand over."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig

OPERAND_BITS = 8
PRODUCT_BITS = 2 * OPERAND_BITS


class ProcessingElement(wiring.Component):
    """Int8 multiplier, accumulator and a second register that is emptied row by row.

    Operands are registered in front of the multiplier and its product behind it: the operands of
    cycle t are in the accumulator from cycle t + `LATENCY` on. One multiply-add a cycle.

    Parameters
    ----------
    accumulator_width : int
        Bits of the accumulator, which wraps; 24 to 48.

    Members
    -------
    activation, weight : signed(8), in
    accumulate : in; add the product of the operands of two cycles ago.
    clear : in; with `accumulate`, forget the sum before it.
    capture : in; copy the accumulator to `result`.
    shift : in; copy `below`, the result of the row below, to `result`.
    result : signed(accumulator_width), out

    Raises
    ------
    ConfigError
        If `accumulator_width` is out of range.
    """

    LATENCY = 3

    def __init__(self, accumulator_width: int) -> None:
        self._accumulator_width = ArrayConfig(accumulator_width=accumulator_width).accumulator_width
        super().__init__(
            {
                "activation": In(signed(OPERAND_BITS)),
                "weight": In(signed(OPERAND_BITS)),
                "accumulate": In(1),
                "clear": In(1),
                "capture": In(1),
                "shift": In(1),
                "below": In(signed(accumulator_width)),
                "result": Out(signed(accumulator_width), init=0),
            }
        )

    @property
    def accumulator_width(self) -> int:
        """Bits of the accumulator."""
        return self._accumulator_width

    def elaborate(self, platform: object) -> Module:
        """Return the element. Its registers hold data only, so none is reset."""
        m = Module()
        activation = Signal(signed(OPERAND_BITS), reset_less=True)
        weight = Signal(signed(OPERAND_BITS), reset_less=True)
        product = Signal(signed(PRODUCT_BITS), reset_less=True)
        accumulator = Signal(signed(self.accumulator_width), reset_less=True)
        result = Signal(signed(self.accumulator_width), reset_less=True)
        m.d.comb += self.result.eq(result)
        m.d.sync += [
            activation.eq(self.activation),
            weight.eq(self.weight),
            product.eq(activation * weight),
        ]
        with m.If(self.accumulate):
            m.d.sync += accumulator.eq(Mux(self.clear, 0, accumulator) + product)
        with m.If(self.capture):
            m.d.sync += result.eq(accumulator)
        with m.Elif(self.shift):
            m.d.sync += result.eq(self.below)
        return m
