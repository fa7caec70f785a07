"""Butterfly stages in a chain, on lanes that share every coefficient."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .butterfly_commutator import ButterflyCommutator
from .butterfly_format import DATA_BITS, STAGE_BITS
from .butterfly_unit import PAIR_VALUES, ButterflyUnit, control_layout, pair_layout
from .config import ButterflyConfig
from .rounding import saturate

POINT_VALUES = PAIR_VALUES // 2
"""Real numbers in a point."""


def pairs_layout(lanes: int) -> data.ArrayLayout:
    """One pair a lane, as it is in the scratchpad."""
    return data.ArrayLayout(pair_layout(DATA_BITS), lanes)


def beat_layout(config: ButterflyConfig) -> data.StructLayout:
    """A pair a lane, and what the stages do with their pair of the same number."""
    return data.StructLayout(
        {
            "pairs": pairs_layout(config.lanes),
            "controls": data.ArrayLayout(control_layout, config.stages),
        }
    )


class ButterflyChain(wiring.Component):
    """S stages on sets of 2^S points: two points a lane enter and two leave each cycle.

    A set is 2^(S - 1) beats. Name the bits of a point's number in its set q0 ... q(S-1): the
    point enters in value q0 of beat q1 q2 ... q(S-1) (highest bit first), stage j combines the
    points that differ in qj, and the point leaves in value q(S-1) of beat q0 q1 ... q(S-2). The
    i-th control of stage j is for the i-th pair that reaches it: value qj, beat q0 ... without
    qj ... q(S-1). Which bits of an index these are is a matter of addresses alone, and
    so are strides and their order. Stages that a pass does not need are told to PASS.

    A beat is taken when there is room for its result: nothing stalls inside, and beats may come
    with gaps. The delay commutators are those of a multi-path FFT pipeline, without its demand
    for gapless input.

    Parameters
    ----------
    config : ButterflyConfig
        Lanes and stages.

    Members
    -------
    input : stream of `beat_layout`
    output : stream of `pairs_layout`
        Saturated to `DATA_BITS`. The first result of a set comes `latency` cycles after its
        first beat.
    saturated : out
        For one cycle: a number was limited, in some stage or at the end. Comes before the
        result can be taken.
    """

    def __init__(self, config: ButterflyConfig) -> None:
        self._config = config
        super().__init__(
            {
                "input": In(stream.Signature(beat_layout(config))),
                "output": Out(stream.Signature(pairs_layout(config.lanes))),
                "saturated": Out(1),
            }
        )

    @property
    def config(self) -> ButterflyConfig:
        """Lanes and stages."""
        return self._config

    @property
    def latency(self) -> int:
        """Cycles from the first beat of a set to its first result."""
        stages = self.config.stages
        held = sum(1 + (1 << stage) for stage in range(stages - 1))
        return stages * ButterflyUnit.LATENCY + held + 3

    @property
    def capacity(self) -> int:
        """Beats that may be inside, as many as never make a gap."""
        return self.latency + 2

    def elaborate(self, platform: object) -> Module:
        """Return the stages, the commutators between them and the queue of results."""
        m = Module()
        taken = self._admit(m)
        # A scratchpad number is the same number with more sign bits.
        numbers = [number for pair in self.input.payload.pairs for number in pair]
        valid, flags = taken, []
        for stage in range(self.config.stages):
            if stage:
                valid, numbers = self._commute(m, stage, valid, numbers)
            control = self._control(m, stage, taken, valid)
            valid, numbers, flag = self._stage(m, stage, control, valid, numbers)
            flags.append(flag)
        self._deliver(m, valid, numbers, flags)
        return m

    def _admit(self, m: Module) -> Value:
        """Count the beats inside; return whether one is taken."""
        room = Signal(range(self.capacity + 1), init=self.capacity)
        taken, left = Signal(), Signal()
        m.d.comb += [
            self.input.ready.eq(room != 0),
            taken.eq(self.input.valid & self.input.ready),
            left.eq(self.output.valid & self.output.ready),
        ]
        m.d.sync += room.eq(room + left - taken)
        return taken

    def _control(self, m: Module, stage: int, taken: Value, valid: Value) -> Value:
        """Return the control for the pair at `stage`: kept there, once for all lanes."""
        control = self.input.payload.controls[stage]
        if not stage:
            return control
        queue = SyncFIFO(width=control_layout.size, depth=self.capacity)
        m.submodules[f"controls_{stage}"] = queue
        m.d.comb += [
            queue.w_data.eq(control.as_value()),
            queue.w_en.eq(taken),
            queue.r_en.eq(valid),
        ]
        return control_layout(queue.r_data)

    def _stage(self, m: Module, stage: int, control, valid: Value, numbers: list[Value]):
        """Return valid, the numbers and the flag behind the units of `stage`."""
        results, flags = [], []
        for lane in range(self.config.lanes):
            unit = ButterflyUnit()
            m.submodules[f"stage_{stage}_lane_{lane}"] = unit
            pair = numbers[PAIR_VALUES * lane : PAIR_VALUES * (lane + 1)]
            m.d.comb += unit.control.eq(control)
            m.d.comb += [unit.pair[index].eq(number) for index, number in enumerate(pair)]
            results += list(unit.result)
            flags.append(unit.saturated)
        passing = Signal(ButterflyUnit.LATENCY, name=f"passing_{stage}")
        m.d.sync += passing.eq(Cat(valid, passing))
        return passing[-1], results, passing[-1] & Cat(flags).any()

    def _commute(self, m: Module, stage: int, valid: Value, numbers: list[Value]):
        """Return valid and the numbers behind the commutator in front of `stage`."""
        width = self.config.lanes * POINT_VALUES * STAGE_BITS
        delay = 1 << (self.config.stages - 1 - stage)
        commutator = ButterflyCommutator(width, delay)
        m.submodules[f"commutator_{stage}"] = commutator
        starts = range(0, len(numbers), PAIR_VALUES)
        firsts = [numbers[start : start + POINT_VALUES] for start in starts]
        seconds = [numbers[start + POINT_VALUES : start + PAIR_VALUES] for start in starts]
        m.d.comb += [
            commutator.valid.eq(valid),
            commutator.first.eq(Cat(firsts)),
            commutator.second.eq(Cat(seconds)),
        ]
        result = []
        for lane in range(self.config.lanes):
            for point in (commutator.output_first, commutator.output_second):
                parts = range(POINT_VALUES * lane, POINT_VALUES * (lane + 1))
                result += [point.word_select(part, STAGE_BITS).as_signed() for part in parts]
        return commutator.output_valid, result

    def _deliver(self, m: Module, valid: Value, numbers: list[Value], flags: list[Value]) -> None:
        """Limit numbers to `DATA_BITS` and queue them."""
        layout = pairs_layout(self.config.lanes)
        queue = SyncFIFOBuffered(width=layout.size, depth=self.capacity)
        m.submodules.results = queue
        narrow = [saturate(number, DATA_BITS) for number in numbers]
        changed = [number != less for number, less in zip(numbers, narrow, strict=True)]
        results = Signal(layout.size, reset_less=True)
        results_valid = Signal()
        m.d.sync += [
            results.eq(Cat(number[:DATA_BITS] for number in narrow)),
            results_valid.eq(valid),
            self.saturated.eq(Cat(flags).any() | (valid & Cat(changed).any())),
        ]
        m.d.comb += [
            queue.w_data.eq(results),
            queue.w_en.eq(results_valid),
            self.output.payload.eq(queue.r_data),
            self.output.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.output.ready),
        ]
