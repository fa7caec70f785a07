"""The vector unit: QUANTISE, SOFTMAX, NORMALISE and MULTIPLY on blocks of rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from .activation_compressor import ActivationCompressor
from .beat_issue import BeatIssue
from .config import AcceleratorConfig
from .line_assembler import LineAssembler
from .line_reader import LineReader, Source
from .ports import ReadPortSignature, UnitSignature, WritePortSignature
from .row_fetch import RowFetch
from .row_scalars import RowScalars
from .vector_datapath import VectorDatapath
from .vector_decode import VectorDecode
from .vector_plan import Operation, is_wide, plan_layout
from .vector_writer import OUTPUT_LINES, VectorWriter

vector_events_layout = data.StructLayout({"active": 1, "beat": 1})
"""`active`: an instruction is being executed; `beat`: one cycle late, V elements were issued."""


class Vector(wiring.Component):
    """Executes the instructions of `isa.Unit.VECTOR`, bit for bit as `verif.golden` defines them.

    Each row goes twice through V lanes, one beat of V elements a cycle: pass one finds maximum or
    sums, pass two writes. Pass one runs `vector_plan.ROWS_AHEAD` rows ahead, so that what is
    computed once a row (`RowScalars`) is hidden. A block of r rows of c columns takes
    ``2 · r · ceil(c / V)`` cycles and about 60 more; one row alone takes 100 (NORMALISE 160). Of
    these, 31 for decoding overlap with the instruction before. Rows of QUANTISE and SOFTMAX take
    at least 11 cycles, those of NORMALISE 33. MULTIPLY has pass two only, half the cycles, and at
    least 3 a row.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the lanes and the size of the scratchpad; V is `vector_lanes`.

    Members
    -------
    control : `UnitSignature`
        Faults: ILLEGAL_OPERAND (address 0) for no rows or columns, an unknown activation, a
        fraction out of its range, more than 8192 columns in NORMALISE, a causal row of no
        elements, a complex product with an activation or half a pair, and N:M that cannot be kept
        (`KeptShape`, or two planes of SOFTMAX); SCRATCHPAD_RANGE with the last word of X, Y, the
        second plane, the scales, the parameters or W, the first of them that lies outside.
    read : `ReadPortSignature`
    write : `WritePortSignature`
    events : `vector_events_layout`, out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "control": Out(UnitSignature()),
                "read": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
                "events": Out(vector_events_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the parts and what connects them."""
        m = Module()
        config, control = self.config, self.control
        m.submodules.decode = decode = VectorDecode(config)
        m.submodules.fetch = fetch = RowFetch(config)
        m.submodules.reader = reader = LineReader(config)
        m.submodules.issue = issue = BeatIssue(config, OUTPUT_LINES)
        m.submodules.datapath = datapath = VectorDatapath(config)
        m.submodules.scalars = scalars = RowScalars(config)
        m.submodules.assembler = assembler = LineAssembler(config)
        m.submodules.writer = writer = VectorWriter(config)
        parts = (decode, fetch, reader, issue, datapath, scalars, assembler, writer)
        m.d.comb += [part.clear.eq(control.halt) for part in parts]

        plan = Signal(plan_layout(config))
        start = self._run(m, decode, reader, writer, plan)
        for part in (fetch, issue, datapath, writer):
            m.d.comb += [part.start.eq(start), part.plan.eq(plan)]
        m.d.comb += scalars.plan.eq(plan)

        wiring.connect(m, wiring.flipped(self.read), reader.read)
        wiring.connect(m, wiring.flipped(self.write), writer.write)
        wiring.connect(m, fetch.request, reader.request)
        wiring.connect(m, reader.lines[Source.X.value], issue.lines)
        wiring.connect(m, reader.lines[Source.GAIN.value], datapath.gain)
        wiring.connect(m, reader.lines[Source.BIAS.value], datapath.bias)
        m.d.comb += [
            fetch.row_written.eq(writer.row_written),
            fetch.scale_written.eq(writer.scale_written),
            issue.parameters.eq(
                Mux(
                    plan.operation == Operation.MULTIPLY,
                    reader.arrived[Source.GAIN.value],
                    reader.arrived[Source.BIAS.value],
                )
            ),
            issue.line_written.eq(writer.line_written),
            datapath.tag.eq(issue.tag),
            datapath.pair.eq(issue.pair),
            datapath.keep.eq(issue.keep),
            assembler.wide.eq(is_wide(plan)),
            assembler.tail.eq(plan.tail),
            assembler.input.eq(datapath.output),
            writer.lines_valid.eq(assembler.valid),
            writer.lines.eq(assembler.output),
            writer.scale_valid.eq(scalars.scale_valid),
            writer.scale.eq(scalars.scale),
        ]
        m.d.sync += self.events.beat.eq(issue.tag.valid)
        if config.largest_kept_group:
            self._compress(m, plan, start, (fetch, issue, datapath, assembler, writer))
        self._scalars(m, plan, issue, datapath, scalars)
        return m

    def _run(self, m: Module, decode, reader, writer, plan) -> Signal:
        """Take a plan, start, wait; return the signal that starts."""
        control = self.control
        running, start = Signal(), Signal()
        idle = Signal()
        m.d.comb += [
            idle.eq(~running & ~start & reader.quiet),
            decode.plan.ready.eq(idle),
            self.events.active.eq(running | start),
            control.done.eq(writer.done),
            control.busy.eq(running | start | decode.busy | ~reader.quiet),
        ]
        wiring.connect(m, wiring.flipped(control).instruction, decode.instruction)
        m.d.comb += control.fault.eq(decode.fault)
        m.d.comb += control.fault.valid.eq(decode.fault.valid & ~running & ~start)
        m.d.sync += start.eq(decode.plan.valid & idle & ~control.halt)
        with m.If(idle):
            m.d.sync += plan.eq(decode.plan.payload)
        with m.If(start):
            m.d.sync += running.eq(1)
        with m.Elif(writer.done):
            m.d.sync += running.eq(0)
        with m.If(control.halt):
            m.d.sync += [running.eq(0), start.eq(0)]
        return start

    def _compress(self, m: Module, plan, start: Signal, parts: tuple) -> None:
        """Send the results of an instruction that keeps some to the compressor instead."""
        fetch, issue, datapath, assembler, writer = parts
        m.submodules.compressor = compressor = ActivationCompressor(self.config)
        tag, keeps = datapath.output.tag, Signal()
        m.d.sync += keeps.eq(plan.keep != 0)
        m.d.comb += [
            compressor.clear.eq(self.control.halt),
            compressor.start.eq(start & (plan.keep != 0)),
            compressor.rows.eq(plan.rows),
            compressor.address.eq(plan.y_address),
            compressor.keep.eq(plan.keep),
            compressor.log_group.eq(plan.log_group),
            compressor.shape.eq(plan.kept),
            compressor.valid.eq(tag.valid & keeps),
            compressor.first.eq(tag.first),
            compressor.last.eq(tag.last),
            assembler.input.tag.valid.eq(tag.valid & ~keeps),
            fetch.row_written.eq(writer.row_written | compressor.row_taken),
            issue.tile_written.eq(compressor.tile_written),
            writer.tiles_busy.eq(compressor.busy),
        ]
        lanes = zip(compressor.elements, datapath.output.elements, strict=True)
        m.d.comb += [element.eq(result[:8].as_signed()) for element, result in lanes]
        wiring.connect(m, compressor.write.request, writer.tile_lines)

    def _scalars(self, m: Module, plan, issue, datapath, scalars) -> None:
        """Connect what is found of a row with what pass two needs."""
        softmax, quantise = Signal(), Signal()
        m.d.sync += [
            softmax.eq(plan.operation == Operation.SOFTMAX),
            quantise.eq(plan.operation == Operation.QUANTISE),
        ]
        m.d.comb += [
            scalars.sums_valid.eq(datapath.sum_valid | (datapath.peak_valid & ~softmax)),
            scalars.sums.sum.eq(datapath.sum),
            scalars.sums.value.eq(
                Mux(quantise, datapath.largest, Mux(softmax, datapath.sum, datapath.squares))
            ),
            datapath.scalars.eq(scalars.scalars),
            datapath.scalars_valid.eq(Mux(softmax, datapath.peak_valid, scalars.scalars_valid)),
            issue.scalars.eq(datapath.scalars_valid),
        ]
        m.d.comb += datapath.scalars.maximum.eq(datapath.peak)
