"""Exponents and headrooms of the turns of a BUTTERFLY: read, kept, written."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .butterfly_order import MAXIMUM_TURNS
from .butterfly_plan import EXPONENT_BITS, HEADROOM_BITS, TURN_BITS, plan_layout
from .config import AcceleratorConfig
from .isa import BlockExponent
from .ports import ReadPortSignature, WritePortSignature
from .response_tags import ResponseTags


class ButterflyExponents(wiring.Component):
    """A table of the exponent and the headroom of each turn.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    plan : `plan_layout`, in
    load : in; fill the table from X's words or from the instruction; `loaded` says when.
    store : in; write Y's words; `stored` says when.
    turn : in; `exponent` and `headroom` of it come in the next cycle.
    set_exponent, new_exponent : in; for `turn`.
    set_headroom, other, new_headroom : in; for turn `other`.
    read, write : `ReadPortSignature`, `WritePortSignature`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "plan": In(plan_layout(config)),
                "load": In(1),
                "loaded": Out(1),
                "store": In(1),
                "stored": Out(1),
                "turn": In(TURN_BITS),
                "exponent": Out(signed(EXPONENT_BITS)),
                "headroom": Out(signed(HEADROOM_BITS)),
                "set_exponent": In(1),
                "new_exponent": In(signed(EXPONENT_BITS)),
                "set_headroom": In(1),
                "other": In(TURN_BITS),
                "new_headroom": In(signed(HEADROOM_BITS)),
                "read": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return two memories and what walks through them."""
        m = Module()
        exponents = Memory(shape=EXPONENT_BITS, depth=MAXIMUM_TURNS, init=[])
        headrooms = Memory(shape=HEADROOM_BITS, depth=MAXIMUM_TURNS, init=[])
        m.submodules.exponents, m.submodules.headrooms = exponents, headrooms
        reads = [memory.read_port() for memory in (exponents, headrooms)]
        writes = [memory.write_port() for memory in (exponents, headrooms)]
        place = Signal(TURN_BITS)
        walking = Signal()
        m.d.comb += [
            self.exponent.eq(reads[0].data),
            self.headroom.eq(reads[1].data),
            *(port.addr.eq(Mux(walking, place, self.turn)) for port in reads),
            writes[0].addr.eq(self.turn),
            writes[0].data.eq(self.new_exponent),
            writes[0].en.eq(self.set_exponent),
            writes[1].addr.eq(self.other),
            writes[1].data.eq(self.new_headroom),
            writes[1].en.eq(self.set_headroom),
        ]
        self._load(m, writes)
        self._store(m, place, walking)
        return m

    def _load(self, m: Module, writes: list) -> None:
        """Ask for a word a turn; what comes, or the fields of the instruction, fill the table."""
        plan, fields = self.plan, self.plan.fields
        m.submodules.tags = tags = ResponseTags(TURN_BITS)
        asked, all_asked = Signal(TURN_BITS), Signal()
        word = BlockExponent(self.read.response.payload[0][: BlockExponent.as_shape().size])
        request = self.read.request
        sets, turn, complete = Signal(), Signal(TURN_BITS), Signal()
        sum_of_exponents = Signal(signed(EXPONENT_BITS))
        start = Signal(signed(HEADROOM_BITS))
        m.d.comb += [
            request.valid.eq(self.load & fields.x_blocks & ~all_asked),
            request.payload.address.eq(fields.exponent_address + asked),
            request.payload.pitch.eq(1),
            tags.accepted.eq(request.valid & request.ready),
            tags.request.eq(asked),
            self.loaded.eq(complete),
        ]
        m.d.sync += [
            sets.eq(Mux(fields.x_blocks, tags.valid, self.load & ~all_asked)),
            turn.eq(Mux(fields.x_blocks, tags.response, asked)),
            sum_of_exponents.eq(fields.exponent + Mux(fields.x_blocks, word.exponent, 0)),
            start.eq(Mux(fields.x_blocks, word.headroom, fields.x_headroom)),
            complete.eq(sets & (turn == plan.last_turn)),
        ]
        with m.If(self.load & ~all_asked & (request.ready | ~fields.x_blocks)):
            m.d.sync += [asked.eq(asked + 1), all_asked.eq(asked == plan.last_turn)]
        with m.If(~self.load):
            m.d.sync += [asked.eq(0), all_asked.eq(0)]
        with m.If(sets):
            m.d.comb += [
                writes[0].addr.eq(turn),
                writes[0].data.eq(sum_of_exponents),
                writes[0].en.eq(1),
                writes[1].addr.eq(turn),
                writes[1].data.eq(start),
                writes[1].en.eq(1),
            ]

    def _store(self, m: Module, place: Signal, walking: Signal) -> None:
        """Write the word of each turn, in two cycles and as many as it takes to be accepted."""
        fields, request = self.plan.fields, self.write.request
        word = Signal(BlockExponent)
        m.d.comb += [
            walking.eq(self.store),
            word.exponent.eq(self.exponent),
            word.headroom.eq(self.headroom),
            request.payload.address.eq(fields.y_exponent_address + place),
            request.payload.pitch.eq(1),
            request.payload.mask.eq(1),
            request.payload.data[0].eq(word),
        ]
        fetched = Signal()
        m.d.comb += request.valid.eq(fetched)
        m.d.sync += fetched.eq(self.store & ~fetched & ~self.stored)
        with m.If(fetched & ~request.ready):
            m.d.sync += fetched.eq(1)
        with m.If(fetched & request.ready):
            m.d.sync += place.eq(place + 1)
            with m.If(place == self.plan.last_turn):
                m.d.comb += self.stored.eq(1)
        with m.If(~self.store):
            m.d.sync += place.eq(0)
