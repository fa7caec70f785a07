"""Reads the words of groups for the butterfly chain."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_address import ButterflyAddress
from .butterfly_feeder import feeder_latency
from .butterfly_plan import INDEX_BITS, slot_bits, turn_layout, words_held
from .config import AcceleratorConfig
from .ports import WORD_BITS as MEMORY_WORD_BITS
from .ports import ReadPortSignature, read_request_layout
from .response_tags import ResponseTags
from .scratchpad import Scratchpad
from .stream_buffer import StreamBuffer
from .stream_register import stream_stage


class ButterflyReader(wiring.Component):
    """Walks the groups of a turn and hands their words to a `ButterflyGather`.

    A group is asked for when there is room for all of it; then it asks for a line a cycle. What is
    no part of the matrix comes as zero.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : stream of `turn_layout`, in
    read : `ReadPortSignature`
    write, imaginary, slot, words : out, as a `ButterflyGather` takes them
    arrived : out; a word and its imaginary part, if it has one, will be there when the feeder reads
        them: it is told when they have been asked for, since the scratchpad's latency is known.
    freed : in; words that have been used and may be overwritten.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.butterfly.lanes
        super().__init__(
            {
                "turn": In(stream.Signature(turn_layout(config, "reader"))),
                "read": Out(ReadPortSignature(config)),
                "write": Out(1),
                "imaginary": Out(1),
                "slot": Out(slot_bits(config.butterfly)),
                "words": Out(MEMORY_WORD_BITS * lanes),
                "arrived": Out(1),
                "freed": In(range(words_held(config.butterfly) + 1)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the counters, the address pipeline and the register of lines."""
        m = Module()
        turn = self.turn.payload
        tag_layout = data.StructLayout(
            {
                "slot": self.slot.shape(),
                "plane": 1,
                "last_plane": 1,
                "last_lane": turn.last_lane.shape(),
            }
        )
        m.submodules.address = address = ButterflyAddress(self.config, tag_layout.size)
        m.submodules.tags = tags = ResponseTags(tag_layout.size + 1)
        group, word, plane = Signal(INDEX_BITS), Signal(3), Signal()
        slot = Signal.like(self.slot)
        held = words_held(self.config.butterfly)
        room = Signal(range(held + 1), init=held)
        size = Signal(4)
        begins, allowed, step = Signal(), Signal(), Signal()
        last_plane, last_word, last_group = Signal(), Signal(), Signal()
        layout = data.StructLayout(
            {"line": read_request_layout(self.config), "tag": tag_layout, "inside": 1}
        )
        pipelined = self.config.butterfly.pipelined
        request, asked = stream_stage(m, "request", layout, pipelined, StreamBuffer)
        m.d.comb += [
            size.eq(Mux(turn.wide, 8, 4)),
            begins.eq((word == 0) & ~plane),
            allowed.eq(~begins | (room >= size)),
            step.eq(self.turn.valid & allowed & (address.output_vacant | request.ready)),
            last_plane.eq(plane | ~turn.source.planes),
            last_word.eq(last_plane & (word == Mux(turn.wide, 7, 3))),
            self.turn.ready.eq(step & last_word & last_group),
        ]
        # Asked for in the last word of a group.
        m.d.sync += last_group.eq(group == turn.groups)
        m.d.sync += room.eq(room + self.freed - Mux(step & begins, size, 0))
        with m.If(step):
            m.d.sync += plane.eq(~last_plane)
            with m.If(last_plane):
                m.d.sync += [word.eq(word + 1), slot.eq(slot + 1)]
            with m.If(last_word):
                m.d.sync += [word.eq(0), group.eq(Mux(last_group, 0, group + 1))]

        m.d.comb += [
            address.advance.eq(~address.output_valid | request.ready),
            address.valid.eq(self.turn.valid & allowed),
            address.tag.eq(Cat(slot, plane, last_plane, turn.last_lane)),
            address.group.eq(group),
            address.word.eq(word),
            address.plane.eq(plane),
            address.access.eq(turn.source),
            address.window.eq(turn.window),
            address.wide.eq(turn.wide),
            address.reversal.eq(turn.reversal),
            address.reverses.eq(turn.reverses),
            address.tokens.eq(turn.tokens),
            address.log_points.eq(turn.log_points),
            request.valid.eq(address.output_valid),
            request.payload.line.eq(address.request),
            request.payload.tag.eq(address.output_tag),
            request.payload.inside.eq(address.inside),
            self.read.request.valid.eq(asked.valid),
            self.read.request.payload.eq(asked.payload.line),
            asked.ready.eq(self.read.request.ready),
            tags.accepted.eq(asked.valid & asked.ready),
            tags.request.eq(Cat(asked.payload.tag, asked.payload.inside)),
        ]
        promised = tags.accepted & asked.payload.tag.last_plane
        # Words may be promised before they are written, but not before the feeder reads them.
        for _ in range(Scratchpad.READ_LATENCY + 2 - feeder_latency(self.config)):
            later = Signal(name="promised")
            m.d.sync += later.eq(promised)
            promised = later
        m.d.comb += self.arrived.eq(promised)
        self._store(m, tags, tag_layout)
        return m

    def _store(self, m: Module, tags: ResponseTags, layout: data.StructLayout) -> None:
        """Register a line that has come, without what is no part of the matrix."""
        tag, inside = data.View(layout, tags.response[:-1]), tags.response[-1]
        m.d.sync += [
            self.write.eq(tags.valid),
            self.slot.eq(tag.slot),
            self.imaginary.eq(tag.plane),
        ]
        for lane in range(self.config.butterfly.lanes):
            used = inside & (lane <= tag.last_lane)
            m.d.sync += self.words.word_select(lane, MEMORY_WORD_BITS).eq(
                Mux(used, self.read.response.payload[lane], 0)
            )
