"""Writes the words of groups that the butterfly chain has finished."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_address import ButterflyAddress
from .butterfly_format import DATA_BITS
from .butterfly_gather import NUMBERS, held
from .butterfly_order import WORD_BITS
from .butterfly_plan import INDEX_BITS, slot_bits, turn_layout, words_held
from .config import AcceleratorConfig
from .ports import WORD_BITS as MEMORY_WORD_BITS
from .ports import (
    ReadPortSignature,
    WritePortSignature,
    address_width,
    line_layout,
    write_request_layout,
)
from .queue import Queue
from .rounding import saturate
from .stream_buffer import StreamBuffer
from .stream_register import stream_stage

AHEAD = 16
"""Words whose addresses are known, and whose addends are read, before they are complete."""


def _tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    return data.StructLayout(
        {
            "slot": slot_bits(config.butterfly),
            "seconds": NUMBERS,
            "plane": 1,
            "last_plane": 1,
            "last_lane": range(config.butterfly.lanes),
            "adds": 1,
            "turn_ends": 1,
        }
    )


class ButterflyWriter(wiring.Component):
    """Walks the groups of a turn in the order of `ButterflyCollector` and writes a line a cycle.

    Addresses run ahead of the words, and so do the reads of what the words are added to.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : stream of `turn_layout`, in
    hold : in; nothing may be written yet.
    completed : in; words that have become complete in the `ButterflyScatter`.
    advance, slot, seconds, imaginary : out, to it; words : in, from it
    freed : out; a word has been read.
    addends : `ReadPortSignature`
    write : `WritePortSignature`
    done : out; the last word of a turn is written.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.butterfly.lanes
        super().__init__(
            {
                "turn": In(stream.Signature(turn_layout(config, "writer"))),
                "hold": In(1),
                "completed": In(range(words_held(config.butterfly) + 1)),
                "slot": Out(slot_bits(config.butterfly)),
                "seconds": Out(NUMBERS),
                "imaginary": Out(1),
                "advance": Out(1),
                "words": In(MEMORY_WORD_BITS * lanes),
                "freed": Out(1),
                "addends": Out(ReadPortSignature(config)),
                "write": Out(WritePortSignature(config)),
                "done": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the address pipeline, two queues, and the registers of a line."""
        m = Module()
        tag_layout = _tag_layout(self.config)
        entry_layout = data.StructLayout(
            {
                "tag": tag_layout,
                "inside": 1,
                "address": address_width(self.config),
                "pitch": 16,
            }
        )
        m.submodules.entries = entries = Queue(width=entry_layout.size, depth=AHEAD, latency=2)
        width = MEMORY_WORD_BITS * self.config.butterfly.lanes
        m.submodules.lines = lines = Queue(width=width, depth=AHEAD, latency=2)
        pipelined = self.config.butterfly.pipelined
        place, placed = stream_stage(m, "place", entry_layout, pipelined, StreamBuffer)
        address = self._walk(m, tag_layout, place.ready)
        request = self.addends.request
        adds, pushes = Signal(), Signal()
        m.d.comb += [
            place.valid.eq(address.output_valid),
            place.payload.tag.eq(address.output_tag),
            place.payload.inside.eq(address.inside),
            place.payload.address.eq(address.request.address),
            place.payload.pitch.eq(address.request.pitch),
            adds.eq(placed.payload.tag.adds & placed.payload.inside),
            request.valid.eq(placed.valid & entries.w_rdy & adds),
            request.payload.address.eq(placed.payload.address),
            request.payload.pitch.eq(placed.payload.pitch),
            pushes.eq(placed.valid & entries.w_rdy & (~adds | request.ready)),
            placed.ready.eq(entries.w_rdy & (~adds | request.ready)),
            entries.w_en.eq(pushes),
            entries.w_data.eq(placed.payload),
            lines.w_en.eq(self.addends.response.valid),
            lines.w_data.eq(self.addends.response.payload.as_value()[:width]),
        ]
        self._finish(m, data.View(entry_layout, entries.r_data), entries, lines)
        return m

    def _walk(self, m: Module, tag_layout: data.StructLayout, ready: Value) -> ButterflyAddress:
        """Walk groups, words and planes, in front of the address pipeline."""
        turn = self.turn.payload
        m.submodules.address = address = ButterflyAddress(
            self.config, tag_layout.size, can_reverse=False
        )
        group, word, plane = Signal(INDEX_BITS), Signal(3), Signal()
        slot = Signal.like(self.slot)
        step, last_plane, last_word, last_group = Signal(), Signal(), Signal(), Signal()
        tag = Signal(tag_layout)
        bit = turn.result_bit
        m.d.comb += [
            step.eq(self.turn.valid & (address.output_vacant | ready)),
            last_plane.eq(plane | ~turn.target.planes),
            last_word.eq(last_plane & (word == Mux(turn.wide, 7, 3))),
            self.turn.ready.eq(step & last_word & last_group),
            tag.slot.eq(slot),
            tag.plane.eq(plane),
            tag.last_plane.eq(last_plane),
            tag.last_lane.eq(turn.last_lane),
            tag.adds.eq(turn.adds),
            tag.turn_ends.eq(self.turn.ready),
        ]
        for number in range(NUMBERS):
            local = Cat((number >> place) & 1 for place in range(WORD_BITS))
            m.d.comb += tag.seconds[number].eq(Cat(local, word).bit_select(bit, 1))
        # Asked for in the last word of a group.
        m.d.sync += last_group.eq(group == turn.groups)
        with m.If(step):
            m.d.sync += plane.eq(~last_plane)
            with m.If(last_plane):
                m.d.sync += [word.eq(word + 1), slot.eq(slot + 1)]
            with m.If(last_word):
                m.d.sync += [word.eq(0), group.eq(Mux(last_group, 0, group + 1))]
        m.d.comb += [
            address.advance.eq(~address.output_valid | ready),
            address.valid.eq(self.turn.valid),
            address.tag.eq(tag),
            address.group.eq(group),
            address.word.eq(word),
            address.plane.eq(plane),
            address.access.eq(turn.target),
            address.window.eq(turn.window),
            address.wide.eq(turn.wide),
        ]
        return address

    def _finish(self, m: Module, entry, entries: Queue, lines: Queue) -> None:
        """Take words with their entries, add, and write."""
        there, some_there = Signal.like(self.completed), Signal()
        adds, taken, go = Signal(), Signal(), Signal()
        tag = entry.tag
        m.d.comb += [
            adds.eq(tag.adds & entry.inside),
            taken.eq(entries.r_rdy & some_there & (~adds | lines.r_rdy) & go & ~self.hold),
            entries.r_en.eq(taken),
            lines.r_en.eq(taken & adds),
            self.slot.eq(tag.slot),
            self.seconds.eq(tag.seconds),
            self.imaginary.eq(tag.plane),
            self.freed.eq(taken & tag.last_plane),
        ]
        m.d.sync += [
            there.eq(there + self.completed - self.freed),
            some_there.eq(self.completed.any() | Mux(self.freed, there != 1, some_there)),
        ]

        lanes = self.config.butterfly.lanes
        layout = data.StructLayout(
            {"line": write_request_layout(self.config), "inside": 1, "turn_ends": 1}
        )
        pipelined = self.config.butterfly.pipelined
        result, leaving = stream_stage(m, "result", layout, pipelined, StreamBuffer)
        request = self.write.request
        read_valid, write_valid = Signal(), Signal()
        # What is taken waits for a register of its own, not for one that all lines wait for.
        vacant, shifts = Signal(init=1), Signal()
        word_line = Signal(MEMORY_WORD_BITS * lanes, reset_less=True)
        addend = Signal(MEMORY_WORD_BITS * lanes, reset_less=True)
        kept = [Signal(entry.shape(), reset_less=True, name=f"entry_{i}") for i in range(2)]
        line = Signal(line_layout(self.config), reset_less=True)
        m.d.comb += [go.eq(vacant | result.ready), shifts.eq(~write_valid | result.ready)]
        m.d.comb += self.advance.eq(shifts)
        comes, added, comes_with = taken, Mux(adds, lines.r_data, 0), entry.as_value()
        if self.config.butterfly.block_memory:
            # Block RAM gives a word a cycle after it was taken.
            comes = Signal(name="fetched")
            with m.If(go):
                m.d.sync += comes.eq(taken)
            added, comes_with = held(m, added, shifts), held(m, comes_with, shifts)
        with m.If(go):
            m.d.sync += [
                read_valid.eq(comes),
                write_valid.eq(read_valid),
                vacant.eq(~read_valid),
            ]
        with m.If(shifts):
            m.d.sync += [
                word_line.eq(self.words),
                addend.eq(added),
                kept[0].eq(comes_with),
                kept[1].eq(kept[0]),
            ]
            for lane in range(lanes):
                numbers = []
                for number in range(NUMBERS):
                    place = NUMBERS * lane + number
                    parts = [
                        value.word_select(place, DATA_BITS).as_signed()
                        for value in (word_line, addend)
                    ]
                    numbers.append(saturate(parts[0] + parts[1], DATA_BITS)[:DATA_BITS])
                m.d.sync += line[lane].eq(Cat(numbers))
        last = kept[1]
        written = result.payload.line
        m.d.comb += [
            result.valid.eq(write_valid),
            result.payload.inside.eq(last.inside),
            result.payload.turn_ends.eq(last.tag.turn_ends),
            written.address.eq(last.address),
            written.pitch.eq(last.pitch),
            written.mask.eq(Cat(lane <= last.tag.last_lane for lane in range(lanes))),
            written.data.eq(line),
            request.valid.eq(leaving.valid & leaving.payload.inside),
            request.payload.eq(leaving.payload.line),
            leaving.ready.eq(~leaving.payload.inside | request.ready),
            self.done.eq(leaving.valid & leaving.ready & leaving.payload.turn_ends),
        ]
