"""Writes the lines and scale words of the vector unit to the scratchpad."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .isa import ScaleWord
from .line_assembler import planes_layout
from .ports import WritePortSignature, write_request_layout
from .vector_plan import ROW_SLOTS, Operation, is_wide, plan_layout

OUTPUT_LINES = 8
"""Lines, of either plane, that wait to be written."""


class VectorWriter(wiring.Component):
    """Queues lines and scale words and writes them, scale words first, then lines of tiles.

    Throughput one line or scale word a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state; what is queued is lost.
    start : in
        Begin with `plan`, which must be stable until the block is finished.
    lines_valid, lines : in, `planes_layout`
        The caller sees to it that no more than `OUTPUT_LINES` are queued.
    scale_valid, scale : in
        The scale word of the next row; at most `ROW_SLOTS` are queued.
    tile_lines : stream of `write_request_layout`, in
        Lines of kept activations, with their place.
    tiles_busy : in
        Some of these are still to come.
    write : `WritePortSignature`
    line_written, row_written, scale_written : out
        A line with all its planes, a row, a scale word was accepted.
    done : out
        All of the block was accepted; for one cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "plan": In(plan_layout(config)),
                "lines_valid": In(1),
                "lines": In(planes_layout(config)),
                "scale_valid": In(1),
                "scale": In(ScaleWord),
                "tile_lines": In(stream.Signature(write_request_layout(config))),
                "tiles_busy": In(1),
                "write": Out(WritePortSignature(config)),
                "line_written": Out(1),
                "row_written": Out(1),
                "scale_written": Out(1),
                "done": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return the queues and the counters of addresses."""
        m = Module()
        plan, request = self.plan, self.write.request
        layout = planes_layout(self.config)
        m.submodules.line_queue = lines = SyncFIFO(width=layout.size, depth=OUTPUT_LINES)
        m.submodules.scale_queue = scales = SyncFIFO(
            width=len(self.scale.as_value()), depth=ROW_SLOTS
        )
        entry = Signal(layout)
        width = len(plan.y_address)
        row, line, scale = (
            Signal(width, name=f"{name}_address") for name in ("row", "line", "scale")
        )
        plane, plane_two = Signal(), Signal(width)
        two_planes = (plan.operation == Operation.SOFTMAX) & plan.two_planes
        write_scale, accepted, own = Signal(), Signal(), Signal()
        m.d.comb += [
            lines.w_data.eq(self.lines),
            lines.w_en.eq(self.lines_valid),
            scales.w_data.eq(self.scale),
            scales.w_en.eq(self.scale_valid),
            entry.eq(lines.r_data),
            write_scale.eq(scales.r_rdy & ~plane),
            own.eq(scales.r_rdy | lines.r_rdy),
            request.valid.eq(own | self.tile_lines.valid),
            request.p.pitch.eq(1),
            request.p.address.eq(Mux(write_scale, scale, Mux(plane, plane_two, line))),
            request.p.mask.eq(Mux(write_scale, 1, entry.mask)),
            self.tile_lines.ready.eq(request.ready & ~own),
            accepted.eq(own & request.ready),
            self.scale_written.eq(accepted & write_scale),
            self.line_written.eq(accepted & ~write_scale & (plane | ~two_planes)),
            self.row_written.eq(self.line_written & entry.last),
            scales.r_en.eq(self.scale_written),
            lines.r_en.eq(self.line_written),
        ]
        # A scale word is offered in lane 0 only, the lines are not written beside it.
        words = Mux(plane, entry.lines[1].as_value(), entry.lines[0].as_value())
        m.d.comb += request.p.data.eq(words)
        with m.If(write_scale):
            m.d.comb += request.p.data[0].eq(scales.r_data)
        with m.If(~own):
            m.d.comb += request.payload.eq(self.tile_lines.payload)

        with m.If(self.start):
            m.d.sync += [
                row.eq(plan.y_address + plan.y_pitch),
                line.eq(plan.y_address),
                scale.eq(plan.scale_address),
            ]
        with m.If(accepted & ~write_scale):
            m.d.sync += [plane.eq(two_planes & ~plane), plane_two.eq(line + plan.plane_words)]
        with m.If(self.line_written):
            m.d.sync += line.eq(line + self.config.lanes)
        with m.If(self.row_written):
            m.d.sync += [line.eq(row), row.eq(row + plan.y_pitch)]
        with m.If(self.scale_written):
            m.d.sync += scale.eq(scale + 1)
        self._count(m)
        return ResetInserter(self.clear)(m)

    def _count(self, m: Module) -> None:
        """Count what is left of the block and say when nothing is."""
        rows, scales, active = Signal(16), Signal(16), Signal()
        with m.If(self.row_written):
            m.d.sync += rows.eq(rows - 1)
        with m.If(self.scale_written):
            m.d.sync += scales.eq(scales - 1)
        m.d.comb += self.done.eq(active & (rows == 0) & (scales == 0) & ~self.tiles_busy)
        with m.If(self.done):
            m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                rows.eq(Mux(self.plan.keep != 0, 0, self.plan.rows)),
                scales.eq(Mux(is_wide(self.plan), 0, self.plan.rows)),
                active.eq(1),
            ]
