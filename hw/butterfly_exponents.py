"""Exponents and headrooms of the turns of a BUTTERFLY: read, kept, written."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .butterfly_order import MAXIMUM_TURNS
from .butterfly_plan import EXPONENT_BITS, HEADROOM_BITS, TURN_BITS, plan_layout
from .config import AcceleratorConfig
from .isa import BlockExponent
from .ports import ReadPortSignature, read_request_layout
from .stream_register import stream_stage


class ButterflyExponents(wiring.Component):
    """A table of the exponent and the headroom of each turn between two passes.

    In the first pass they come from X's words or from the instruction.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    plan : `plan_layout`, in
    is_first : in; the first pass is at work.
    fetch : in; the word of `turn` may be fetched.
    turn : in
    ready : out; `exponent` and `headroom` of `turn` are there, if it has not changed in the cycle
        before, or with ``butterfly.pipelined`` in the two cycles before.
    exponent, headroom : out
    set_exponent, new_exponent : in; for `turn`, whose word is of no more use.
    set_headroom, other, new_headroom : in; for turn `other`.
    read : `ReadPortSignature`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "plan": In(plan_layout(config)),
                "is_first": In(1),
                "fetch": In(1),
                "turn": In(TURN_BITS),
                "ready": Out(1),
                "exponent": Out(signed(EXPONENT_BITS)),
                "headroom": Out(signed(HEADROOM_BITS)),
                "set_exponent": In(1),
                "new_exponent": In(signed(EXPONENT_BITS)),
                "set_headroom": In(1),
                "other": In(TURN_BITS),
                "new_headroom": In(signed(HEADROOM_BITS)),
                "read": Out(ReadPortSignature(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return two memories, and what fetches a word."""
        m = Module()
        exponents = Memory(shape=EXPONENT_BITS, depth=MAXIMUM_TURNS, init=[])
        headrooms = Memory(shape=HEADROOM_BITS, depth=MAXIMUM_TURNS, init=[])
        m.submodules.exponents, m.submodules.headrooms = exponents, headrooms
        reads = [memory.read_port() for memory in (exponents, headrooms)]
        writes = [memory.write_port() for memory in (exponents, headrooms)]
        fields = self.plan.fields
        word, there = self._fetch(m)
        first_exponent = Signal(signed(EXPONENT_BITS))
        results = [
            self.ready.eq(~self.is_first | ~fields.x_blocks | there),
            self.exponent.eq(Mux(self.is_first, first_exponent, reads[0].data.as_signed())),
            self.headroom.eq(
                Mux(
                    self.is_first,
                    Mux(fields.x_blocks, word.headroom, fields.x_headroom),
                    reads[1].data.as_signed(),
                )
            ),
        ]
        if self.config.butterfly.pipelined:
            m.d.sync += results
        else:
            m.d.comb += results
        m.d.comb += [
            first_exponent.eq(fields.exponent + Mux(fields.x_blocks, word.exponent, 0)),
            *(port.addr.eq(self.turn) for port in reads),
            writes[0].addr.eq(self.turn),
            writes[0].data.eq(self.new_exponent),
            writes[0].en.eq(self.set_exponent),
            writes[1].addr.eq(self.other),
            writes[1].data.eq(self.new_headroom),
            writes[1].en.eq(self.set_headroom),
        ]
        return m

    def _fetch(self, m: Module) -> tuple[Signal, Signal]:
        """Ask for the word of X of each turn; return it, and whether it is there."""
        fields = self.plan.fields
        layout = read_request_layout(self.config)
        request, outer = stream_stage(m, "request", layout, self.config.butterfly.pipelined)
        wiring.connect(m, outer, wiring.flipped(self.read.request))
        asked, there = Signal(), Signal()
        word = Signal(BlockExponent)
        m.d.comb += [
            request.valid.eq(self.is_first & self.fetch & fields.x_blocks & ~asked),
            request.payload.address.eq(fields.exponent_address + self.turn),
            request.payload.pitch.eq(1),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += asked.eq(1)
        with m.If(self.read.response.valid):
            m.d.sync += [there.eq(1), word.eq(self.read.response.payload[0])]
        with m.If(self.set_exponent):
            m.d.sync += [asked.eq(0), there.eq(0)]
        return word, there
