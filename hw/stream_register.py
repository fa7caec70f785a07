"""A stream register that breaks the path of valid and payload."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamRegister(wiring.Component):
    """One place for a stream: `output.valid` and the payload are registers, `input.ready` is not.

    Latency one cycle, throughput one transfer a cycle. `StreamBuffer` registers `ready` as well.

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
        """Return the register."""
        m = Module()
        m.d.comb += self.input.ready.eq(~self.output.valid | self.output.ready)
        with m.If(self.input.ready):
            m.d.sync += self.output.valid.eq(self.input.valid)
            m.d.sync += self.output.payload.eq(self.input.payload)
        return m


def stream_stage(
    m: Module,
    name: str,
    shape: ValueLike,
    registered: bool,
    component: Callable[[ValueLike], Any] = StreamRegister,
) -> tuple[Any, Any]:
    """Return the ends of a stream between which is a register, or nothing.

    Parameters
    ----------
    m : Module
        Takes the register.
    name : str
        Name of the register.
    shape : shape-like
        Payload of the stream.
    registered : bool
        Whether there is a register.
    component : callable
        `StreamRegister` or `StreamBuffer`.
    """
    if not registered:
        wire = stream.Signature(shape).create(path=(name,))
        return wire, wire
    m.submodules[name] = register = component(shape)
    return register.input, register.output
