"""One processing element of the array: multiply, accumulate, hand over."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig

OPERAND_BITS = 8
PLANE_BITS = 7
"""Bits that a second plane adds to an operand."""


class ProcessingElement(wiring.Component):
    """Int8 multiplier, accumulator and a second register that is emptied row by row.

    Operands are registered in front of the multiplier and its product behind it: the operands of
    cycle t are in the accumulator from cycle t + `LATENCY` on. One multiply-add a cycle.

    An element for stationary flows keeps a weight while activations pass, and adds to what the
    element above has: its next weight waits in a register of its own.

    Parameters
    ----------
    accumulator_width : int
        Bits of the accumulator, which wraps; 24 to 48.
    block : int
        Activations to choose from: 1, 4, 8 or 16.
    stationary : bool
        Whether the element serves stationary flows as well.
    wide : bool
        Whether an activation may have 15 bits.

    Members
    -------
    activations : signed(8) [block], in
    index : in; which of the activations is multiplied. No bits if `block` is 1.
    weight : signed(8), in
    accumulate : in; add the product of the operands of two cycles ago.
    clear : in; with `accumulate`, forget the sum before it.
    capture : in; copy the accumulator to `result`.
    shift : in; copy `below`, the result of the row below, to `result`.
    result : signed(accumulator_width), out

    Only if `wide`:

    wide : in; the activation has 15 bits: the one that is chosen is its lower 8.
    upper : [7], in; the others.

    Only if `stationary`:

    hold : in; keep the weight, and add the product to `above` in every cycle.
    load : in; `weight` is the next one to be kept.
    swap : in; with `hold`, what was loaded is multiplied from the activation of this cycle on.
    above : signed(accumulator_width), in; the sum of the element above.
    sum : signed(accumulator_width), out; the accumulator.

    Raises
    ------
    ConfigError
        If `accumulator_width` or `block` is out of range.
    """

    LATENCY = 3

    def __init__(
        self,
        accumulator_width: int,
        block: int = 1,
        *,
        stationary: bool = False,
        wide: bool = False,
    ) -> None:
        array = ArrayConfig(accumulator_width=accumulator_width, block=block)
        self._accumulator_width = array.accumulator_width
        self._block = array.block
        self._stationary = stationary
        self._has_wide = wide
        total = signed(accumulator_width)
        members: dict[str, Any] = {
            "activations": In(data.ArrayLayout(signed(OPERAND_BITS), block)),
            "index": In(range(block)),
            "weight": In(signed(OPERAND_BITS)),
            "accumulate": In(1),
            "clear": In(1),
            "capture": In(1),
            "shift": In(1),
            "below": In(total),
            "result": Out(total, init=0),
        }
        if wide:
            members |= {"wide": In(1), "upper": In(PLANE_BITS)}
        if stationary:
            members |= {
                "hold": In(1),
                "load": In(1),
                "swap": In(1),
                "above": In(total),
                "sum": Out(total),
            }
        super().__init__(members)

    @property
    def accumulator_width(self) -> int:
        """Bits of the accumulator."""
        return self._accumulator_width

    @property
    def block(self) -> int:
        """Activations to choose from."""
        return self._block

    @property
    def stationary(self) -> bool:
        """Whether the element serves stationary flows as well."""
        return self._stationary

    @property
    def has_wide(self) -> bool:
        """Whether an activation may have 15 bits."""
        return self._has_wide

    def elaborate(self, platform: object) -> Module:
        """Return the element. Its registers hold data only, so none is reset."""
        m = Module()
        activation = Signal(signed(self._activation_bits), reset_less=True)
        weight = Signal(signed(OPERAND_BITS), reset_less=True)
        product = Signal(signed(self._activation_bits + OPERAND_BITS), reset_less=True)
        accumulator = Signal(signed(self.accumulator_width), reset_less=True)
        result = Signal(signed(self.accumulator_width), reset_less=True)
        m.d.comb += self.result.eq(result)
        m.d.sync += [activation.eq(self._activation()), product.eq(activation * weight)]
        before = Mux(self.clear, 0, accumulator)
        adds = self.accumulate
        if self.stationary:
            before = Mux(self.hold, self.above, before)
            adds = self.accumulate | self.hold
            m.d.comb += self.sum.eq(accumulator)
            self._keep(m, weight)
        else:
            m.d.sync += weight.eq(self.weight)
        with m.If(adds):
            m.d.sync += accumulator.eq(before + product)
        with m.If(self.capture):
            m.d.sync += result.eq(accumulator)
        with m.Elif(self.shift):
            m.d.sync += result.eq(self.below)
        return m

    @property
    def _activation_bits(self) -> int:
        return OPERAND_BITS + PLANE_BITS if self.has_wide else OPERAND_BITS

    def _activation(self) -> Value:
        """Return what is multiplied."""
        chosen = self._chosen()
        if not self.has_wide:
            return chosen
        sign = chosen[OPERAND_BITS - 1].replicate(PLANE_BITS)
        return Cat(chosen, Mux(self.wide, self.upper, sign))

    def _chosen(self) -> Value:
        """Return the activation at `index`. A tree of halves simulates faster than a shift."""
        chosen = Value.cast(self.activations)
        for bit in reversed(self.index):
            half = len(chosen) // 2
            chosen = Mux(bit, chosen[half:], chosen[:half])
        return chosen

    def _keep(self, m: Module, weight: Signal) -> None:
        """Add the register of the next weight; `weight` changes with `swap` if it is held."""
        pending = Signal.like(weight, name="pending", reset_less=True)
        with m.If(self.load):
            m.d.sync += pending.eq(self.weight)
        with m.If(~self.hold):
            m.d.sync += weight.eq(self.weight)
        with m.Elif(self.swap):
            m.d.sync += weight.eq(pending)
