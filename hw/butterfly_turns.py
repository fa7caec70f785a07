"""Takes a BUTTERFLY apart in passes over the vectors of a turn, and keeps their exponents."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .butterfly_exponents import ButterflyExponents
from .butterfly_format import (
    DATA_BITS,
    HIGHEST_SCALE,
    HIGHEST_SHIFT,
    LOWEST_SCALE,
    LOWEST_SHIFT,
    STAGE_BITS,
)
from .butterfly_pass import PASS_MEMBERS, ButterflyPass
from .butterfly_plan import (
    EXPONENT_BITS,
    HEADROOM_BITS,
    TURN_BITS,
    most_factors,
    plan_layout,
    turn_layout,
)
from .butterfly_unit import MULTIPLIERS
from .config import AcceleratorConfig
from .isa import Axis, ButterflyMode
from .ports import ReadPortSignature, WritePortSignature, address_width

WORKERS = ("reader", "coefficients", "feeder", "collector", "writer")
"""Who works on a turn."""

_QUEUED = 3
_FLYING = 16
"""Turns that are at most in the hands of the workers."""

_GROWTH_BITS = 4


def limit(value: Value, low: int, high: int) -> Value:
    """Return a signed value, limited."""
    return Mux(value > high, high, Mux(value < low, low, value))


class ButterflyTurns(wiring.Component):
    """Gives each pass over each turn to the workers, when the pass before has left that turn.

    Before that, the scales of its stages follow from headroom and growths
    (`butterfly_format.clamped_scales`).

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    plan : stream of `plan_layout`, in
    current : `plan_layout`, out; the instruction that is executed.
    reader, coefficients, feeder, collector, writer : streams of `turn_layout`, out
    written : in; the writer is done with a turn.
    headroom_valid, headroom : in, from the collector
    read, write : ports, for exponents
    multiplies : out; multiplications of the turn that is done in this cycle.
    done : out; the instruction is done.
    busy : out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        turn = turn_layout(config)
        super().__init__(
            {
                "plan": In(stream.Signature(plan_layout(config))),
                "current": Out(plan_layout(config)),
                **{name: Out(stream.Signature(turn)) for name in WORKERS},
                "written": In(1),
                "headroom_valid": In(1),
                "headroom": In(signed(HEADROOM_BITS)),
                "read": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
                "multiplies": Out(32),
                "done": Out(1),
                "busy": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the sequence of passes and turns."""
        m = Module()
        config = self.config
        m.submodules.exponents = exponents = ButterflyExponents(config)
        m.submodules.derive = derive = ButterflyPass(config)
        wiring.connect(m, wiring.flipped(self.read), exponents.read)
        wiring.connect(m, wiring.flipped(self.write), exponents.write)
        plan, fields = self.current, self.current.fields
        turn = Signal(turn_layout(config))
        number, first = Signal(TURN_BITS), Signal(4)
        settle = Signal(range(ButterflyPass.LATENCY + 2))
        growths = Signal(len(fields.growths))
        is_real = fields.mode == ButterflyMode.REAL
        emit, queued = Signal(), Signal()
        in_flight = Signal(TURN_BITS + 1)
        self._queues(m, turn, emit, queued, is_real)
        factors = most_factors(config)
        scales = self._scales(m, derive, exponents, growths, is_real)
        m.d.comb += [
            exponents.plan.eq(plan),
            exponents.turn.eq(number),
            derive.plan.eq(plan),
            derive.first.eq(first),
        ]
        last_turn = number == plan.last_turn
        line_bits = (config.lanes - 1).bit_length()

        with m.FSM() as states:
            m.d.comb += self.busy.eq(~states.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.plan.ready.eq(1)
                m.d.sync += [plan.eq(self.plan.payload), first.eq(0), number.eq(0)]
                m.d.sync += growths.eq(self.plan.payload.fields.growths)
                with m.If(self.plan.valid):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += exponents.load.eq(1)
                m.d.sync += settle.eq(0)
                with m.If(exponents.loaded):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settle.eq(settle + 1)
                with m.If(settle == ButterflyPass.LATENCY):
                    self._begin(m, derive, turn, first)
                    m.next = "WAIT"
            with m.State("WAIT"), m.If(in_flight <= plan.last_turn):
                m.next = "SCALE_0"
            for factor in range(factors):
                with m.State(f"SCALE_{factor}"):
                    m.d.sync += turn.scales[factor].eq(scales[factor])
                    m.next = f"SCALE_{factor + 1}" if factor + 1 < factors else "SUM"
            with m.State("SUM"):
                total = exponents.exponent + sum(turn.scales[i] for i in range(factors))
                shift = Signal(signed(EXPONENT_BITS + 1))
                m.d.comb += [
                    exponents.set_exponent.eq(1),
                    exponents.new_exponent.eq(total),
                    shift.eq(fields.y_exponent - exponents.new_exponent),
                ]
                given = derive.is_last & ~fields.y_blocks
                m.d.sync += [
                    turn.shift.eq(
                        Mux(given, limit(shift, LOWEST_SHIFT, HIGHEST_SHIFT), 0) - LOWEST_SHIFT
                    ),
                    turn.turn.eq(number),
                    turn.is_tail.eq(last_turn),
                ]
                m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += emit.eq(queued)
                with m.If(queued):
                    m.d.sync += number.eq(Mux(last_turn, 0, number + 1))
                    self._advance(m, turn)
                    m.next = "WAIT"
                with m.If(queued & last_turn):
                    m.d.sync += [first.eq(first + derive.factors), settle.eq(0)]
                    m.d.sync += growths.eq(growths >> (_GROWTH_BITS * derive.factors))
                    lines = (turn.lines + 1) * turn.factors
                    m.d.sync += turn.coefficients.eq(turn.coefficients + (lines << line_bits))
                    with m.If(derive.is_last):
                        m.next = "DRAIN"
                    with m.Else():
                        m.next = "SETTLE"
            with m.State("DRAIN"), m.If(in_flight == 0):
                m.next = "DONE"
                with m.If(fields.y_blocks):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += exponents.store.eq(1)
                with m.If(exponents.stored):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        finished = self._complete(m, exponents, emit, turn)
        m.d.sync += in_flight.eq(in_flight + emit - finished)
        return m

    def _queues(self, m: Module, turn, emit: Signal, queued: Signal, is_real: Value) -> None:
        """Give a turn to all workers at once; coefficients are fetched for real factors only."""
        room = []
        for name in WORKERS:
            queue = SyncFIFOBuffered(width=turn.shape().size, depth=_QUEUED)
            m.submodules[f"queue_{name}"] = queue
            port = getattr(self, name)
            wanted = is_real if name == "coefficients" else 1
            m.d.comb += [
                queue.w_data.eq(turn),
                queue.w_en.eq(emit & wanted),
                port.payload.eq(queue.r_data),
                port.valid.eq(queue.r_rdy),
                queue.r_en.eq(port.ready),
            ]
            room.append(queue.w_rdy)
        self._flying = SyncFIFO(width=32, depth=_FLYING)
        m.submodules.flying = self._flying
        m.d.comb += queued.eq(Cat(*room, self._flying.w_rdy).all())

    def _begin(self, m: Module, derive: ButterflyPass, turn, first: Signal) -> None:
        """Set what the turns of a pass have in common, and the places of the first one."""
        plan, fields = self.current, self.current.fields
        tokens = fields.axis == Axis.TOKENS
        real = fields.mode == ButterflyMode.REAL
        is_first, is_last = first == 0, derive.is_last
        m.d.sync += [
            Value.cast(turn[name]).eq(Value.cast(derive.turn[name])) for name in PASS_MEMBERS
        ]
        m.d.sync += turn.last.eq(is_last)
        with m.If(is_first):
            m.d.sync += turn.coefficients.eq(fields.coefficient_address)
        for access, address, pitch, planes, words in (
            (
                turn.source,
                Mux(is_first, fields.x_address, fields.work_address),
                Mux(is_first, fields.x_pitch, fields.y_pitch),
                ~real & ~(is_first & fields.x_real),
                Mux(is_first, plan.x_words, plan.words),
            ),
            (
                turn.target,
                Mux(is_last, fields.y_address, fields.work_address),
                fields.y_pitch,
                ~real & ~(is_last & fields.y_real),
                Mux(is_last, plan.y_words, plan.words),
            ),
        ):
            m.d.sync += [
                access.base.eq(address),
                access.imaginary.eq(address + fields.plane_words),
                access.planes.eq(planes),
                access.step.eq(Mux(tokens, pitch, 1)),
                access.pitch.eq(Mux(tokens, 1, pitch)),
                access.limit.eq(words),
            ]

    def _advance(self, m: Module, turn) -> None:
        """Go to the places of the next turn; lanes lie at the pitch of an access."""
        lane_bits = (self.config.butterfly.lanes - 1).bit_length()
        for access in (turn.source, turn.target):
            distance = Signal(address_width(self.config))
            m.d.comb += distance.eq(access.pitch << lane_bits)
            m.d.sync += [
                access.base.eq(access.base + distance),
                access.imaginary.eq(access.imaginary + distance),
            ]

    def _scales(self, m: Module, derive, exponents, growths: Signal, is_real: Value) -> list[Value]:
        """Return the scale of each factor; that of one needs those before it to be registered."""
        count = most_factors(self.config)
        results: list[Value] = []
        before: Value = Signal(signed(6), name="no_scale")
        for factor in range(count):
            growth = growths.word_select(factor, _GROWTH_BITS).as_signed()
            in_use = factor < derive.factors
            is_inner = factor + 1 < derive.factors
            spare = Mux(is_inner, STAGE_BITS - DATA_BITS, 0)
            wanted = Signal(signed(8), name=f"wanted_{factor}")
            m.d.comb += wanted.eq(
                Mux(is_real, growth, factor + 1) - exponents.headroom - spare - before
            )
            scale = Signal(signed(3), name=f"scale_{factor}")
            m.d.comb += scale.eq(Mux(in_use, limit(wanted, LOWEST_SCALE, HIGHEST_SCALE), 0))
            register = Signal(signed(3), name=f"scale_register_{factor}")
            m.d.sync += register.eq(scale)
            before = before + register
            results.append(scale)
        return results

    def _complete(self, m: Module, exponents, emit: Signal, turn) -> Signal:
        """Note the headroom of a turn that is written; return whether there is one."""
        plan = self.current
        m.submodules.headrooms = headrooms = SyncFIFO(width=HEADROOM_BITS, depth=_FLYING)
        written = Signal(range(_FLYING + 1))
        finished = Signal()
        place = Signal(TURN_BITS)
        lanes, work = Signal(8), Signal(32)
        product = Signal(24)
        m.d.comb += [
            lanes.eq(Mux(turn.is_tail, plan.tail + 1, self.config.butterfly.lanes)),
            headrooms.w_data.eq(self.headroom),
            headrooms.w_en.eq(self.headroom_valid),
            finished.eq((written != 0) & headrooms.r_rdy),
            headrooms.r_en.eq(finished),
            exponents.set_headroom.eq(finished),
            exponents.other.eq(place),
            exponents.new_headroom.eq(headrooms.r_data.as_signed()),
            product.eq(plan.words * lanes),
            # A word has two pairs.
            work.eq((product * turn.factors) << (1 + (MULTIPLIERS - 1).bit_length())),
            self._flying.w_data.eq(work),
            self._flying.w_en.eq(emit),
            self._flying.r_en.eq(finished),
            self.multiplies.eq(Mux(finished, self._flying.r_data, 0)),
        ]
        m.d.sync += written.eq(written + self.written - finished)
        with m.If(finished):
            m.d.sync += place.eq(Mux(place == plan.last_turn, 0, place + 1))
        return finished
