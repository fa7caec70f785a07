"""The butterfly unit: butterfly products and Fourier transforms."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from .butterfly_chain import ButterflyChain
from .butterfly_check import ButterflyCheck
from .butterfly_coefficients import ButterflyCoefficients
from .butterfly_collector import ButterflyCollector
from .butterfly_feeder import ButterflyFeeder
from .butterfly_reader import ButterflyReader
from .butterfly_scatter import ButterflyScatter
from .butterfly_turns import ButterflyTurns
from .butterfly_writer import ButterflyWriter
from .config import AcceleratorConfig, ConfigError
from .ports import ReadPortSignature, UnitSignature, WritePortSignature, read_request_layout
from .response_tags import ResponseTags
from .stream_register import stream_stage

butterfly_events_layout = data.StructLayout({"multiplies": 32, "beat": 1, "saturated": 1})
"""`multiplies`: multiplications of matrix elements that were finished. `beat`: a pair a lane has
entered the chain. `saturated`: a number was limited between or behind the stages."""


class Butterfly(wiring.Component):
    """Executes BUTTERFLY, bit for bit as `verif.golden.butterfly_instruction` defines it.

    Lanes lie on vectors and share every coefficient. A turn is as many vectors as there are
    lanes (four columns a lane on the axis TOKENS); a pass applies as many factors as stages are
    chained to all elements of a turn. Turns go through the chain one after the other, and then
    the next pass begins, so that the headroom of a turn is known in time. A pair a lane enters
    in each cycle, if no access is refused.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    control : `UnitSignature`
        Faults: as in `hw.butterfly_check.ButterflyCheck`
    data, coefficients, addends : `ReadPortSignature`
        X and what the passes have left; coefficients; Y before something is added, and exponents.
    write : `WritePortSignature`
    events : `butterfly_events_layout`, out

    Raises
    ------
    ConfigError
        If there are more lanes than the scratchpad has banks.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if config.butterfly.lanes > config.lanes:
            raise ConfigError(
                f"butterfly.lanes must be at most scratchpad.banks = {config.lanes}, "
                f"not {config.butterfly.lanes}"
            )
        self._config = config
        super().__init__(
            {
                "control": Out(UnitSignature()),
                "data": Out(ReadPortSignature(config)),
                "coefficients": Out(ReadPortSignature(config)),
                "addends": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
                "events": Out(butterfly_events_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object):
        """Return the parts and what connects them."""
        m = Module()
        config, control = self.config, self.control
        m.submodules.check = check = ButterflyCheck(config)
        m.submodules.turns = turns = ButterflyTurns(config)
        m.submodules.reader = reader = ButterflyReader(config)
        m.submodules.coefficients = coefficients = ButterflyCoefficients(config)
        m.submodules.feeder = feeder = ButterflyFeeder(config)
        m.submodules.chain = chain = ButterflyChain(config.butterfly)
        m.submodules.collector = collector = ButterflyCollector(config)
        m.submodules.scatter = scatter = ButterflyScatter(config.butterfly)
        m.submodules.writer = writer = ButterflyWriter(config)

        wiring.connect(m, wiring.flipped(control).instruction, check.instruction)
        for name, worker in (
            ("reader", reader),
            ("coefficients", coefficients),
            ("feeder", feeder),
            ("collector", collector),
            ("writer", writer),
        ):
            wiring.connect(m, getattr(turns, name), worker.turn)
        wiring.connect(m, wiring.flipped(self.data), reader.read)
        wiring.connect(m, wiring.flipped(self.coefficients), coefficients.read)
        wiring.connect(m, feeder.output, chain.input)
        wiring.connect(m, chain.output, collector.input)
        self._control(m, check, turns)
        self._share_ports(m, turns, writer)

        m.d.comb += [
            feeder.write.eq(reader.write),
            feeder.imaginary.eq(reader.imaginary),
            feeder.slot.eq(reader.slot),
            feeder.words.eq(reader.words),
            feeder.arrived.eq(reader.arrived),
            reader.freed.eq(feeder.freed),
            feeder.coefficients.eq(coefficients.words),
            feeder.coefficients_valid.eq(coefficients.valid),
            coefficients.take.eq(feeder.take),
            coefficients.end.eq(feeder.end),
            coefficients.factors.eq(feeder.factors),
            scatter.write.eq(collector.write),
            scatter.first.eq(collector.first),
            scatter.second.eq(collector.second),
            scatter.points.eq(collector.points),
            scatter.advance.eq(writer.advance),
            scatter.slot.eq(writer.slot),
            scatter.seconds.eq(writer.seconds),
            scatter.imaginary.eq(writer.imaginary),
            writer.words.eq(scatter.words),
            writer.completed.eq(collector.completed),
            writer.hold.eq(check.hold),
            collector.freed.eq(writer.freed),
            turns.written.eq(writer.done),
            turns.headroom_valid.eq(collector.headroom_valid),
            turns.headroom.eq(collector.headroom),
            self.events.multiplies.eq(turns.multiplies),
            self.events.beat.eq(chain.input.valid & chain.input.ready),
            self.events.saturated.eq(chain.saturated),
        ]
        return ResetInserter(control.halt)(m)

    def _control(self, m: Module, check: ButterflyCheck, turns: ButterflyTurns) -> None:
        """Take the next instruction while one is executed; report its fault afterwards."""
        control = self.control
        wiring.connect(m, check.plan, turns.plan)
        m.d.comb += [
            check.idle.eq(~turns.busy),
            turns.checking.eq(check.busy),
            control.done.eq(turns.done),
            control.busy.eq(check.busy | turns.busy),
            control.fault.eq(check.fault),
            control.fault.valid.eq(check.fault.valid & (~turns.busy | check.hold)),
        ]

    def _share_ports(self, m: Module, turns: ButterflyTurns, writer: ButterflyWriter) -> None:
        """Connect the ports of exponents, which go first, and of addends and words."""
        layout = data.StructLayout({"line": read_request_layout(self.config), "is_exponent": 1})
        read, asked = stream_stage(m, "read", layout, self.config.scratchpad.pipelined)
        m.submodules.tags = tags = ResponseTags(1)
        is_exponent = self._choose(m, turns.read.request, writer.addends.request, read)
        is_exponent_written = self._choose(
            m, turns.write.request, writer.write.request, self.write.request
        )
        m.d.comb += [
            read.payload.is_exponent.eq(is_exponent),
            read.payload.line.eq(
                Mux(is_exponent, turns.read.request.payload, writer.addends.request.payload)
            ),
            self.write.request.payload.eq(
                Mux(
                    is_exponent_written,
                    turns.write.request.payload,
                    writer.write.request.payload,
                )
            ),
            self.addends.request.valid.eq(asked.valid),
            self.addends.request.payload.eq(asked.payload.line),
            asked.ready.eq(self.addends.request.ready),
            tags.accepted.eq(asked.valid & asked.ready),
            tags.request.eq(asked.payload.is_exponent),
        ]
        for is_exponent, part in ((0, writer.addends), (1, turns.read)):
            m.d.comb += [
                part.response.valid.eq(tags.valid & (tags.response == is_exponent)),
                part.response.payload.eq(self.addends.response.payload),
            ]

    def _choose(self, m: Module, first, second, both) -> Signal:
        """Let `first` go before `second`, but not before what was asked for; return it goes."""
        waits, chosen = Signal(), Signal()
        m.d.comb += [
            chosen.eq(first.valid & ~waits),
            both.valid.eq(first.valid | second.valid),
            first.ready.eq(both.ready & chosen),
            second.ready.eq(both.ready & ~chosen),
        ]
        m.d.sync += waits.eq(second.valid & ~chosen & ~both.ready)
        return chosen
