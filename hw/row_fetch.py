"""Which lines the vector unit reads, and in which order."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .line_reader import Source, fetch_layout
from .pass_schedule import PassSchedule
from .tally import tally
from .vector_plan import ROW_SLOTS, Operation, is_wide, plan_layout


class RowFetch(wiring.Component):
    """Asks for the lines of each pass over each row, in the order of `PassSchedule`.

    In pass two of NORMALISE every line of X is followed by one of gain and one of bias, in
    MULTIPLY, which has no pass one, by one of W. A row costs one cycle more than its lines.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    start : in
        Begin with `plan`, which must be stable until the block is finished.
    row_written, scale_written : in
        A row, or its scale word, has left for the scratchpad: its slot is free.
    request : stream of `fetch_layout`, out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "plan": In(plan_layout(config)),
                "row_written": In(1),
                "scale_written": In(1),
                "request": Out(stream.Signature(fetch_layout(config))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return the address counters."""
        m = Module()
        plan = self.plan
        m.submodules.schedule = schedule = PassSchedule()
        is_normalise = plan.operation == Operation.NORMALISE
        is_multiply = plan.operation == Operation.MULTIPLY
        width = len(plan.x_address)
        passes = [Signal(width, name="pass_one_address"), Signal(width, name="pass_two_address")]
        addresses = [Signal(width, name=f"{source.name.lower()}_address") for source in Source]
        lines = Signal(16)
        source = Signal(Source)
        with_gain, with_bias = Signal(), Signal()
        begin = Signal()
        m.d.comb += [
            schedule.clear.eq(self.clear),
            schedule.start.eq(self.start),
            schedule.rows.eq(plan.rows),
            schedule.single.eq(is_multiply),
            self.request.p.source.eq(source),
        ]
        with m.Switch(source):
            for kind, address in zip(Source, addresses, strict=True):
                with m.Case(kind):
                    m.d.comb += self.request.p.address.eq(address)

        free = self._slots(m, begin & ~schedule.second)
        with m.If(self.start):
            # Without a pass one its address is that of the rows of W.
            m.d.sync += [
                passes[0].eq(Mux(is_multiply, plan.parameter_address, plan.x_address)),
                passes[1].eq(plan.x_address),
            ]
        with m.FSM():
            with m.State("ROW"):
                m.d.comb += [
                    begin.eq(schedule.valid & (schedule.second | free)),
                    schedule.advance.eq(begin),
                ]
                m.d.sync += [
                    lines.eq(plan.lines),
                    source.eq(Source.X),
                    with_gain.eq(is_wide(plan) & schedule.second),
                    with_bias.eq(is_normalise),
                    addresses[Source.X.value].eq(passes[0]),
                    addresses[Source.GAIN.value].eq(
                        Mux(is_multiply, passes[0], plan.parameter_address)
                    ),
                    addresses[Source.BIAS.value].eq(plan.parameter_address + plan.parameter_pitch),
                ]
                with m.If(schedule.second):
                    m.d.sync += addresses[Source.X.value].eq(passes[1])
                with m.If(begin):
                    m.next = "LINE"
                with m.If(begin & schedule.second):
                    m.d.sync += passes[1].eq(passes[1] + plan.x_pitch)
                with m.If(begin & (is_multiply | ~schedule.second)):
                    pitch = Mux(is_multiply, plan.parameter_pitch, plan.x_pitch)
                    m.d.sync += passes[0].eq(passes[0] + pitch)
            with m.State("LINE"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    self._next_line(m, source, (with_gain, with_bias), addresses, lines)
        return ResetInserter(self.clear)(m)

    def _next_line(self, m: Module, source, beside, addresses, lines) -> None:
        with_gain, with_bias = beside
        with m.If(with_gain & (source == Source.X)):
            m.d.sync += source.eq(Source.GAIN)
        with m.Elif(with_bias & (source == Source.GAIN)):
            m.d.sync += source.eq(Source.BIAS)
        with m.Else():
            m.d.sync += [source.eq(Source.X), lines.eq(lines - 1)]
            m.d.sync += [address.eq(address + self.config.lanes) for address in addresses]
            with m.If(lines == 0):
                m.next = "ROW"

    def _slots(self, m: Module, taken: Value) -> Value:
        """Return whether another row may begin pass one; `taken` when one does."""
        is_single = self.plan.operation == Operation.MULTIPLY
        rows = tally(m, "rows_in_flight", ROW_SLOTS, taken, self.row_written & ~is_single)
        scales = tally(
            m,
            "scales_in_flight",
            ROW_SLOTS,
            taken & ~is_wide(self.plan),
            self.scale_written,
        )
        return ~rows.full & ~scales.full
