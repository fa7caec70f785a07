"""A stream register that breaks the paths of both directions."""

from amaranth.hdl import Module, Mux, Signal, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamBuffer(wiring.Component):
    """Two places for a stream: `input.ready`, `output.valid` and the payload are registers.

    Latency one cycle, throughput one transfer a cycle.

    Parameters
    ----------
    shape : shape-like
        Payload of the stream.

    Members
    -------
    input, output : streams of `shape`
    """

    def __init__(self, shape: ValueLike) -> None:
        self._shape = shape
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
            }
        )

    @property
    def shape(self) -> ValueLike:
        """Payload of the stream."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        """Return the two registers."""
        m = Module()
        spare = Signal(self.shape)
        # Apart from `ready`, which the sender waits for, since it chooses every bit.
        spare_valid, ready = Signal(), Signal(init=1)
        m.d.comb += self.input.ready.eq(ready)
        # Whether it holds anything is known later than that it may be overwritten.
        with m.If(~spare_valid):
            m.d.sync += spare.eq(self.input.payload)
        with m.If(self.output.ready | ~self.output.valid):
            m.d.sync += [
                self.output.valid.eq(spare_valid | self.input.valid),
                self.output.payload.eq(Mux(spare_valid, spare, self.input.payload)),
                spare_valid.eq(0),
                ready.eq(1),
            ]
        with m.Elif(self.input.valid):
            m.d.sync += [spare_valid.eq(1), ready.eq(0)]
        return m
