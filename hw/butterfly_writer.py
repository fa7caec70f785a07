"""Writes the words of groups that the butterfly chain has finished."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .butterfly_address import ButterflyAddress
from .butterfly_format import DATA_BITS
from .butterfly_gather import NUMBERS
from .butterfly_order import WORD_BITS
from .butterfly_plan import INDEX_BITS, slot_bits, turn_layout, words_held
from .config import AcceleratorConfig
from .ports import WORD_BITS as MEMORY_WORD_BITS
from .ports import ReadPortSignature, WritePortSignature, address_width, line_layout
from .rounding import saturate

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
    slot, seconds, imaginary : out, to it; words : in, from it
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
        address = self._walk(m, tag_layout)
        entry_layout = data.StructLayout(
            {
                "tag": tag_layout,
                "inside": 1,
                "address": address_width(self.config),
                "pitch": 16,
            }
        )
        m.submodules.entries = entries = SyncFIFOBuffered(width=entry_layout.size, depth=AHEAD)
        width = MEMORY_WORD_BITS * self.config.butterfly.lanes
        m.submodules.lines = lines = SyncFIFOBuffered(width=width, depth=AHEAD)
        tag = data.View(tag_layout, address.output_tag)
        request = self.addends.request
        adds, pushes = Signal(), Signal()
        m.d.comb += [
            adds.eq(tag.adds & address.inside),
            request.valid.eq(address.output_valid & entries.w_rdy & adds),
            request.payload.eq(address.request),
            pushes.eq(address.output_valid & entries.w_rdy & (~adds | request.ready)),
            address.advance.eq(~address.output_valid | pushes),
            entries.w_en.eq(pushes),
            entries.w_data.eq(Cat(address.output_tag, address.inside, address.request.as_value())),
            lines.w_en.eq(self.addends.response.valid),
            lines.w_data.eq(self.addends.response.payload.as_value()[:width]),
        ]
        self._finish(m, data.View(entry_layout, entries.r_data), entries, lines)
        return m

    def _walk(self, m: Module, tag_layout: data.StructLayout) -> ButterflyAddress:
        """Walk groups, words and planes, in front of the address pipeline."""
        turn = self.turn.payload
        m.submodules.address = address = ButterflyAddress(
            self.config, tag_layout.size, can_reverse=False
        )
        group, word, plane = Signal(INDEX_BITS), Signal(3), Signal()
        slot = Signal.like(self.slot)
        step, last_plane, last_word = Signal(), Signal(), Signal()
        tag = Signal(tag_layout)
        bit = turn.result_bit
        m.d.comb += [
            step.eq(self.turn.valid & address.advance),
            last_plane.eq(plane | ~turn.target.planes),
            last_word.eq(last_plane & (word == Mux(turn.wide, 7, 3))),
            self.turn.ready.eq(step & last_word & (group == turn.groups)),
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
        with m.If(step):
            m.d.sync += plane.eq(~last_plane)
            with m.If(last_plane):
                m.d.sync += [word.eq(word + 1), slot.eq(slot + 1)]
            with m.If(last_word):
                m.d.sync += [word.eq(0), group.eq(Mux(group == turn.groups, 0, group + 1))]
        m.d.comb += [
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

    def _finish(self, m: Module, entry, entries: SyncFIFOBuffered, lines: SyncFIFOBuffered) -> None:
        """Take words with their entries, add, and write."""
        there = Signal.like(self.completed)
        adds, taken, go = Signal(), Signal(), Signal()
        tag = entry.tag
        m.d.comb += [
            adds.eq(tag.adds & entry.inside),
            taken.eq(entries.r_rdy & (there != 0) & (~adds | lines.r_rdy) & go & ~self.hold),
            entries.r_en.eq(taken),
            lines.r_en.eq(taken & adds),
            self.slot.eq(tag.slot),
            self.seconds.eq(tag.seconds),
            self.imaginary.eq(tag.plane),
            self.freed.eq(taken & tag.last_plane),
        ]
        m.d.sync += there.eq(there + self.completed - self.freed)

        lanes = self.config.butterfly.lanes
        request = self.write.request
        read_valid, write_valid = Signal(), Signal()
        word_line = Signal(MEMORY_WORD_BITS * lanes, reset_less=True)
        addend = Signal(MEMORY_WORD_BITS * lanes, reset_less=True)
        kept = [Signal(entry.shape(), reset_less=True, name=f"entry_{i}") for i in range(2)]
        line = Signal(line_layout(self.config), reset_less=True)
        m.d.comb += go.eq(~write_valid | ~kept[1].inside | request.ready)
        with m.If(go):
            m.d.sync += [
                read_valid.eq(taken),
                word_line.eq(self.words),
                addend.eq(Mux(adds, lines.r_data, 0)),
                kept[0].eq(entry),
                write_valid.eq(read_valid),
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
        m.d.comb += [
            request.valid.eq(write_valid & last.inside),
            request.payload.address.eq(last.address),
            request.payload.pitch.eq(last.pitch),
            request.payload.mask.eq(Cat(lane <= last.tag.last_lane for lane in range(lanes))),
            request.payload.data.eq(line),
            self.done.eq(go & write_valid & last.tag.turn_ends),
        ]
