"""Gives products to the families of dataflows, one family at a time."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .family import Family
from .isa import SPARSE_OUTPUT_FLOWS, STATIONARY_FLOWS, Flow
from .matmul_check import checked_layout


class FlowGate(wiring.Component):
    """Holds a product of another family back until the array has given away all sums.

    So it does where products begin or cease to gather A, because operand A takes lines or gathered
    steps, but cannot tell in which order they were asked for; and where they begin or cease to
    stream only useful rows of A, because the partial sums are then in any order.

    Members
    -------
    checked : stream of `checked_layout`, in
    products : [stream of `checked_layout`] by `Family`, out
    quiet : in; no family works and no sum is left in the array.
    at_work : out; a bit for each `Family`, set for the one at work.
    in_order : out; the last product of a stationary flow streams all rows of A.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "checked": In(stream.Signature(checked_layout)),
                "products": Out(stream.Signature(checked_layout)).array(len(Family)),
                "quiet": In(1),
                "at_work": Out(len(Family), init=1 << Family.DENSE_OUTPUT.value),
                "in_order": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the family of the product and that of the array."""
        m = Module()
        flow = Value.cast(self.checked.payload.word.flow)
        wanted = Signal(len(Family))
        gathers, gathering, ordered, same = Signal(), Signal(), Signal(), Signal()
        sparse = wanted[Family.SPARSE_OUTPUT.value]
        stationary = wanted[Family.STATIONARY.value]
        m.d.comb += [
            sparse.eq(flow.matches(*(member.value for member in SPARSE_OUTPUT_FLOWS))),
            stationary.eq(flow.matches(*(member.value for member in STATIONARY_FLOWS))),
            wanted[Family.DENSE_OUTPUT.value].eq(~sparse & ~stationary),
            gathers.eq(flow == Flow.SPARSE_WEIGHT_STATIONARY.value),
            ordered.eq(Mux(stationary, flow != Flow.SPARSE_INPUT_STATIONARY.value, self.in_order)),
            same.eq(
                (wanted & self.at_work).any() & (gathers == gathering) & (ordered == self.in_order)
            ),
        ]
        for family, product in zip(Family, self.products, strict=True):
            chosen = same & wanted[family.value]
            m.d.comb += [
                product.valid.eq(self.checked.valid & chosen),
                product.payload.eq(self.checked.payload),
            ]
            with m.If(chosen):
                m.d.comb += self.checked.ready.eq(product.ready)
        with m.If(self.checked.valid & self.quiet):
            m.d.sync += [
                self.at_work.eq(wanted),
                gathering.eq(gathers),
                self.in_order.eq(ordered),
            ]
        return m
