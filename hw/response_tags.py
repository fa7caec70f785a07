"""Tells a scratchpad client what each line that comes back was asked for."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .scratchpad import Scratchpad


class ResponseTags(wiring.Component):
    """A tag travels beside each read and appears together with its line.

    It relies on the fixed latency of the scratchpad, so that a reset of the client also forgets
    the lines that are still on their way to it.

    Parameters
    ----------
    shape : shape-castable
        Shape of a tag.

    Members
    -------
    accepted : in; a request with tag `request` was accepted.
    valid : out; the line of the read tagged `response` is there in this cycle.
    """

    def __init__(self, shape: Any) -> None:
        self._shape = shape
        super().__init__(
            {
                "accepted": In(1),
                "request": In(shape),
                "valid": Out(1),
                "response": Out(shape),
            }
        )

    @property
    def shape(self) -> Any:
        """Shape of a tag."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        """Return one register a cycle of latency."""
        m = Module()
        valid, tag = self.accepted, self.request
        for stage in range(Scratchpad.READ_LATENCY):
            next_valid = Signal(name=f"valid_{stage}")
            next_tag = Signal(self.shape, reset_less=True, name=f"tag_{stage}")
            m.d.sync += [next_valid.eq(valid), next_tag.eq(tag)]
            valid, tag = next_valid, next_tag
        m.d.comb += [self.valid.eq(valid), self.response.eq(tag)]
        return m
