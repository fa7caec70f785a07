"""Fetches lines for the vector unit and keeps them until they are used."""

from amaranth.hdl import Array, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib import enum as hw_enum
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .ports import ReadPortSignature, address_width, line_layout, read_request_layout
from .queue import Queue
from .stream_buffer import StreamBuffer
from .stream_register import stream_stage
from .tally import tally

LINES = 8
"""Lines that each of the queues holds."""

_FLYING = 8


class Source(hw_enum.Enum, shape=2):
    """What a line belongs to."""

    X = 0
    GAIN = 1
    BIAS = 2


def fetch_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A line to be fetched: its first word and the queue that it goes to."""
    return data.StructLayout({"address": address_width(config), "source": Source})


class LineReader(wiring.Component):
    """Reads lines with pitch 1 into one queue a source.

    A request is held back until its queue has room for the line. Throughput one line a cycle. A
    line can be taken the cycle after it came.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Forget all lines; those that are still to come are discarded.
    request : stream of `fetch_layout`, in
    read : `ReadPortSignature`
    lines : [stream of lines] by `Source`, out
    arrived : out
        A bit a `Source`: a line of it has come.
    quiet : out
        No line is to come.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "request": In(stream.Signature(fetch_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "lines": Out(stream.Signature(line_layout(config))).array(len(Source)),
                "arrived": Out(len(Source)),
                "quiet": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the queues and the counters of their room."""
        m = Module()
        request = self.request
        sources = Queue(width=len(request.p.source.as_value()), depth=_FLYING)
        m.submodules.sources = ResetInserter(self.clear)(sources)

        accepted = Signal()
        rooms = []
        for source, lines in zip(Source, self.lines, strict=True):
            arrives = self.arrived[source.value]
            m.d.comb += arrives.eq(sources.r_en & (sources.r_data == source.value))
            asked = accepted & (request.p.source == source)
            rooms.append(self._queue(m, source, lines, arrives, asked))

        layout = read_request_layout(self.config)
        pipelined = self.config.scratchpad.pipelined
        line, asked = stream_stage(m, "line_request", layout, pipelined, StreamBuffer)
        wiring.connect(m, asked, wiring.flipped(self.read.request))
        allowed = Signal()
        m.d.comb += [
            allowed.eq(sources.w_rdy & Array(rooms)[request.p.source.as_value()]),
            line.valid.eq(request.valid & allowed),
            line.p.address.eq(request.p.address),
            line.p.pitch.eq(1),
            request.ready.eq(line.ready & allowed),
            accepted.eq(request.valid & request.ready),
            sources.w_data.eq(request.p.source),
            sources.w_en.eq(accepted),
        ]
        self._discard(m, sources, accepted, allowed)
        return m

    def _queue(self, m: Module, source: Source, lines, arrives, asked) -> Signal:
        """Add the queue of `source`; return whether it has room for another line."""
        response = self.read.response
        queue = Queue(width=len(response.payload.as_value()), depth=LINES)
        m.submodules[f"queue_{source.name.lower()}"] = ResetInserter(self.clear)(queue)
        m.d.comb += [
            queue.w_data.eq(response.payload),
            queue.w_en.eq(arrives),
            lines.payload.eq(queue.r_data),
            lines.valid.eq(queue.r_rdy),
            queue.r_en.eq(lines.ready),
        ]
        taken = lines.valid & lines.ready
        promised = tally(m, f"promised_{source.name.lower()}", LINES, asked, taken)
        with m.If(self.clear):
            m.d.sync += [promised.count.eq(0), promised.full.eq(0)]
        return ~promised.full

    def _discard(self, m: Module, sources: Queue, accepted: Signal, allowed: Signal) -> None:
        """Count the lines to come beyond a `clear`, so that those before it are not taken."""
        response = self.read.response
        flying = tally(m, "flying", _FLYING, accepted, response.valid)
        stale = Signal(range(_FLYING + 1))
        left = Signal(range(_FLYING + 1))
        m.d.comb += [
            left.eq(flying.count - response.valid),
            self.quiet.eq(~flying.some),
            sources.r_en.eq(response.valid & (stale == 0)),
        ]
        with m.If(self.clear):
            m.d.sync += stale.eq(Mux(accepted, left + 1, left))
        with m.Elif(response.valid & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)
