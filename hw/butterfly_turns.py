"""Takes a BUTTERFLY apart in passes over the vectors of a turn, and keeps their exponents."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_exponents import ButterflyExponents
from .butterfly_finish import ButterflyFinish
from .butterfly_format import (
    DATA_BITS,
    HIGHEST_GIVEN_SCALE,
    HIGHEST_SCALE,
    LOWEST_GIVEN_SCALE,
    LOWEST_SCALE,
    SCALE_BITS,
    STAGE_BITS,
)
from .butterfly_pass import PASS_MEMBERS, ButterflyPass, shape_of
from .butterfly_plan import (
    EXPONENT_BITS,
    HEADROOM_BITS,
    TURN_BITS,
    WORKERS,
    most_factors,
    plan_layout,
    turn_layout,
)
from .butterfly_unit import MULTIPLIERS
from .config import AcceleratorConfig
from .isa import Axis, ButterflyMode
from .ports import ReadPortSignature, WritePortSignature, address_width
from .queue import Queue

_QUEUED = 6
"""Turns that wait for each worker."""

_LATE = ("feeder", "collector", "writer")
"""Workers that need scales."""

_OPEN = 2
"""Instructions that are executed at most: one gives turns to the workers, one has given them."""

_GROWTH_BITS = 4


def limit(value: Value, low: int, high: int) -> Value:
    """Return a signed value, limited."""
    return Mux(value > high, high, Mux(value < low, low, value))


class ButterflyTurns(wiring.Component):
    """Gives each pass over each turn to the workers, when the pass before has left that turn.

    Reader and coefficients are told at once; the others when the scales of the stages are known,
    which follow from headroom and growths (`butterfly_format.clamped_scales`). The next instruction
    follows while the workers still have turns of the last one.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    plan : stream of `plan_layout`, in
    checking : in; an instruction is held whose plan will come.
    reader, coefficients, feeder, collector, writer : streams of `turn_layout`, out
    written : in; the writer is done with a turn.
    headroom_valid, headroom : in, from the collector
    read, write : ports, for exponents
    multiplies : out; multiplications of the turn that is done in this cycle.
    done : out; an instruction is done.
    busy : out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "plan": In(stream.Signature(plan_layout(config))),
                "checking": In(1),
                **{name: Out(stream.Signature(turn_layout(config, name))) for name in WORKERS},
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
        m.submodules.finish = finish = ButterflyFinish(config)
        wiring.connect(m, wiring.flipped(self.read), exponents.read)
        wiring.connect(m, wiring.flipped(self.write), finish.write)
        plan = Signal(plan_layout(config))
        fields = plan.fields
        turn = Signal(turn_layout(config))
        number, first = Signal(TURN_BITS), Signal(4)
        settled = Signal(range(derive.latency + 1))
        is_settled = settled == derive.latency
        growths = Signal(len(fields.growths))
        places, emit, open_now = Signal(), Signal(), Signal(range(_OPEN + 1))
        idle, exponent = Signal(init=1), Signal(signed(EXPONENT_BITS))
        shift = Signal(signed(EXPONENT_BITS + 1))
        coefficient_words = Signal.like(turn.coefficients)
        last_turn = number == plan.last_turn
        last_lane = Mux(last_turn, plan.tail, config.butterfly.lanes - 1)
        room = self._queues(m, turn, last_lane, places, emit, fields.mode == ButterflyMode.REAL)
        factors = most_factors(config)
        scales = self._scales(m, derive, exponents, growths, fields.mode == ButterflyMode.REAL)
        ends = last_turn & derive.is_last
        given = derive.is_last & ~fields.y_blocks
        # All turns before the one of the same number are done, or all of the instruction before.
        due = finish.in_flight <= plan.last_turn
        begins = ~plan.depends | (number != 0) | ~finish.busy
        allowed = Mux(first == 0, begins, due)
        m.d.comb += [
            exponents.plan.eq(plan),
            exponents.is_first.eq(first == 0),
            exponents.turn.eq(number),
            exponents.set_headroom.eq(finish.keeps),
            exponents.other.eq(finish.turn),
            exponents.new_headroom.eq(finish.turn_headroom),
            # While idle, what the next instruction needs settles during its check.
            derive.shape.eq(Mux(idle, shape_of(self.plan.payload), shape_of(plan))),
            derive.first.eq(first),
            finish.written.eq(self.written),
            finish.headroom_valid.eq(self.headroom_valid),
            finish.headroom.eq(self.headroom),
            self.multiplies.eq(finish.multiplies),
            self.done.eq(finish.done),
            self.busy.eq(~idle | finish.busy),
        ]
        line_bits = (config.lanes - 1).bit_length()
        m.d.sync += [
            open_now.eq(open_now + (emit & ends) - finish.done),
            coefficient_words.eq(((turn.lines + 1) * turn.factors) << line_bits),
        ]
        with m.If(~is_settled):
            m.d.sync += settled.eq(settled + 1)
        # Nothing but a turn that is given takes room, and the next one is given cycles later.
        ready = Signal()
        m.d.sync += ready.eq(finish.ready & Cat(room[name] for name in _LATE).all())

        accepts, transfer = Signal(), self.plan.valid & self.plan.ready
        m.d.comb += self.plan.ready.eq(accepts)
        if config.butterfly.pipelined:
            m.d.sync += accepts.eq(idle & (open_now != _OPEN) & ~transfer)
        else:
            m.d.comb += accepts.eq(idle & (open_now != _OPEN))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [plan.eq(self.plan.payload), number.eq(0)]
                m.d.sync += growths.eq(self.plan.payload.fields.growths)
                with m.If(~self.checking):
                    m.d.sync += settled.eq(0)
                with m.If(transfer):
                    m.d.sync += idle.eq(0)
                    m.next = "SETTLE"
            with m.State("SETTLE"), m.If(is_settled):
                self._begin(m, plan, derive, turn, first)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += exponents.fetch.eq(allowed)
                with m.If(allowed & room["reader"] & room["coefficients"]):
                    m.d.comb += places.eq(1)
                    m.next = "READ" if config.butterfly.pipelined else "SCALE_0"
            if config.butterfly.pipelined:
                with m.State("READ"):
                    m.d.comb += exponents.fetch.eq(1)
                    m.next = "SCALE_0"
            for factor in range(factors):
                with m.State(f"SCALE_{factor}"):
                    m.d.comb += exponents.fetch.eq(factor == 0)
                    m.d.sync += turn.scales[factor].eq(scales[factor])
                    following = f"SCALE_{factor + 1}" if factor + 1 < factors else "SUM"
                    with m.If(exponents.ready):
                        m.next = following
            with m.State("SUM"):
                total = exponents.exponent + sum(turn.scales[i] for i in range(factors))
                m.d.comb += [exponents.set_exponent.eq(1), exponents.new_exponent.eq(total)]
                m.d.sync += [exponent.eq(total), shift.eq(fields.y_exponent - total)]
                m.next = "GIVEN"
            with m.State("GIVEN"):
                # The last factor brings results to the exponent that they have been given.
                for factor in range(factors):
                    scale = turn.scales[factor]
                    low, high = LOWEST_GIVEN_SCALE, HIGHEST_GIVEN_SCALE
                    with m.If(given & (derive.factors == factor + 1)):
                        m.d.sync += scale.eq(limit(scale + shift, low, high))
                m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += emit.eq(ready)
                with m.If(ready):
                    m.d.sync += number.eq(Mux(last_turn, 0, number + 1))
                    self._advance(m, turn)
                    m.next = "WAIT"
                with m.If(ready & last_turn):
                    m.d.sync += [first.eq(Mux(ends, 0, first + derive.factors)), settled.eq(0)]
                    m.d.sync += growths.eq(growths >> (_GROWTH_BITS * derive.factors))
                    m.d.sync += turn.coefficients.eq(turn.coefficients + coefficient_words)
                    m.next = "SETTLE"
                with m.If(ready & ends):
                    m.d.sync += idle.eq(1)
                    m.next = "IDLE"
        m.d.comb += [finish.emit.eq(emit), finish.entry.exponent.eq(exponent)]
        m.d.comb += [finish.entry.turn.eq(number), finish.entry.ends.eq(ends)]
        self._entry(m, finish, plan, turn, number, last_lane, derive)
        return m

    def _entry(self, m: Module, finish, plan, turn, number, last_lane, derive) -> None:
        """Say what is to be done when a turn is written."""
        fields = plan.fields
        lanes, product = Signal(8), Signal(24)
        multiplies = Signal.like(finish.entry.multiplies)
        # A step a cycle: a turn is given more than three cycles after its number is known.
        m.d.sync += [
            lanes.eq(last_lane + 1),
            product.eq(plan.words * lanes),
            # A word has two pairs.
            multiplies.eq((product * turn.factors) << (1 + (MULTIPLIERS - 1).bit_length())),
        ]
        m.d.comb += [
            finish.entry.multiplies.eq(multiplies),
            finish.entry.keeps.eq(~derive.is_last),
            finish.entry.stores.eq(derive.is_last & fields.y_blocks),
            finish.entry.address.eq(fields.y_exponent_address + number),
        ]

    def _queues(self, m: Module, turn, last_lane, places, emit, is_real) -> dict[str, Value]:
        """Give a turn to the workers; return for each whether it can take one.

        Coefficients are fetched for real factors only.
        """
        room = {}
        special = {
            ("reader", "last_lane"): last_lane,
            ("feeder", "planes"): turn.source.planes,
            ("collector", "planes"): turn.target.planes,
            ("writer", "last_lane"): last_lane,
        }
        for name in WORKERS:
            port = getattr(self, name)
            layout = port.payload.shape()
            queue = Queue(width=layout.size, depth=_QUEUED, latency=2)
            m.submodules[f"queue_{name}"] = queue
            given = data.View(layout, queue.w_data)
            for member in layout.members:
                value = special.get((name, member), turn[member])
                m.d.comb += Value.cast(given[member]).eq(Value.cast(value))
            wanted = is_real if name == "coefficients" else 1
            m.d.comb += [
                queue.w_en.eq((emit if name in _LATE else places) & wanted),
                port.payload.eq(queue.r_data),
                port.valid.eq(queue.r_rdy),
                queue.r_en.eq(port.ready),
            ]
            if self.config.butterfly.stages == 1:
                # No set is folded, and each pass has one factor.
                constants = {"wide": 0, "factors": 1}
                m.d.comb += [
                    port.payload[member].eq(value)
                    for member, value in constants.items()
                    if member in layout.members
                ]
            room[name] = queue.w_rdy
        return room

    def _begin(self, m: Module, plan, derive: ButterflyPass, turn, first: Signal) -> None:
        """Set what the turns of a pass have in common, and the places of the first one."""
        fields = plan.fields
        tokens = fields.axis == Axis.TOKENS
        real = fields.mode == ButterflyMode.REAL
        is_first, is_last = first == 0, derive.is_last
        m.d.sync += [
            Value.cast(turn[name]).eq(Value.cast(derive.turn[name])) for name in PASS_MEMBERS
        ]
        m.d.sync += [
            turn.adds.eq(is_last & fields.accumulate),
            turn.tokens.eq(tokens),
            turn.log_points.eq(fields.log_points),
            turn.inverse.eq(fields.mode == ButterflyMode.INVERSE_FOURIER),
        ]
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
            scale = Signal(signed(SCALE_BITS), name=f"scale_{factor}")
            m.d.comb += scale.eq(Mux(in_use, limit(wanted, LOWEST_SCALE, HIGHEST_SCALE), 0))
            register = Signal(signed(SCALE_BITS), name=f"scale_register_{factor}")
            m.d.sync += register.eq(scale)
            before = before + register
            results.append(scale)
        return results
