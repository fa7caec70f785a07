"""Writes the lines and scale words of the vector unit to the scratchpad."""

from amaranth.hdl import Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .isa import ScaleWord
from .line_assembler import planes_layout
from .ports import WritePortSignature, write_request_layout
from .queue import Queue
from .vector_plan import ROW_SLOTS, Operation, is_wide, plan_layout

OUTPUT_LINES = 8
"""Lines, of either plane, that wait to be written."""

_REQUESTS = 4
"""Requests that wait for the scratchpad where the unit is pipelined."""


class VectorWriter(wiring.Component):
    """Queues lines and scale words and writes them, scale words first, then lines of tiles.

    Throughput one line or scale word a cycle. Where the unit is pipelined, requests wait in a
    queue of their own, a cycle at least: what the scratchpad decides ends there, and "accepted"
    below is by that queue.

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
        Lines of kept activations of pitch 1, with their place.
    tiles_busy : in
        Some of these are still to come.
    write : `WritePortSignature`
    line_written, row_written, scale_written : out
        A line with all its planes, a row, a scale word was accepted.
    done : out
        All of the block was accepted by the scratchpad; for one cycle.
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
        plan = self.plan
        request, is_empty = self._request(m)
        layout = planes_layout(self.config)
        m.submodules.line_queue = lines = Queue(width=layout.size, depth=OUTPUT_LINES)
        m.submodules.scale_queue = scales = Queue(len(self.scale.as_value()), ROW_SLOTS)
        entry = Signal(layout)
        width = len(plan.y_address)
        row, line, scale = (
            Signal(width, name=f"{name}_address") for name in ("row", "line", "scale")
        )
        plane, plane_two = Signal(), Signal(width)
        two_planes = Signal()
        write_scale, accepted, own = Signal(), Signal(), Signal()
        # Besides scale words an instruction writes either lines or tiles.
        keeps, tile = Signal(), self.tile_lines.payload
        m.d.sync += [
            keeps.eq(plan.keep != 0),
            two_planes.eq((plan.operation == Operation.SOFTMAX) & plan.two_planes),
        ]
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
            request.p.address.eq(
                Mux(write_scale, scale, Mux(keeps, tile.address, Mux(plane, plane_two, line)))
            ),
            request.p.mask.eq(Mux(write_scale, 1, Mux(keeps, tile.mask, entry.mask))),
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
        m.d.comb += request.p.data.eq(Mux(keeps, tile.data.as_value(), words))
        with m.If(write_scale):
            m.d.comb += request.p.data[0].eq(scales.r_data)

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
        active = Signal()
        rows = self._left(m, "rows", self.plan.keep != 0, self.row_written)
        scales = self._left(m, "scales", is_wide(self.plan), self.scale_written)
        m.d.comb += self.done.eq(active & ~rows & ~scales & ~self.tiles_busy & is_empty)
        with m.If(self.done):
            m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += active.eq(1)
        return ResetInserter(self.clear)(m)

    def _request(self, m: Module) -> tuple[stream.Interface, Value]:
        """Return where requests go, and whether the scratchpad has accepted all of them."""
        if not self.config.vector.pipelined:
            return self.write.request, Const(1)
        request = stream.Signature(write_request_layout(self.config)).create(path=("request",))
        width = len(request.payload.as_value())
        m.submodules.requests = requests = Queue(width, _REQUESTS)
        m.d.comb += [
            requests.w_data.eq(request.payload),
            requests.w_en.eq(request.valid),
            request.ready.eq(requests.w_rdy),
            self.write.request.payload.eq(requests.r_data),
            self.write.request.valid.eq(requests.r_rdy),
            requests.r_en.eq(self.write.request.ready),
        ]
        return request, ~requests.r_rdy

    def _left(self, m: Module, name: str, without: Value, written: Value) -> Signal:
        """Count down what comes once a row, or not at all; return whether there is some left."""
        count, some = Signal(16, name=f"{name}_left"), Signal(name=f"{name}_some")
        with m.If(written):
            m.d.sync += [count.eq(count - 1), some.eq(count != 1)]
        with m.If(self.start):
            m.d.sync += [count.eq(self.plan.rows), some.eq(~without & (self.plan.rows != 0))]
        return some
